"""How the tables of the access store became what they are, one step a file, and how a database is brought there.

Each file of ``versions`` is a step, named by its number: ``m0001_accounts.py`` is the revision ``0001``. A step that a
release has shipped is never changed; what comes later is a step of its own.

Invariant: steps run in one transaction that no other process's can be in, so a database is at one step or the next.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from schemas.errors import StorageError

FOLDER: Final = Path(__file__).parent

HEAD: Final = max(path.name[1:5] for path in (FOLDER / "versions").glob("m[0-9]*.py"))
"""The revision that this version knows."""

LOCK: Final = 0x6865616472616365
"""Of PostgreSQL's advisory locks, the one that who migrates holds: the letters of ``headrace``."""


def revision_of(connection: Connection) -> str | None:
    """Returns the step that a database is at; None if it is at none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def migrate(connection: Connection) -> None:
    """Brings a database to ``HEAD``, within the transaction of a connection that writes.

    Raises:
        StorageError: a later version was here.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    revision = revision_of(connection)
    if revision == HEAD:
        return
    if revision is not None and revision > HEAD:
        raise StorageError(
            f"the access store is at step {revision}, and this version of Headrace knows {HEAD} at most: a later one "
            "has used it; upgrade Headrace, or restore the store from a copy of before"
        )
    _run_steps(connection)


def _run_steps(connection: Connection) -> None:
    # Imported where there is something to do: it takes a fifth of a second, which no start needs to pay twice.
    from alembic import command  # noqa: PLC0415 - as above
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
