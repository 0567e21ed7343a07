"""Which installation a process belongs to: all processes that share one data folder, or one configured id.

Several installations may use one Kafka: each has consumer groups of its own, reads every record, and keeps state of its
own. Without an id in the groups' names they would share the partitions, and each would serve half of the state.

Invariant: an installation's id never changes while its folder lives, and two folders never make the same one.
"""

import os
import re
import secrets
from pathlib import Path
from typing import Final

from infra.paths import installation_path
from infra.settings import INSTALLATION, Settings, environment_name
from schemas.errors import StorageError

ID_BYTES: Final = 4

_VALID: Final = re.compile(INSTALLATION)


def installation_of(settings: Settings) -> str:
    """Returns the id of a process's installation; made and kept in the data folder if nobody has chosen or made one.

    Raises:
        StorageError: the file cannot be read or written, or holds no id.
    """
    path = installation_path(settings.data)
    known = known_installation(settings)
    if known is not None:
        return known
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    return _read(path)


def known_installation(settings: Settings) -> str | None:
    """Returns the id that was chosen or made before; None if there is none yet.

    Raises:
        StorageError: the file cannot be read, or holds no id.
    """
    if settings.installation:
        return settings.installation
    try:
        return _read(installation_path(settings.data))
    except FileNotFoundError:
        return None


def _make(path: Path) -> None:
    """Creates the file whole, or leaves the one of another process that starts at the same time."""
    own = path.with_name(f"{path.name}.{secrets.token_hex(ID_BYTES)}.new")
    try:
        with own.open("w", encoding="ascii") as file:
            file.write(secrets.token_hex(ID_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(own, path)  # unlike a rename, it never replaces
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        pass
    finally:
        own.unlink(missing_ok=True)


def _read(path: Path) -> str:
    try:
        text = path.read_bytes().decode("ascii", "replace").strip()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if not text or _VALID.fullmatch(text) is None:
        raise _unusable(path, f"it holds {text[:40]!r}, which is no installation id")
    return text


def _unusable(path: Path, problem: str) -> StorageError:
    return StorageError(
        f"the file of the installation's id {path} cannot be used: {problem}; correct it (its permissions, or the id "
        f"that this folder's consumer groups have), or set {environment_name('installation')}"
    )
