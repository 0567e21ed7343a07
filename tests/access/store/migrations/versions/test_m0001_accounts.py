from sqlalchemy import create_engine, inspect

from access.store.migrations import migrate
from access.store.migrations.versions import m0001_accounts


def test_the_first_step_makes_accounts_roles_and_keys() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrate(connection)
        made = inspect(connection)
        assert {"keys", "role_assignments", "service_accounts"} <= set(made.get_table_names())
        assert [each["column_names"] for each in made.get_indexes("keys")] == [["account_id"]]
    engine.dispose()
    assert (m0001_accounts.revision, m0001_accounts.down_revision) == ("0001", None)
