"""Formatted folders, kept beside the jars: formatting costs a JVM start, and what it makes is the same every time.

Kafka's tool writes two small files: the records that a new cluster begins with, which depend on Kafka's version and on
``server.properties`` but for its addresses, and ``meta.properties``, which names cluster and folder.

Invariant: no two data folders have the ids of one cluster or folder: a copy gets ids of its own. What is kept is whole:
it is on disk before it has its name.
"""

import base64
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Final

META_FILE: Final = "meta.properties"
ID_BYTES: Final = 16
KEY_LETTERS: Final = 16

_ADDRESS: Final = re.compile(r"[^,@/=]+:[0-9]+(?=,|$)", re.MULTILINE)
_IDS: Final = re.compile(r"^(cluster\.id|directory\.id)=(.*)$", re.MULTILINE)


def formatted_folder(jars: Path, properties: str) -> Path:
    """Returns where a formatted folder is kept.

    Args:
        jars: folder of the jars, which is one of a version of Kafka.
        properties: text of ``server.properties``; folders of brokers that differ in addresses alone are the same.
    """
    key = hashlib.sha256(_ADDRESS.sub("", properties).encode()).hexdigest()[:KEY_LETTERS]
    return jars / f"formatted-{key}"


def keep(topics: Path, kept: Path) -> None:
    """Keeps a copy of a folder that was just formatted; does nothing if it cannot, or if another process was faster."""
    with contextlib.suppress(OSError):  # a cache of jars may be read-only: the next folder is formatted, too
        scratch = Path(tempfile.mkdtemp(dir=kept.parent, prefix="format-"))
        try:
            copy = shutil.copytree(topics, scratch / topics.name)
            for path in copy.iterdir():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            copy.rename(kept)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def give_new_ids(topics: Path) -> None:
    """Makes a formatted folder one of a new cluster."""
    meta = topics / META_FILE
    meta.write_text(_IDS.sub(lambda found: f"{found[1]}={new_id()}", meta.read_text("ascii")), "ascii")


def cluster_of(topics: Path) -> str | None:
    """Returns the id of the cluster that a formatted folder belongs to; None if it is none."""
    try:
        meta = (topics / META_FILE).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return next((found[2] for found in _IDS.finditer(meta) if found[1] == "cluster.id"), None)


def new_id() -> str:
    """Returns a random id as Kafka spells them: 16 bytes in URL-safe Base64 without padding."""
    return base64.urlsafe_b64encode(secrets.token_bytes(ID_BYTES)).decode().rstrip("=")
