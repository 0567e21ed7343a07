import pytest

from access.roles import ALL_WORKSPACES, Action, Principal, Role


def principal(roles: dict[str, frozenset[Role]], *, is_admin: bool = False) -> Principal:
    return Principal("id", "name", is_admin, roles, None)


READS = {Action.READ_SCHEMA, Action.VALIDATE}


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, READS),
        (Role.OPERATOR, READS),
        (Role.CONSUMER, READS | {Action.READ_FEATURES}),
        (Role.EDITOR, READS | {Action.READ_FEATURES, Action.INGEST, Action.REGISTER_SCHEMA}),
        (Role.OWNER, set(Action)),
    ],
)
def test_each_role_allows_what_the_reference_says_and_no_more(role: Role, allowed: set[Action]) -> None:
    caller = principal({"prod": frozenset({role})})
    assert {action for action in Action if caller.may(action, "prod")} == allowed


def test_a_role_counts_in_its_workspace_only() -> None:
    caller = principal({"prod": frozenset({Role.OWNER})})
    assert not any(caller.may(action, "staging") for action in Action)


def test_a_role_in_all_workspaces_adds_to_those_of_one() -> None:
    caller = principal({"prod": frozenset({Role.EDITOR}), ALL_WORKSPACES: frozenset({Role.VIEWER})})
    assert caller.may(Action.INGEST, "prod")
    assert caller.may(Action.VALIDATE, "staging")
    assert not caller.may(Action.INGEST, "staging")


def test_an_admin_administers_everywhere_but_reads_no_features() -> None:
    caller = principal({}, is_admin=True)
    assert [action for action in Action if caller.may(action, "prod")] == [Action.ADMINISTER]


def test_no_role_allows_nothing() -> None:
    assert not any(principal({}).may(action, "prod") for action in Action)
