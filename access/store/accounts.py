"""The access store: service accounts, the hashes of their keys, their roles.

Invariant: a key is returned once, by the call that makes it, and can be found again only by who holds it.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from access.keys import hash_key, new_key
from access.roles import Principal, Role
from access.store.engine import AccessDatabase
from access.store.tables import Key, RoleAssignment, ServiceAccount
from schemas.errors import NotFoundError, RequestError

ACCOUNT_ID_BYTES: Final = 16
KEY_ID_BYTES: Final = 8
MAX_NAME_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as its maker sees it, the only time that anyone does."""

    id: str
    key: str
    account: Principal


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What the store knows about a key; times are UTC."""

    id: str
    account: Principal
    created_at: datetime
    revoked_at: datetime | None


class AccessStore:
    """The accounts, keys and roles; every method is one transaction, and may raise ``UnavailableError``.

    Args:
        database: that other families of tables may share.
    """

    def __init__(self, database: AccessDatabase) -> None:
        self.database: Final = database

    @classmethod
    def open(cls, data: Path, url: str = "") -> Self:
        """Opens the store over a database of its own (`access.store.engine.AccessDatabase.open`)."""
        return cls(AccessDatabase.open(data, url))

    def close(self) -> None:
        """Closes all connections."""
        self.database.close()

    def create_account(
        self,
        name: str,
        roles: Mapping[str, frozenset[Role]],
        *,
        is_admin: bool = False,
        default_workspace: str | None = None,
    ) -> NewKey:
        """Makes a service account and its key.

        Args:
            name: unique among the accounts.
            roles: by workspace, or ``ALL_WORKSPACES``.
            is_admin: whether the account may administer access.
            default_workspace: of calls that name none.

        Raises:
            RequestError: the name is taken, or is none.
        """
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise RequestError(
                f"the name {name[:80]!r} is not valid: 1 to {MAX_NAME_CHARACTERS} printable characters are"
            )
        account = ServiceAccount(
            id=secrets.token_hex(ACCOUNT_ID_BYTES),
            name=name,
            is_admin=is_admin,
            default_workspace=default_workspace,
            created_at=_now(),
            roles=[
                RoleAssignment(workspace=workspace, role=role.value)
                for workspace, held in roles.items()
                for role in held
            ],
        )
        try:
            with self.database.writing() as session:
                session.add(account)
                return _add_key(session, account)
        except IntegrityError as error:
            raise RequestError(f"a service account named {name!r} exists already; choose another name") from error

    def create_key(self, account_name: str) -> NewKey:
        """Makes another key for an existing account.

        Raises:
            NotFoundError: there is no such account.
        """
        with self.database.writing() as session:
            account = session.scalar(select(ServiceAccount).where(ServiceAccount.name == account_name))
            if account is None:
                raise NotFoundError(f"there is no service account named {account_name!r}")
            return _add_key(session, account)

    def has_account(self, name: str) -> bool:
        """Returns whether an account of that name exists."""
        with self.database.reading() as session:
            return session.scalar(select(ServiceAccount.id).where(ServiceAccount.name == name)) is not None

    def find(self, key: str) -> Principal | None:
        """Returns the account that a key belongs to; None if there is no such key or it was revoked."""
        with self.database.reading() as session:
            stored = session.scalar(select(Key).where(Key.key_hash == hash_key(key), Key.revoked_at.is_(None)))
            return None if stored is None else _principal(stored.account)

    def list_keys(self) -> list[StoredKey]:
        """Returns all keys, the revoked ones too, oldest first."""
        with self.database.reading() as session:
            return [
                StoredKey(
                    key.id, _principal(key.account), _utc(key.created_at), key.revoked_at and _utc(key.revoked_at)
                )
                for key in session.scalars(select(Key).order_by(Key.created_at, Key.id))
            ]

    def revoke(self, key_id: str) -> None:
        """Ends a key's validity; running processes see it within a second. Revoking it again changes nothing.

        Raises:
            NotFoundError: there is no key of that id.
        """
        with self.database.writing() as session:
            key = session.get(Key, key_id)
            if key is None:
                raise NotFoundError(f"there is no key with the id {key_id!r}; `headrace key list` shows the ids")
            key.revoked_at = key.revoked_at or _now()


def _add_key(session: Session, account: ServiceAccount) -> NewKey:
    key = new_key()
    stored = Key(id=secrets.token_hex(KEY_ID_BYTES), key_hash=hash_key(key), created_at=_now(), account=account)
    session.add(stored)
    session.flush()
    return NewKey(stored.id, key, _principal(account))


def _principal(account: ServiceAccount) -> Principal:
    roles: dict[str, frozenset[Role]] = {}
    for held in account.roles:
        roles[held.workspace] = roles.get(held.workspace, frozenset()) | {Role(held.role)}
    return Principal(account.id, account.name, account.is_admin, roles, account.default_workspace)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _utc(stored: datetime) -> datetime:
    return stored.replace(tzinfo=UTC)
