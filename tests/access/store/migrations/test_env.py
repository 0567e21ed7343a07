import importlib
import multiprocessing
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import access.store
from access.store.engine import AccessDatabase
from access.store.migrations import FOLDER, HEAD, revision_of
from access.store.tables import Base
from schemas.errors import StorageError

BEFORE_STEPS = {"keys", "role_assignments", "service_accounts"}
"""The tables that stores had before there were steps."""


def every_table() -> None:
    """Imports each family's module, so that its tables are known."""
    for module in pkgutil.iter_modules(access.store.__path__, f"{access.store.__name__}."):
        if not module.ispkg:
            importlib.import_module(module.name)


def test_the_steps_lead_to_the_tables_that_the_code_has(tmp_path: Path, url: str) -> None:
    every_table()
    database = AccessDatabase.open(tmp_path, url)
    with database.reading() as session:
        found: list[Any] = compare_metadata(MigrationContext.configure(session.connection()), Base.metadata)
    database.close()
    assert found == []


def test_the_last_step_is_the_one_that_the_files_are_numbered_up_to() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_store_is_at_the_last_step_however_often_it_is_opened(tmp_path: Path, url: str) -> None:
    for _ in range(2):
        database = AccessDatabase.open(tmp_path, url)
        with database.reading() as session:
            assert revision_of(session.connection()) == HEAD
        database.close()


def test_a_store_of_before_there_were_steps_is_taken_over_with_what_it_holds(tmp_path: Path, url: str) -> None:
    database = AccessDatabase.open(tmp_path, url)
    with database.writing() as session:
        for table in set(inspect(session.connection()).get_table_names()) - BEFORE_STEPS:
            session.execute(text(f"DROP TABLE {table}"))
        session.execute(
            text("INSERT INTO service_accounts (id, name, is_admin, created_at) VALUES ('a', 'a', :no, :at)"),
            {"no": False, "at": "2026-01-01 00:00:00"},
        )
    database.close()
    again = AccessDatabase.open(tmp_path, url)
    with again.reading() as session:
        assert session.scalar(text("SELECT name FROM service_accounts")) == "a"
        assert revision_of(session.connection()) == HEAD
    again.close()


def test_a_store_of_a_later_version_is_refused_with_what_to_do(tmp_path: Path, url: str) -> None:
    database = AccessDatabase.open(tmp_path, url)
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StorageError, match=rf"is at step 9999, and this version of Headrace knows {HEAD}.*upgrade"):
        AccessDatabase.open(tmp_path, url)


def opened(data: Path, url: str) -> bool:
    AccessDatabase.open(data, url).close()
    return True


def test_processes_that_open_a_new_store_at_the_same_time_all_find_it_whole(tmp_path: Path, url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.starmap(opened, [(tmp_path, url)] * 6, chunksize=1) == [True] * 6
