"""The jars of Apache Kafka, by Maven coordinates, without Maven.

``jars.lock`` names each jar of the broker and its SHA-256, so nothing is resolved on a user's machine.
Invariant: a jar is in the folder that :func:`kafka_jars` returns only after its checksum was right: downloads go to a
scratch folder first and are moved in whole. Bytes checked once are not read again while size and time stay the same.
"""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from infra.local_kafka.extra import import_from_extra
from schemas.errors import StorageError, UnavailableError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA_VERSION: Final = "4.3.1"
"""4.4.0 is newer, but Maven Central lacks its kafka-tools-api."""

LOCK_FILE: Final = Path(__file__).with_suffix(".lock")

DOWNLOADS_AT_ONCE: Final = 8
DOWNLOAD_SECONDS: Final = 60
"""The longest silence of the server within one download."""

_log = logging.getLogger(__name__)


class Jar(NamedTuple):
    """One line of the lock: Maven coordinates ``group:artifact:version`` and the SHA-256 of the file, in hex."""

    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name Maven gives the file."""
        _group, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Returns where downloads are kept: ``HEADRACE_CACHE``, else ``~/.cache/headrace``."""
    named = environ.get("HEADRACE_CACHE")
    return Path(named).absolute() if named else Path.home() / ".cache" / "headrace"


def read_lock(lock: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """Reads the pinned jars, in the order of the class path."""
    return tuple(Jar(*line.split()) for line in lock.read_text("ascii").splitlines())


def kafka_jars(cache: Path, pinned: Sequence[Jar] | None = None, repository: str | None = None) -> list[Path]:
    """Returns the checked jars of the broker, and downloads the ones that are missing or damaged.

    Args:
        cache: the folder of :func:`cache_folder`.
        pinned: the jars to have; the lock's unless given.
        repository: URL of the Maven repository; Maven Central unless given.

    Raises:
        NotInstalledError: jars are missing, and so is the package that downloads them.
        UnavailableError: a jar cannot be downloaded.
        StorageError: a download has another checksum than the lock, or the cache cannot be written.
    """
    jars = read_lock() if pinned is None else pinned
    folder = cache / f"kafka-{KAFKA_VERSION}"
    stamp = folder / "verified"
    paths = [folder / jar.file_name for jar in jars]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if stamp.exists() and stamp.read_text("ascii") == _state(jars, paths):
            return paths
        missing = [
            jar for jar, path in zip(jars, paths, strict=True) if not path.exists() or sha256(path) != jar.sha256
        ]
        if missing:
            _download(missing, folder, repository)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as scratch:
            scratch.write(_state(jars, paths))
        Path(scratch.name).replace(stamp)
    except OSError as error:
        raise StorageError(
            f"cannot write the cache of jars {cache}: {error}; make it writable or set HEADRACE_CACHE to another folder"
        ) from error
    return paths


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def maven_context(scratch: Path, repository: str | None = None) -> "MavenContext":
    """Returns how to ask a Maven repository.

    Args:
        scratch: where downloads go.
        repository: its URL; Maven Central unless given.

    Raises:
        NotInstalledError: the package jgo is not installed.
    """
    remote = None if repository is None else {"repository": repository}
    context: MavenContext = import_from_extra("jgo.maven").MavenContext(
        repo_cache=scratch, remote_repos=remote, timeout=DOWNLOAD_SECONDS
    )
    return context


def fetch(coordinates: str, context: "MavenContext") -> Path:
    """Downloads one jar into the context's repository folder.

    Raises:
        UnavailableError: Maven Central does not answer or does not have it.
    """
    try:
        return context.create_dependency(coordinates).artifact.resolve()
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo says RuntimeError for a 404
        raise UnavailableError(
            f"cannot download {coordinates}: {error}; Apache Kafka comes from Maven Central once, check the network, "
            "or copy the cache folder of another machine and name it in HEADRACE_CACHE"
        ) from error


def _download(jars: Sequence[Jar], folder: Path, repository: str | None) -> None:
    _log.info("downloading %d jars of Apache Kafka %s to %s", len(jars), KAFKA_VERSION, folder)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix="download-"))
    try:
        context = maven_context(scratch, repository)
        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            files = list(pool.map(lambda jar: fetch(jar.coordinates, context), jars))
        for jar, file in zip(jars, files, strict=True):
            if (found := sha256(file)) != jar.sha256:
                raise StorageError(
                    f"{jar.coordinates} has SHA-256 {found}, expected {jar.sha256}; "
                    "what was downloaded is not what was pinned: check for a proxy or mirror that alters files"
                )
        for jar, file in zip(jars, files, strict=True):
            file.replace(folder / jar.file_name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _state(jars: Sequence[Jar], paths: Sequence[Path]) -> str:
    """What the stamp holds when all is well: checksum, size and time of each jar."""
    lines = []
    for jar, path in zip(jars, paths, strict=True):
        fact = path.stat() if path.exists() else None
        lines.append(f"{jar.sha256} {fact.st_size} {fact.st_mtime_ns}" if fact else f"{jar.sha256} missing")
    return "\n".join(lines)
