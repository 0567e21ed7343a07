import io
import json
from typing import Any

import fastavro
import pytest

from schemas.errors import RequestError
from schemas.registry.fold import canonical_form

EMPTY = {"type": "record", "name": "e", "fields": []}


def array_in_record(items: Any) -> dict[str, Any]:
    return {"type": "record", "name": "r", "fields": [{"name": "a", "type": {"type": "array", "items": items}}]}


@pytest.mark.parametrize(
    ("items", "named"),
    [
        ("null", "null"),
        ({"type": "null"}, "null"),
        (EMPTY, "e"),
        ({"type": "fixed", "name": "f", "size": 0}, "f"),
        ({"type": "record", "name": "o", "fields": [{"name": "x", "type": EMPTY}, {"name": "y", "type": "e"}]}, "o"),
    ],
)
def test_an_array_of_nothing_is_refused(items: Any, named: str) -> None:
    for document in (array_in_record(items), {"type": "map", "values": ["null", array_in_record(items)]}):
        with pytest.raises(RequestError, match=f"the schema has an array of {named}, whose items take no bytes"):
            canonical_form(json.dumps(document))


@pytest.mark.parametrize(
    "items",
    [
        "int",
        ["null", "string"],
        {"type": "array", "items": "string"},
        {"type": "map", "values": "null"},
        {"type": "enum", "name": "n", "symbols": ["a"]},
        {"type": "fixed", "name": "f", "size": 1},
        {"type": "long", "logicalType": "timestamp-micros"},
        {"type": "record", "name": "o", "fields": [{"name": "x", "type": EMPTY}, {"name": "y", "type": "int"}]},
        {"type": "record", "name": "o", "fields": [{"name": "x", "type": ["null", "r"]}]},
    ],
)
def test_arrays_of_what_takes_bytes_are_taken(items: Any) -> None:
    canonical_form(json.dumps(array_in_record(items)))


def test_a_short_record_could_claim_any_number_of_such_items() -> None:
    schema = fastavro.parse_schema({"type": "array", "items": EMPTY})
    many: Any = fastavro.schemaless_reader(io.BytesIO(b"\x80\x89\x7a\x00"), schema, None)
    assert len(many) == 1_000_000


def test_types_that_use_each_other_many_times_are_looked_at_once_each() -> None:
    """Without that, this takes 2**60 steps, or the depth of the recursion limit."""
    uses = [{"name": "x", "type": "t0"}, {"name": "y", "type": "t0"}]
    types: list[dict[str, Any]] = [{**EMPTY, "name": "t0"}]
    for number in range(1, 2000):
        fields = [{**use, "type": f"t{number - 1}"} for use in uses]
        types.append({"type": "record", "name": f"t{number}", "fields": fields})
    with pytest.raises(RequestError, match="array of t1999"):
        canonical_form(json.dumps([*types, {"type": "array", "items": "t1999"}]))
