import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import CodecError, NewerFormatError, RequestError
from schemas.limits import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH
from schemas.registry.fold import (
    Registration,
    Registry,
    canonical_form,
    guid_of,
)


def record(name: str, *fields: dict[str, Any], **attributes: Any) -> str:
    return json.dumps({"type": "record", "name": name, "fields": list(fields), **attributes})


def registration(subject: str, schema: str) -> bytes:
    return msgspec.json.encode(Registration(subject=subject, schema=schema))


A = record("a", {"name": "x", "type": "long"})
B = record("b", {"name": "x", "type": "long"})


def test_the_id_of_a_schema_is_the_offset_of_its_first_registration_plus_one() -> None:
    registry = Registry()
    registry.register_record(5, registration("s", A))
    registry.register_record(9, registration("t", B))
    registry.register_record(12, registration("t", A))
    found = registry.schema(6)
    assert found is not None
    assert (found.id, found.text) == (6, A)
    assert [(use.subject, use.version) for use in registry.uses(6)] == [("s", 1), ("t", 2)]
    assert registry.schema(13) is None


def test_versions_count_the_distinct_schemas_of_a_subject_in_log_order() -> None:
    registry = Registry()
    for offset, schema in enumerate([A, B, A, B]):
        registry.register_record(offset, registration("s", schema))
    assert [(each.version, each.schema.id) for each in registry.versions("s")] == [(1, 1), (2, 2)]


def test_a_schema_in_another_layout_is_the_same_and_keeps_the_first_text() -> None:
    registry = Registry()
    first = registry.register_record(0, registration("s", A))
    again = registry.register_record(1, registration("s", json.dumps(json.loads(A), indent=2, sort_keys=True)))
    assert again is first
    assert first.schema.text == A


@pytest.mark.parametrize(
    "other",
    [
        record("a", {"name": "x", "type": "long", "default": 0}),
        record("a", {"name": "x", "type": {"type": "long", "logicalType": "timestamp-micros"}}),
        record("a", {"name": "x", "type": "long", "aliases": ["y"]}),
        record("a", {"name": "x", "type": "long"}, doc="what it is"),
        record("a", {"name": "x", "type": "long"}, namespace="n"),
    ],
)
def test_defaults_logical_types_aliases_docs_and_namespaces_tell_schemas_apart(other: str) -> None:
    assert canonical_form(other) != canonical_form(A)
    assert guid_of(canonical_form(other)) != guid_of(canonical_form(A))


def test_a_name_is_the_same_however_its_namespace_is_written() -> None:
    assert canonical_form(record("n.a")) == canonical_form(record("a", namespace="n"))


def test_lookup_finds_a_schema_under_its_own_subjects_only() -> None:
    registry = Registry()
    registry.register_record(0, registration("s", A))
    registry.register_record(1, registration("t", B))
    found = registry.lookup("s", json.dumps(json.loads(A), indent=1))
    assert found is not None
    assert (found.subject, found.version, found.schema.id) == ("s", 1, 1)
    assert registry.lookup("t", A) is None
    assert registry.lookup("u", A) is None


def test_a_schema_is_found_by_its_guid_and_subjects_are_sorted() -> None:
    registry = Registry()
    registry.register_record(0, registration("t", A))
    added = registry.register_record(1, registration("s", B))
    assert registry.schema_by_guid(added.schema.guid) is added.schema
    assert registry.schema_by_guid("") is None
    assert registry.subjects() == ["s", "t"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "offset 3 holds no registration"),
        (b"\xff", "offset 3 holds no registration"),
        (b"{}", "required field `subject`"),
        (registration("s", "[["), "not JSON"),
        (b'{"subject":"s","schema":"\\"int\\"","schemaType":"JSON"}', "schema type 'JSON', expected 'AVRO'"),
    ],
)
def test_a_record_that_registers_nothing_changes_nothing(value: bytes | None, reason: str) -> None:
    registry = Registry()
    with pytest.raises(CodecError, match=reason):
        registry.register_record(3, value)
    assert registry.subjects() == []
    assert registry.schema(4) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("1", "got `int`"),
        ("null", "got `null`"),
        ("{}", "attribute 'type' is missing"),
        ('{"type":"record"}', '"name" is a required field'),
        ('{"type":"record","name":"r","fields":3}', "not an Avro schema"),
        ('{"type":"record","name":"r","fields":[{"name":"x","type":"int","default":"s"}]}', "Default value"),
        ('"mystery"', "mystery"),
        ("\ud800", "not JSON"),
        ('{"type":"record","name":"r","fields":[],"__named_schemas":{}}', "'__named_schemas'"),
        ("[" * (MAX_SCHEMA_DEPTH + 1) + "]" * (MAX_SCHEMA_DEPTH + 1), "nests deeper"),
        ("[" * 100_000 + "]" * 100_000, "not an Avro schema"),
        ('"' + "x" * MAX_SCHEMA_BYTES + '"', "at most"),
    ],
    ids=lambda value: value.encode("ascii", "replace").decode()[:20],
)
def test_what_is_no_schema_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        canonical_form(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "name", "fields", "items", "values", "symbols", "size", "default", "namespace"])
            | st.text(max_size=3),
            inner | st.sampled_from(["record", "enum", "array", "map", "fixed", "int", "r"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_either_a_schema_or_refused(document: Any) -> None:
    text = json.dumps(document)
    try:
        canonical = canonical_form(text)
    except RequestError as error:
        assert error.message  # noqa: PT017 - most documents are refused, and either outcome is right
    else:
        assert canonical_form(canonical) == canonical


@given(st.lists(st.tuples(st.sampled_from("st"), st.sampled_from([A, B, "?"])), max_size=12))
def test_versions_and_ids_are_what_a_plain_list_says(log: list[tuple[str, str]]) -> None:
    registry = Registry()
    for offset, (subject, schema) in enumerate(log):
        try:
            registry.register_record(offset, registration(subject, schema))
        except CodecError:
            assert schema == "?"
    for subject in "st":
        distinct = list(dict.fromkeys(schema for owner, schema in log if owner == subject and schema != "?"))
        first = {schema: [text for _, text in log].index(schema) + 1 for schema in distinct}
        expected = [(number, first[schema], schema) for number, schema in enumerate(distinct, 1)]
        assert [(each.version, each.schema.id, each.schema.text) for each in registry.versions(subject)] == expected


def test_a_registration_of_a_later_format_is_refused_by_name_of_it() -> None:
    later = msgspec.json.encode(Registration(subject="s", schema='"long"', format=2))
    with pytest.raises(NewerFormatError, match="offset 5 holds a registration of format 2, expected 1; upgrade"):
        Registry().register_record(5, later)


def test_a_registration_of_a_later_format_and_another_shape_is_no_garbage() -> None:
    with pytest.raises(NewerFormatError, match="format 2, expected 1; upgrade"):
        Registry().register_record(5, b'{"format": 2, "subjects": ["s"]}')
