from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from access.store import engine as module
from access.store.engine import WRITES, default_url, open_engine
from access.store.tables import Base
from infra.paths import access_path
from schemas.errors import StorageError

ADD = text("INSERT INTO service_accounts (id, name, is_admin, created_at) VALUES (:id, :id, 0, '2026-01-01')")
COUNT = text("SELECT count(*) FROM service_accounts")


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Engine, Engine]]:
    """Two processes' engines of one file; who has to wait gives up at once."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.0)
    opened = open_engine(default_url(tmp_path)), open_engine(default_url(tmp_path))
    yield opened
    for each in opened:
        each.dispose()


def writing(engine: Engine) -> Engine:
    return engine.execution_options(**{WRITES: True})


def test_a_new_store_has_all_tables_and_its_folder(tmp_path: Path) -> None:
    opened = open_engine(default_url(tmp_path / "deep" / "data"))
    assert set(inspect(opened).get_table_names()) == set(Base.metadata.tables)
    assert access_path(tmp_path / "deep" / "data").exists()
    opened.dispose()


def test_a_store_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    for number in range(2):
        opened = open_engine(default_url(tmp_path))
        with writing(opened).begin() as connection:
            assert connection.scalar(COUNT) == number
            connection.execute(ADD, {"id": str(number)})
        opened.dispose()


def test_who_writes_has_the_lock_from_the_beginning(engines: tuple[Engine, Engine]) -> None:
    one, other = engines
    with writing(one).begin(), pytest.raises(OperationalError, match="locked"), writing(other).begin():
        pass
    with writing(other).begin() as connection:
        connection.execute(ADD, {"id": "a"})


def test_readers_wait_for_no_writer_and_see_what_was_there_before(engines: tuple[Engine, Engine]) -> None:
    one, other = engines
    with writing(one).begin() as connection:
        connection.execute(ADD, {"id": "a"})
        with other.begin() as reader:
            assert reader.scalar(COUNT) == 0
    with other.begin() as reader:
        assert reader.scalar(COUNT) == 1


def test_what_fails_half_way_is_undone(engines: tuple[Engine, Engine]) -> None:
    one, other = engines

    def fail() -> None:
        with writing(one).begin() as connection:
            connection.execute(ADD, {"id": "a"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with other.begin() as reader:
        assert reader.scalar(COUNT) == 0


def test_a_commit_outlasts_a_crash_of_the_machine_and_references_hold(engines: tuple[Engine, Engine]) -> None:
    with engines[0].connect() as connection:
        settings = {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")}
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
    assert settings == {"journal_mode": "wal", "synchronous": 2}


def test_a_file_that_is_no_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    access_path(tmp_path).write_text("not a database, " * 100, encoding="utf-8")
    with pytest.raises(StorageError, match=r"access\.db cannot be opened.*restore it"):
        open_engine(default_url(tmp_path))


def test_a_password_in_the_address_is_in_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = default_url(tmp_path).set(username="store", password="s3cret")
    nowhere = default_url(tmp_path / "missing" / "folder")
    monkeypatch.setattr(module, "create_engine", lambda _url, **_options: create_engine(nowhere))
    with pytest.raises(StorageError) as caught:
        open_engine(url)
    assert "s3cret" not in caught.value.message
    assert "store:***" in caught.value.message
