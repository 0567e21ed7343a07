"""The engine of the access store: a SQLite file of the data folder, or a PostgreSQL database by URL.

Invariant: a transaction that writes never fails half-way because another process wrote first; it waits instead, and a
bounded time. On SQLite it takes the write lock when it begins, and readers wait for nobody (write-ahead log).
"""

import importlib.util
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from access.store.migrations import migrate
from infra.paths import access_path
from schemas.errors import NotInstalledError, SettingsError, StorageError, UnavailableError

BUSY_SECONDS: Final = 10.0
"""How long a writer waits for another process's transaction."""

CONNECT_SECONDS: Final = 3
"""How long PostgreSQL may take to answer a new connection."""

STATEMENT_SECONDS: Final = 5
"""How long PostgreSQL may work on, or wait with, one statement."""

CONNECTIONS: Final = 4
"""To PostgreSQL, of one process."""

WRITES: Final = "headrace_writes"
"""Execution option of engines whose transactions write."""

_POSTGRESQL: Final = frozenset({"postgresql", "postgres", "postgresql+psycopg"})


def store_url(data: Path, url: str) -> URL:
    """Returns the address of the store.

    Args:
        data: the data folder.
        url: of a PostgreSQL database, or nothing for the SQLite file in the data folder.

    Raises:
        SettingsError: it is no address of PostgreSQL. The message does not repeat it: it may hold a password.
        NotInstalledError: the driver is not installed.
    """
    if not url:
        return URL.create("sqlite", database=str(access_path(data)))
    expected = "expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(f"setting access_url is no address of a database; {expected}") from None
    if parsed.drivername not in _POSTGRESQL:
        raise SettingsError(f"setting access_url names {parsed.drivername!r}; {expected}")
    if importlib.util.find_spec("psycopg") is None:
        raise NotInstalledError("access_url needs the driver of PostgreSQL: pip install 'headrace[postgresql]'")
    return parsed.set(drivername="postgresql+psycopg")


def open_engine(url: URL) -> Engine:
    """Opens the database, and brings its tables to what this version knows.

    Raises:
        StorageError: it cannot be opened, or a later version was here.
        UnavailableError: the database server does not answer.
    """
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite and url.database:
        _make_folder(Path(url.database).parent)
    engine = create_engine(url, **(_sqlite_options() if is_sqlite else _postgresql_options()))
    if is_sqlite:
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            migrate(connection)
    except DBAPIError as error:
        engine.dispose()
        # Without the query, which may hold the password too.
        shown = url.set(query={}).render_as_string(hide_password=True)
        if not is_sqlite:
            raise UnavailableError(f"the access store {shown} does not answer: {_reason(error)}") from None
        raise StorageError(
            f"the access store {shown} cannot be opened: {error.orig}; "
            "check that the folder is writable and the file is a database, or restore it from a copy"
        ) from error
    except StorageError:
        engine.dispose()
        raise
    return engine


class AccessDatabase:
    """The database of the access store, as each family of tables uses it: one transaction a block.

    Args:
        engine: open and migrated.
    """

    def __init__(self, engine: Engine) -> None:
        self._readers = engine
        self._writers = engine.execution_options(**{WRITES: True})

    @classmethod
    def open(cls, data: Path, url: str = "") -> Self:
        """Opens it; makes it if there is none.

        Args:
            data: the data folder.
            url: of a PostgreSQL database, or nothing for the SQLite file in the data folder.

        Raises:
            SettingsError: the URL is none of PostgreSQL.
            NotInstalledError: the driver is not installed.
            StorageError: it cannot be opened, or a later version was here.
            UnavailableError: the database server does not answer.
        """
        return cls(open_engine(store_url(data, url)))

    def close(self) -> None:
        """Closes all connections."""
        self._readers.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Gives the block a session that reads.

        Raises:
            UnavailableError: the database does not answer.
        """
        with answering(), Session(self._readers) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Gives the block a session that writes; what it did is undone if it raises.

        Raises:
            UnavailableError: the database does not answer.
        """
        with answering(), Session(self._writers) as session, session.begin():
            yield session


@contextmanager
def answering() -> Iterator[None]:
    """Turns what the database fails with, while the block uses it, into what callers can do about it.

    Raises:
        UnavailableError: it is away, busy for too long, or has no connection left.
    """
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        reason = _reason(error) if isinstance(error, DBAPIError) else "all connections are busy"
        raise UnavailableError(f"the access store does not answer: {reason}; try again") from error


def _reason(error: DBAPIError) -> str:
    """Returns the first line of what the driver says: further ones repeat it for each address."""
    return str(error.orig).partition("\n")[0]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the data folder {folder} cannot be made: {error.strerror}; check its permissions or choose another --data"
        ) from error


def _sqlite_options() -> dict[str, Any]:
    return {"connect_args": {"timeout": BUSY_SECONDS}}


def _postgresql_options() -> dict[str, Any]:
    milliseconds = STATEMENT_SECONDS * 1_000
    return {
        "connect_args": {
            "connect_timeout": CONNECT_SECONDS,
            "options": f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}",
            "application_name": "headrace",
            # A network that drops packets in silence ends a connection as soon as a server that says no.
            "tcp_user_timeout": milliseconds,
            "keepalives_idle": CONNECT_SECONDS,
            "keepalives_interval": 1,
            "keepalives_count": CONNECT_SECONDS,
        },
        "pool_size": CONNECTIONS,
        "max_overflow": 0,
        "pool_timeout": CONNECT_SECONDS,
        # A server that was restarted has closed the pool's connections: found out before a query, not by it.
        "pool_pre_ping": True,
    }


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver leaves transactions to ``_begin_sqlite``
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    options: Any = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES) else "BEGIN")
