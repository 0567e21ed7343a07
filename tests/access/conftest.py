import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import create_engine, text

from access.store.accounts import AccessStore
from access.store.engine import store_url
from tests.support.postgresql import PostgreSql, postgresql

_numbers: Final = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[PostgreSql]:
    """A PostgreSQL for all tests of a worker; each takes a database of its own (``url``)."""
    with postgresql() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The setting ``access_url`` of an empty store: nothing, or a new database."""
    if request.param == "sqlite":
        return ""
    running: PostgreSql = request.getfixturevalue("server")
    name = f"access{next(_numbers)}"
    engine = create_engine(store_url(Path(), running.url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return running.url.rpartition("/")[0] + f"/{name}"


@pytest.fixture
def open_store(tmp_path: Path, url: str) -> Iterator[Callable[[], AccessStore]]:
    """Opens one store, as often as it is called: as several processes would."""
    opened: list[AccessStore] = []

    def open_one() -> AccessStore:
        opened.append(AccessStore.open(tmp_path, url))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], AccessStore]) -> AccessStore:
    return open_store()
