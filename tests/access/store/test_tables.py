from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from access.keys import hash_key, new_key
from access.store.tables import Base, Key, RoleAssignment, ServiceAccount

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://")
    event.listen(made, "connect", lambda connection, _record: connection.execute("PRAGMA foreign_keys = ON"))
    Base.metadata.create_all(made)
    yield made
    made.dispose()


def account(name: str, *workspaces: str) -> ServiceAccount:
    roles = [RoleAssignment(workspace=workspace, role="viewer") for workspace in workspaces]
    return ServiceAccount(id=f"id of {name}", name=name, is_admin=False, created_at=AT, roles=roles)


def key_of(owner: ServiceAccount, name: str, key: str) -> Key:
    return Key(id=name, account_id=owner.id, key_hash=hash_key(key), created_at=AT)


def test_no_column_holds_a_key() -> None:
    columns = {f"{table.name}.{column.name}" for table in Base.metadata.sorted_tables for column in table.columns}
    assert {name for name in columns if "key" in name.rpartition(".")[2]} == {"keys.key_hash"}


def test_the_hash_of_a_key_fits_its_column_whole() -> None:
    assert len(hash_key(new_key())) == Key.__table__.c.key_hash.type.length  # type: ignore[attr-defined]  # TypeEngine


def test_a_name_and_a_key_are_taken_once(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([account("a"), key_of(account("a"), "1", "hr_x")])
        session.commit()
    twins = [
        ServiceAccount(id="other", name="a", is_admin=False, created_at=AT),
        key_of(account("a"), "2", "hr_x"),
        RoleAssignment(account_id="nobody", workspace="prod", role="viewer"),
    ]
    for twin in twins:
        with Session(engine) as session:
            session.add(twin)
            with pytest.raises(IntegrityError):
                session.flush()


def test_an_account_comes_with_its_roles_in_the_order_of_workspaces(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(account("a", "staging", "*", "prod"))
        session.commit()
    with Session(engine) as session:
        found = session.scalars(select(ServiceAccount)).one()
        assert (found.default_workspace, found.created_at) == (None, AT)
    assert [role.workspace for role in found.roles] == ["*", "prod", "staging"]  # read with it: the session is over


def test_a_key_comes_with_its_account_in_one_question(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([account("a", "prod"), key_of(account("a"), "1", "hr_x")])
        session.commit()
    with Session(engine) as session:
        found = session.scalars(select(Key)).one()
    assert (found.account.name, found.revoked_at) == ("a", None)
