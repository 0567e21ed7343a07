import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from access.keys import KEY_PREFIX, hash_key
from access.roles import ALL_WORKSPACES, Role
from access.store.accounts import AccessStore
from schemas.errors import NotFoundError, RequestError

EDITOR = {"prod": frozenset({Role.EDITOR})}


def test_a_key_finds_its_account(store: AccessStore) -> None:
    roles = {"prod": frozenset({Role.EDITOR, Role.OPERATOR}), ALL_WORKSPACES: frozenset({Role.VIEWER})}
    made = store.create_account("loader", roles, default_workspace="prod")
    found = store.find(made.key)
    assert found == made.account
    assert found is not None
    assert (found.name, found.is_admin, found.roles, found.default_workspace) == ("loader", False, roles, "prod")


def test_the_key_is_in_no_file_only_its_hash(tmp_path: Path) -> None:
    store = AccessStore.open(tmp_path)
    made = store.create_account("a", EDITOR)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert made.key.encode() not in stored
    assert made.key.removeprefix(KEY_PREFIX).encode() not in stored
    assert hash_key(made.key).encode() in stored
    store.close()


@pytest.mark.parametrize("key", ["", "hr_", "hr_unknown", "' or 1=1 --", "\udcff"])
def test_an_unknown_key_finds_nobody(store: AccessStore, key: str) -> None:
    store.create_account("a", EDITOR)
    assert store.find(key) is None


def test_a_name_is_taken_once(store: AccessStore) -> None:
    store.create_account("a", EDITOR)
    with pytest.raises(RequestError, match="'a' exists already"):
        store.create_account("a", EDITOR)
    assert len(store.list_keys()) == 1


def test_revoking_ends_one_key_of_an_account_and_is_kept_on_record(store: AccessStore) -> None:
    first = store.create_account("a", EDITOR)
    second = store.create_key("a")
    store.revoke(first.id)
    store.revoke(first.id)
    assert store.find(first.key) is None
    assert store.find(second.key) == second.account == first.account
    listed = {key.id: key for key in store.list_keys()}
    assert listed[first.id].revoked_at is not None
    assert listed[second.id].revoked_at is None
    assert listed[second.id].created_at.tzinfo is not None


def test_an_unknown_id_or_account_is_named(store: AccessStore) -> None:
    with pytest.raises(NotFoundError, match="'nope'"):
        store.revoke("nope")
    with pytest.raises(NotFoundError, match="'nobody'"):
        store.create_key("nobody")


def test_accounts_outlive_the_process(open_store: Callable[[], AccessStore]) -> None:
    first = open_store()
    key = first.create_account("a", EDITOR).key
    first.close()
    assert open_store().find(key) is not None


def test_one_store_sees_at_once_what_another_wrote(open_store: Callable[[], AccessStore]) -> None:
    writer, reader = open_store(), open_store()
    made = writer.create_account("a", EDITOR)
    assert reader.find(made.key) is not None
    writer.revoke(made.id)
    assert reader.find(made.key) is None


def write_accounts(data: Path, url: str, prefix: str, count: int) -> list[str]:
    store = AccessStore.open(data, url)
    keys = [store.create_account(f"{prefix}-{number}", EDITOR).key for number in range(count)]
    assert all(store.find(key) for key in keys)
    store.close()
    return keys


def test_processes_open_and_write_one_store_at_the_same_time(tmp_path: Path, url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        work = [(tmp_path, url, prefix, 20) for prefix in "abcd"]
        keys = [key for made in pool.starmap(write_accounts, work, chunksize=1) for key in made]
    store = AccessStore.open(tmp_path, url)
    assert len(set(keys)) == len(store.list_keys()) == 80
    assert all(store.find(key) for key in keys)
    store.close()


def test_threads_write_one_store_at_the_same_time(open_store: Callable[[], AccessStore]) -> None:
    stores = [open_store() for _ in range(2)]
    with ThreadPoolExecutor(4) as threads:
        names = [f"account {number}" for number in range(40)]
        made = list(threads.map(lambda pair: stores[pair[0] % 2].create_account(pair[1], EDITOR), enumerate(names)))
    assert all(stores[0].find(each.key) and stores[1].find(each.key) for each in made)


@pytest.mark.parametrize("name", ["", "n" * 201, "a\0b", "a\nb"])
def test_a_name_that_is_none_is_refused_alike_by_every_database(store: AccessStore, name: str) -> None:
    with pytest.raises(RequestError, match="1 to 200 printable characters"):
        store.create_account(name, EDITOR)
    assert store.create_account("n" * 200, EDITOR).account.name == "n" * 200
