"""The first key: the operator's own, in a file of the data folder.

Invariant: after ``ensure_admin_key`` the file holds a valid key of an account that may do everything, readable by its
owner only; a file that is valid already is left alone.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from access.roles import ALL_WORKSPACES, Role
from access.store.accounts import AccessStore
from infra.paths import admin_key_path
from schemas.errors import StorageError

ADMIN_ACCOUNT: Final = "admin"


@dataclass(frozen=True, slots=True)
class AdminKey:
    """Where the operator's key is, and what was done to have it there.

    Attributes:
        path: of the file.
        made: ``kept`` (it was valid), ``created`` (with the account), or ``replaced`` (the account was there, but the
            file was lost or its key is not valid; earlier keys stay valid until they are revoked).
    """

    path: Path
    made: Literal["kept", "created", "replaced"]


def ensure_admin_key(store: AccessStore, data: Path) -> AdminKey:
    """Makes sure that the data folder has a valid key of an admin that is owner of all workspaces.

    Raises:
        StorageError: the file cannot be read or written.
    """
    path = admin_key_path(data)
    try:
        if path.exists() and store.find(path.read_text(encoding="ascii").strip()) is not None:
            path.chmod(0o600)
            return AdminKey(path, "kept")
        if store.has_account(ADMIN_ACCOUNT):
            _write_private(path, store.create_key(ADMIN_ACCOUNT).key)
            return AdminKey(path, "replaced")
        roles = {ALL_WORKSPACES: frozenset({Role.OWNER})}
        _write_private(path, store.create_account(ADMIN_ACCOUNT, roles, is_admin=True).key)
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"the admin key file {path} cannot be used: {error}; remove it and start again for a new key"
        ) from error
    return AdminKey(path, "created")


def _write_private(path: Path, key: str) -> None:
    """Replaces the file in one step, so that a crash leaves the old one or the whole new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
