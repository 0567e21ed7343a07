from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError, OperationalError

from access.store import engine as module
from access.store.engine import WRITES, AccessDatabase, open_engine, store_url
from access.store.tables import Base
from infra.paths import access_path
from infra.process.ports import free_port
from schemas.errors import NotInstalledError, SettingsError, StorageError, UnavailableError
from tests.support.postgresql import PostgreSql

ADD = text("INSERT INTO service_accounts (id, name, is_admin, created_at) VALUES (:id, :id, 0, '2026-01-01')")
COUNT = text("SELECT count(*) FROM service_accounts")


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Engine, Engine]]:
    """Two processes' engines of one file; who has to wait gives up at once."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.0)
    opened = open_engine(store_url(tmp_path, "")), open_engine(store_url(tmp_path, ""))
    yield opened
    for each in opened:
        each.dispose()


def writing(engine: Engine) -> Engine:
    return engine.execution_options(**{WRITES: True})


def test_a_new_store_has_all_tables_and_its_folder(tmp_path: Path) -> None:
    opened = open_engine(store_url(tmp_path / "deep" / "data", ""))
    assert set(inspect(opened).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    assert access_path(tmp_path / "deep" / "data").exists()
    opened.dispose()


def test_a_store_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    for number in range(2):
        opened = open_engine(store_url(tmp_path, ""))
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
        open_engine(store_url(tmp_path, ""))


def test_a_password_in_the_address_is_in_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = store_url(tmp_path, "").set(username="store", password="s3cret")
    nowhere = store_url(tmp_path / "missing" / "folder", "")
    monkeypatch.setattr(module, "create_engine", lambda _url, **_options: create_engine(nowhere))
    with pytest.raises(StorageError) as caught:
        open_engine(url)
    assert "s3cret" not in caught.value.message
    assert "store:***" in caught.value.message


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cret@db/x", "postgres://u:s3cret@db/x", "postgresql+psycopg://u:s3cret@db/x"]
)
def test_all_spellings_of_postgresql_take_the_driver_that_is_shipped(tmp_path: Path, url: str) -> None:
    assert store_url(tmp_path, url).render_as_string(hide_password=False) == "postgresql+psycopg://u:s3cret@db/x"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:s3cret@db/x", "names 'mysql'; expected postgresql://"),
        ("sqlite:///s3cret", "names 'sqlite'"),
        ("s3cret", "is no address of a database"),
        ("postgresql://u:s3cret@db:port/x", "is no address of a database"),
    ],
)
def test_an_address_of_something_else_is_refused_without_repeating_it(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        store_url(tmp_path, url)
    assert "s3cret" not in refused.value.message


def test_without_the_driver_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(NotInstalledError, match=r"headrace\[postgresql\]"):
        store_url(tmp_path, "postgresql://db/x")


def test_a_server_that_does_not_answer_is_away_and_its_password_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not answer") as away:
        AccessDatabase.open(tmp_path, f"postgresql://u:s3cret@127.0.0.1:{free_port()}/x")
    assert "s3cret" not in away.value.message


def test_a_server_that_comes_back_is_asked_again(tmp_path: Path, server: PostgreSql) -> None:
    database = AccessDatabase.open(tmp_path, server.url)
    server.kill()
    with pytest.raises(UnavailableError, match="try again"), database.reading() as session:
        session.execute(COUNT)
    server.start()
    with database.reading() as session:
        assert session.scalar(COUNT) == 0
    database.close()


def test_who_waits_for_a_lock_waits_a_bounded_time(
    tmp_path: Path, server: PostgreSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STATEMENT_SECONDS", 1)
    database = AccessDatabase.open(tmp_path, server.url)
    holder = create_engine(store_url(tmp_path, server.url))
    with holder.begin() as connection:
        connection.execute(text("LOCK TABLE service_accounts"))
        with pytest.raises(UnavailableError, match="timeout"), database.reading() as session:
            session.execute(COUNT)
    holder.dispose()
    database.close()


def test_a_password_in_the_query_is_in_no_message(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as away:
        AccessDatabase.open(tmp_path, f"postgresql://127.0.0.1:{free_port()}/x?user=u&password=s3cret")
    assert "s3cret" not in away.value.message


def test_a_mistake_of_ours_is_no_outage(tmp_path: Path) -> None:
    database = AccessDatabase.open(tmp_path)
    with database.writing() as session:
        session.execute(ADD, {"id": "a"})
    with pytest.raises(IntegrityError), database.writing() as session:
        session.execute(ADD, {"id": "a"})
    database.close()
