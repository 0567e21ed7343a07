from collections.abc import Iterator
from pathlib import Path

import pytest

from access.admin_key import ensure_admin_key
from access.roles import ALL_WORKSPACES, Action, Role
from access.store.accounts import AccessStore
from infra.paths import ADMIN_KEY, access_path
from schemas.errors import StorageError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AccessStore]:
    opened = AccessStore.open(tmp_path)
    yield opened
    opened.close()


def key_in(data: Path) -> str:
    return (data / ADMIN_KEY).read_text(encoding="ascii").strip()


def test_the_first_key_may_do_everything_and_is_the_owners_alone_to_read(store: AccessStore, tmp_path: Path) -> None:
    made = ensure_admin_key(store, tmp_path)
    assert (made.path, made.made) == (tmp_path / ADMIN_KEY, "created")
    assert made.path.stat().st_mode & 0o777 == 0o600
    admin = store.find(key_in(tmp_path))
    assert admin is not None
    assert admin.is_admin
    assert admin.roles == {ALL_WORKSPACES: frozenset({Role.OWNER})}
    assert all(admin.may(action, "any") for action in Action)
    assert sorted(path.name for path in tmp_path.glob("admin*")) == [ADMIN_KEY]


def test_a_valid_file_is_left_alone(store: AccessStore, tmp_path: Path) -> None:
    ensure_admin_key(store, tmp_path)
    before = key_in(tmp_path)
    assert ensure_admin_key(store, tmp_path).made == "kept"
    assert key_in(tmp_path) == before
    assert len(store.list_keys()) == 1


def test_a_lost_file_gets_a_new_key_of_the_same_account(store: AccessStore, tmp_path: Path) -> None:
    ensure_admin_key(store, tmp_path)
    before = key_in(tmp_path)
    (tmp_path / ADMIN_KEY).unlink()
    assert ensure_admin_key(store, tmp_path).made == "replaced"
    assert key_in(tmp_path) != before
    assert store.find(key_in(tmp_path)) == store.find(before)


def test_a_revoked_or_foreign_key_in_the_file_is_replaced(store: AccessStore, tmp_path: Path) -> None:
    ensure_admin_key(store, tmp_path)
    store.revoke(store.list_keys()[0].id)
    assert ensure_admin_key(store, tmp_path).made == "replaced"
    assert store.find(key_in(tmp_path)) is not None


def test_a_lost_store_gets_a_new_account(store: AccessStore, tmp_path: Path) -> None:
    ensure_admin_key(store, tmp_path)
    store.close()
    for path in tmp_path.glob(f"{access_path(tmp_path).name}*"):
        path.unlink()
    fresh = AccessStore.open(tmp_path)
    assert ensure_admin_key(fresh, tmp_path).made == "created"
    assert fresh.find(key_in(tmp_path)) is not None
    fresh.close()


def test_a_file_that_cannot_be_written_is_named(store: AccessStore, tmp_path: Path) -> None:
    (tmp_path / ADMIN_KEY).mkdir()
    with pytest.raises(StorageError, match=r"admin\.key cannot be used"):
        ensure_admin_key(store, tmp_path)
