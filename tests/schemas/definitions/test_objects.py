from datetime import timedelta
from typing import Any

import pytest

from headrace import (
    Aggregate,
    Array,
    Bool,
    Entity,
    FeatureService,
    Field,
    Float64,
    Int64,
    Map,
    StreamFeatureView,
    StreamSource,
    String,
    Struct,
    Timestamp,
    stream_feature_view,
)
from schemas.definitions.objects import Origin
from schemas.errors import DefinitionError

FIELDS = [Field("user", String), Field("x", Float64), Field("at", Timestamp)]
SOURCE = StreamSource(name="events", schema=FIELDS, timestamp_field="at")
USER = Entity(name="user", join_keys=[Field("user", String)])
COUNT = Aggregate("count", "x", timedelta(hours=1))


def function(record: dict[str, Any]) -> dict[str, Any]:
    return record


def view(**options: Any) -> StreamFeatureView:
    given = {"source": SOURCE, "entities": [USER], "timestamp_field": "at", **options}
    return stream_feature_view(**given)(function)


def source(**options: Any) -> StreamSource:
    return StreamSource(**{"name": "events", "schema": FIELDS, "timestamp_field": "at", **options})


def test_definitions_remember_where_they_were_written() -> None:
    assert SOURCE.origin == Origin(__file__, 27)
    assert str(USER.origin) == f"{__file__}:28"


def test_a_view_is_still_its_function() -> None:
    assert view()({"user": "u"}) == {"user": "u"}
    assert view().name == "function"
    assert view(name="other").name == "other"


def test_definitions_are_values() -> None:
    assert source() == SOURCE
    assert source(log_offline=True) != SOURCE
    assert FeatureService(name="s", features=[view()]) == FeatureService(name="s", features=[view()])


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a__b", "_a", "a_", "a.b", "é", None, 5])
def test_a_name_is_letters_digits_and_single_underscores(name: Any) -> None:
    expected = "letters, digits and single underscores, starting with a letter"
    with pytest.raises(DefinitionError) as caught:
        source(name=name)
    assert caught.value.message.endswith(f"StreamSource {name!r}: the name must be {expected}; rename it")
    assert caught.value.message.startswith(f"{__file__}:")


@pytest.mark.parametrize(
    ("make", "longest"),
    [
        (lambda name: source(name=name), 32),
        (lambda name: Entity(name=name, join_keys=USER.join_keys), 32),
        (lambda name: view(name=name, version="v"), 44),
        (lambda name: FeatureService(name=name, features=[view()]), 255),
        (lambda name: source(schema=[Field(name, String)]), 62),
    ],
    ids=["source", "entity", "view and version", "service", "column"],
)
def test_names_have_a_longest_length(make: Any, longest: int) -> None:
    make("a" * longest)
    with pytest.raises(DefinitionError, match=r"characters"):
        make("a" * (longest + 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schema": []}, r"StreamSource 'events': the schema has no fields; give schema=\[Field\(...\), ...\]"),
        ({"schema": ["user"]}, r"StreamSource 'events': expected Field\(name, type\), got 'user'"),
        ({"schema": [*FIELDS, FIELDS[0]]}, "StreamSource 'events': field 'user' is given twice; remove one"),
        ({"schema": [Field("x", int)]}, "field 'x': expected a type, Int64, Float64, .*, got <class 'int'>"),  # type: ignore[arg-type]
        (
            {"schema": [Field("x", Array(Struct((Field("a b", Int64),))))]},
            "field 'x': the name of member 'a b' must be letters, digits and underscores, not starting with a digit",
        ),
        (
            {"schema": [Field("x", Map(Struct((Field("a", Int64), Field("a", String)))))]},
            "field 'x': member 'a' is given twice; remove one",
        ),
        (
            {"schema": [Field("x", Struct((Field("a", Struct((Field("", Int64),))),)))]},
            "field 'x': member 'a': the name of member '' must be",
        ),
        ({"schema": [Field("x", Struct(("a",)))]}, r"a Struct is a tuple of Field\(name, type\), got 'a' in it"),  # type: ignore[arg-type]
    ],
)
def test_a_source_that_cannot_be_used_says_why(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        source(**options)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], r"Entity 'user': needs at least one join key; give join_keys=\[Field\(...\)\]"),
        ([Field("x", Float64)], "Entity 'user': join key 'x' is float64; expected string or int64"),
        ([Field("x", Array(Int64))], "Entity 'user': join key 'x' is array; expected string or int64"),
    ],
)
def test_an_entity_that_cannot_be_used_says_why(keys: list[Field], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Entity(name="user", join_keys=keys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "pandas"}, "stream_feature_view 'function': mode='pandas' is unknown; expected 'python'"),
        ({"version": "a b"}, "stream_feature_view 'function': version 'a b' must match "),
        ({"version": "v" * 60}, "stream_feature_view 'function': name and version together exceed 45 characters"),
        ({"source": "events"}, "stream_feature_view 'function': source must be a StreamSource, got str"),
        ({"entities": []}, "stream_feature_view 'function': entities must be a list of at least one Entity"),
        ({"entities": ["user"]}, "stream_feature_view 'function': entities must be a list of at least one Entity"),
        (
            {"ttl": timedelta(1), "features": [COUNT]},
            "ttl is for attribute views; remove it or the features; an attribute view has no features: it serves",
        ),
        ({"features": ["x"]}, r"got 'x' in it; an attribute view .* schema=\[Field\(\"x\", Type\), ...\]"),
        ({"features": "x"}, r"got 'x'; an attribute view .* schema=\[Field\(\"x\", Type\), ...\]"),
        ({"features": [COUNT, Field("x", Bool)]}, r"dtype=boolean.* in it; .* schema=\[Field\(\"x\", Bool\), ...\]"),
        ({"features": [Field("x", Array(Int64))]}, r" in it; .* schema=\[Field\(\"x\", Type\), ...\]"),
        ({"features": Field("x", Int64)}, r"required=True\); .* schema=\[Field\(\"x\", Int64\), ...\]"),
        (
            {"features": None},
            r"got None; an attribute view .* schema=\[Field\(\"country\", String\), ...\], or are all",
        ),
        ({"features": COUNT}, r"got one that is in no list; write features=\[Aggregate\(...\)\]"),
        ({"schema": Field("x", Int64)}, r"expected a list, \[Field\(name, type\), ...\], got Field\(name='x'"),
        ({"schema": "x"}, r"expected a list, \[Field\(name, type\), ...\], got 'x'"),
        ({"schema": ["x"]}, r"stream_feature_view 'function': expected Field\(name, type\), got 'x'"),
    ],
)
def test_a_view_that_cannot_be_used_says_why(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        view(**options)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([], "FeatureService 's': features must be a list of at least one feature view"),
        ([USER], "FeatureService 's': features must be a list of at least one feature view"),
        ([view(), view(version="V2")], "FeatureService 's': view 'function' is listed twice; remove one"),
    ],
)
def test_a_service_that_cannot_be_used_says_why(features: list[Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        FeatureService(name="s", features=features)


AVSC = '{"type": "record", "name": "events", "fields": [{"name": "at", "type": "long"}]}'


def test_a_schema_may_be_a_file_of_the_repository() -> None:
    files = {"schemas/events.avsc": AVSC}
    assert source(schema="schemas/events.avsc").resolved(files.__getitem__) == (Field("at", Int64),)
    assert SOURCE.resolved(files.__getitem__) == tuple(FIELDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "schema file 'e.avsc' is not in the repository; add it or correct the name"),
        ("{", "schema file 'e.avsc': Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "schema file 'e.avsc': maximum recursion depth exceeded"),
        ("[]", "schema file 'e.avsc': expected an Avro record schema"),
        ('{"type": "record"}', "schema file 'e.avsc': expected an Avro record schema whose fields each have a name"),
        (AVSC.replace('"at"', '"a-t"'), "StreamSource 'events': field 'a-t': the name must be letters, digits and"),
        (AVSC.replace('"long"', '"bytes"'), "schema file 'e.avsc': field 'at': Avro type \"bytes\" is not supported"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_schema_file_that_cannot_be_used_says_why(text: str | None, message: str) -> None:
    files = {} if text is None else {"e.avsc": text}
    with pytest.raises(DefinitionError, match=message):
        source(schema="e.avsc").resolved(files.__getitem__)


@pytest.mark.parametrize(
    ("identity", "problem"),
    [
        ("user", "identity must be a list of names of fields, got 'user'"),
        ([1], "identity must be a list of names of fields, got [1]"),
        (["user", "user"], "identity column 'user' is given twice; remove one"),
    ],
)
def test_an_identity_is_a_list_of_different_names(identity: object, problem: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        source(identity=identity)
    assert caught.value.message.endswith(f"StreamSource 'events': {problem}")
