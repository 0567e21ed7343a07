import pytest

from access.roles import ALL_WORKSPACES, Action, Principal, Role
from ingest_api.registry.subject_rights import SubjectRights, is_source_subject
from schemas.errors import ForbiddenError
from schemas.topics import acks_topic, dead_letter_topic, source_topic, updates_topic, value_subject


def rights(*roles: tuple[str, Role], default: str = "prod", bound_to: str | None = None) -> SubjectRights:
    held = {workspace: frozenset({role}) for workspace, role in roles}
    return SubjectRights(Principal("0" * 32, "caller", is_admin=False, roles=held, default_workspace=bound_to), default)


@pytest.mark.parametrize(
    "topic", [source_topic("a", "s"), dead_letter_topic("a", "s"), updates_topic("a"), acks_topic("a")]
)
@pytest.mark.parametrize("form", ["{}", "{}-value", "{}-key", "{}-org.example.Record", "{}-a\nb"])
def test_a_subject_of_one_of_our_topics_belongs_to_its_workspace(topic: str, form: str) -> None:
    assert rights().workspace_of(form.format(topic)) == "a"


@pytest.mark.parametrize(
    "subject",
    [
        "orders",
        "orders-value",
        "a.orders-value",
        "a.sourceful-value",
        "a.updatesx",
        ".source.s-value",
        "a.b.source.s",
        "",
    ],
)
def test_any_other_subject_belongs_to_the_default_workspace_whoever_asks(subject: str) -> None:
    for bound_to in (None, "elsewhere"):
        assert rights(bound_to=bound_to).workspace_of(subject) == "prod"


@pytest.mark.parametrize(
    ("subject", "holds"),
    [
        (value_subject(source_topic("a", "s")), True),
        ("a.source.s-key", False),
        ("a.source.s", False),
        ("a.source.s-value-value", True),  # of a source named s-value
        ("a.source.s.t-value", False),
        ("a.updates-value", False),
        ("a.source.s-value\n", False),
    ],
)
def test_a_source_subject_is_the_one_that_its_records_are_read_with(subject: str, *, holds: bool) -> None:
    assert is_source_subject(subject) is holds


def test_the_right_follows_from_name_and_roles_alone() -> None:
    caller = rights(("a", Role.EDITOR), ("b", Role.VIEWER), bound_to="a")
    assert caller.may(Action.REGISTER_SCHEMA, "a.source.s-value")
    assert not caller.may(Action.REGISTER_SCHEMA, "b.source.s-value")
    assert caller.may(Action.READ_SCHEMA, "b.source.s-value")
    assert not caller.may(Action.READ_SCHEMA, "orders-value")  # prod's, not of the workspace that the key is bound to
    assert rights((ALL_WORKSPACES, Role.VIEWER)).may(Action.READ_SCHEMA, "orders-value")


def test_a_refusal_names_the_workspace_and_not_whether_the_subject_exists() -> None:
    rights(("a", Role.EDITOR)).require(Action.REGISTER_SCHEMA, "a.source.s-value")
    with pytest.raises(ForbiddenError, match=r"^Not allowed to register schemas in workspace 'a'$"):
        rights(("a", Role.VIEWER)).require(Action.REGISTER_SCHEMA, "a.source.s-value")
    with pytest.raises(ForbiddenError) as caught:
        rights().require(Action.READ_SCHEMA, "x" * 500 + ".updates")
    assert len(caught.value.message) < 150


def test_one_readable_use_of_a_schema_is_enough() -> None:
    caller = rights(("a", Role.VIEWER))
    caller.require_any(["b.updates-value", "a.updates-value"])
    for subjects in ([], ["b.updates-value", "orders"]):
        with pytest.raises(ForbiddenError, match="in any workspace that uses this one"):
            caller.require_any(subjects)


def test_who_may_read_nowhere_is_refused() -> None:
    rights(("a", Role.VIEWER)).require_anywhere()
    with pytest.raises(ForbiddenError, match=r"^Not allowed to read schemas in any workspace$"):
        rights().require_anywhere()
