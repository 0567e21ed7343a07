"""The engine of the access store, safe for several processes at once.

Invariant: on SQLite a transaction that writes takes the write lock when it begins, so it never fails half-way because
another process wrote first; it waits instead. Readers wait for nobody (write-ahead log).
"""

import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from access.store.tables import Base
from infra.paths import access_path
from schemas.errors import StorageError

BUSY_SECONDS: Final = 10.0
"""How long a writer waits for another process's transaction."""

WRITES: Final = "headrace_writes"
"""Execution option of engines whose transactions write."""


def default_url(data: Path) -> URL:
    """Returns the address of the SQLite file in the data folder."""
    return URL.create("sqlite", database=str(access_path(data)))


def open_engine(url: URL) -> Engine:
    """Opens the database and makes what tables it lacks.

    Raises:
        StorageError: it cannot be opened.
    """
    if url.get_backend_name() == "sqlite" and url.database:
        folder = Path(url.database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"the data folder {folder} cannot be made: {error.strerror}; check its permissions or choose another "
                "--data"
            ) from error
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS} if url.get_backend_name() == "sqlite" else {})
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            Base.metadata.create_all(connection)
    except DBAPIError as error:
        engine.dispose()
        raise StorageError(
            f"the access store {url.render_as_string(hide_password=True)} cannot be opened: {error.orig}; "
            "check that the folder is writable and the file is a database, or restore it from a copy"
        ) from error
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver leaves transactions to ``_begin_sqlite``
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    options: Any = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES) else "BEGIN")
