"""Random data types, values of them, and views with columns of them."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.definitions.plan import ViewPlan
from schemas.messages.updates import MESSAGE_FORMAT, Row, Update
from schemas.state.keys import encode_join_keys
from schemas.types import Array, Bool, DataType, Field, Float64, Int64, Map, Scalar, String, Struct, Timestamp

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=6) | st.just("-type")
INSTANTS = st.integers(-(2**45), 2**52)
"""µs since the epoch; years that a datetime can hold."""
NAMES = st.text("abc", min_size=1, max_size=3)

OF_SCALAR: dict[str, st.SearchStrategy[Any]] = {
    "int64": INT64,
    "float64": st.floats(),
    "string": TEXT,
    "boolean": st.booleans(),
    "timestamp": INSTANTS,
}


def structs(types: st.SearchStrategy[DataType]) -> st.SearchStrategy[DataType]:
    fields = st.builds(Field, NAMES, types, st.booleans())
    return st.lists(fields, min_size=1, max_size=3, unique_by=lambda field: field.name).map(lambda f: Struct(tuple(f)))


TYPES: st.SearchStrategy[DataType] = st.recursive(
    st.sampled_from([Int64, Float64, String, Bool, Timestamp]),
    lambda types: st.builds(Array, types) | st.builds(Map, types) | structs(types),
    max_leaves=4,
)


def values(dtype: DataType) -> st.SearchStrategy[Any]:
    match dtype:
        case Scalar(name):
            return OF_SCALAR[name]
        case Array(element):
            return st.lists(st.none() | values(element), max_size=3)
        case Map(value):
            return st.dictionaries(TEXT, st.none() | values(value), max_size=3)
        case Struct(fields):
            return st.fixed_dictionaries({field.name: of_field(field) for field in fields})


def of_field(field: Field) -> st.SearchStrategy[Any]:
    return values(field.dtype) if field.required else st.none() | values(field.dtype)


def view_of(number: int, fields: tuple[Field, ...], **changes: Any) -> ViewPlan:
    """Returns an attribute view with join key ``user``, event time ``at`` and more columns."""
    columns = (Field("user", String, required=False), Field("at", Timestamp), *fields)
    plan = {
        "id": number,
        "name": "view",
        "version": f"V{number}",
        "source": "events",
        "join_keys": ("user",),
        "timestamp_field": "at",
        "columns": columns,
        "features": (),
        "partials": (),
        "resolutions": (),
        "interval": 0,
        "horizon": None,
        "grace": 0,
        "ttl": None,
        "online": True,
        "offline": True,
        "code": "",
    }
    return ViewPlan(**{**plan, **changes})


def row_of(user: str | None, at: int, append_time: int, offset: int, *rest: Any, index: int = 0) -> Row:
    return Row(encode_join_keys([user]), at, append_time, offset, index, [user, at, *rest])


def update_of(view: ViewPlan, rows: list[Row], *, plan: int = 1, source_partition: int = 0) -> Update:
    return Update(MESSAGE_FORMAT, plan, view.id, source_partition, rows, [])


@st.composite
def views(draw: st.DrawFn, number: int) -> ViewPlan:
    kinds = draw(st.lists(st.tuples(TYPES, st.booleans()), max_size=4))
    return view_of(number, tuple(Field(f"c{i}", dtype, required) for i, (dtype, required) in enumerate(kinds)))


@st.composite
def updates(draw: st.DrawFn, view: ViewPlan) -> Update:
    rest = [of_field(column) for column in view.columns[2:]]
    rows = [
        row_of(
            draw(st.none() | TEXT),
            draw(INSTANTS),
            draw(st.integers(0, 2**41)),
            draw(st.integers(0, 2**60)),
            *[draw(each) for each in rest],
            index=draw(st.integers(0, 999)),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    return update_of(view, rows, plan=draw(st.integers(0, 2**40)), source_partition=draw(st.integers(0, 2**20)))


canonical = msgspec.msgpack.Encoder(order="deterministic").encode
"""Bytes that are equal for equal values, NaN and the order of a dict's items included."""
