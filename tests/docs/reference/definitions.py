"""The page of definitions, made of what `headrace` exports: signatures, docstrings, types and aggregate functions."""

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import headrace
from schemas.aggregation.table import FUNCTIONS, accepts, parameters_of
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.compile import compile_sources, compile_views
from schemas.definitions.repository import load_repository
from schemas.records.rows import compile_row_builder
from schemas.records.validate import compile_validator
from schemas.types import NAMED, DataType, Scalar
from serving.tecton.values import encoder
from tests.docs.reference.docstring import docstring
from tests.docs.reference.markdown import code, codes, page, table

DEFINITIONS = ("StreamSource", "Entity", "stream_feature_view", "Aggregate", "FeatureService")
"""What users call, in the order in which a repository has it."""

RETURNED = ("StreamFeatureView", "AggregateFeature")
"""What these return."""

PARTED = ("Array", "Map", "Struct")

SAMPLES: Sequence[tuple[str, Any]] = (
    ("Int64", 11),
    ("Float64", 12.5),
    ("String", "books"),
    ("Bool", True),
    ("Timestamp", "2026-01-31T10:30:00+01:00"),
    ("Array(Int64)", [1, None, 2]),
    ("Map(Int64)", {"red": 1, "blue": 2}),
    ('Struct((Field("lat", Float64), Field("lon", Float64)))', {"lat": 52.5, "lon": 13.25}),
)
"""Types, as they are written, and a value of each as a producer sends it."""

SAMPLE = """\
from headrace import *
source = StreamSource(
    name="sample",
    schema=[Field("key", Int64), Field("at", Timestamp), Field("x", {})],
    timestamp_field="at",
)
entity = Entity(name="key", join_keys=[Field("key", Int64)])
@stream_feature_view(source=source, entities=[entity], timestamp_field="at")
def view(record):
    return record
"""


def definitions_page() -> str:
    """Returns the page."""
    return page("Definitions", "headrace/__init__.py", _lines())


def _lines() -> Iterator[str]:
    yield "What a feature repository imports from `headrace`; nothing else is needed. `help(headrace.Entity)` and the"
    yield "like say the same. The rules behind have [numbers](../compatibility/definitions.md), and how large a thing"
    yield "may be stands in [limits](limits.md)."
    yield from ["", "## A repository", "", *_block(example_repository(), "python")]
    for name in DEFINITIONS:
        yield from _described(name, "##", ["name", "type", "default", "what it is"])
        if name == "Aggregate":
            yield from ["", *_block(docstring(headrace.Aggregate).example, "text"), *_functions()]
    yield from ["", "## Types"]
    yield from _types()
    yield from ["", "## What they return"]
    for name in RETURNED:
        yield from _described(name, "###", ["attribute", "type", "what it is"])


def example_repository() -> str:
    """Returns the examples of all definitions as the text of one module."""
    text = "\n\n".join(docstring(getattr(headrace, name)).example for name in DEFINITIONS if name != "Aggregate")
    names = [name for name in headrace.__all__ if re.search(rf"\b{name}\b", text)]
    imports = ["from headrace import (", *(f"    {name}," for name in names), ")"]
    return "\n".join(["from datetime import timedelta", "", *imports, "", text])


def _block(text: str, kind: str) -> list[str]:
    return [f"```{kind}", *text.splitlines(), "```"]


def _described(name: str, heading: str, heads: Sequence[str]) -> Iterator[str]:
    thing = getattr(headrace, name)
    told = docstring(thing)
    yield from ["", f"{heading} {code(name)}"]
    for paragraph in told.paragraphs:
        yield from ["", paragraph]
    if told.entries:
        yield ""
        yield from table(heads, _arguments(thing, told.entries, heads))
    for error, when in told.errors.items():
        yield from ["", f"Raises {code(error)}: {when}"]


def _arguments(thing: Any, texts: dict[str, str], heads: Sequence[str]) -> Iterator[list[str]]:
    for name, given in inspect.signature(thing).parameters.items():
        many = given.kind is inspect.Parameter.VAR_KEYWORD
        default = "" if many else "required" if given.default is given.empty else code(_plain(repr(given.default)))
        shown = {"default": default, "type": code(_plain(_annotation(given.annotation))), "what it is": texts[name]}
        yield [shown.get(head, code(f"**{name}" if many else name)) for head in heads]


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _plain(text: str) -> str:
    """Returns the text of a type or value without the modules that its names are from."""
    return re.sub(r"\b(?:[a-z_]+\.)+(?=\w)", "", text.replace("'", ""))


def _functions() -> Iterator[str]:
    yield from ["", "### Aggregate functions", ""]
    yield "All of them leave nulls out. Over no row at all the value is null."
    yield ""
    heads = ["function", "value", "columns", "type", "where every value is null", "parameters"]
    yield from table(heads, map(_function, FUNCTIONS))


def _function(name: str) -> list[str]:
    bound = FUNCTIONS[name]()
    text = " ".join(docstring(FUNCTIONS[name]).paragraphs)
    taken = [scalar for scalar in NAMED.values() if accepts(bound, scalar)]
    columns = "every scalar" if len(taken) == len(NAMED) else ", ".join(map(_type_name, taken))
    outputs = {bound.output(column) for column in taken}
    dtype = _type_name(outputs.pop()) if len(outputs) == 1 else "the column's"
    if "n" in parameters_of(name):
        dtype += f"; with {code('n')} an array of it"
    nulls = {bound.finish([kind.lift([0], [None]) for kind in bound.partials(column)]) for column in taken}
    return [code(name), text, columns, dtype, code(json.dumps(*nulls)), codes(parameters_of(name)) or "none"]


def _type_name(dtype: DataType) -> str:
    return code(next(name for name, scalar in NAMED.items() if scalar == dtype))


def _types() -> Iterator[str]:
    for paragraph in docstring(Scalar).paragraphs:
        yield from ["", paragraph]
    yield from ["", "A value of each, from the producer to the reader:", ""]
    heads = ["type", "sent in JSON", "Avro", "in a view's function", "served"]
    yield from table(heads, (_sample(written, sent) for written, sent in SAMPLES))
    for name in (*PARTED, "Field"):
        yield from _described(name, "###", ["name", "type", "default", "what it is"])


def _sample(written: str, sent: Any) -> list[str]:
    """Returns what becomes of a value on its way, by the code that takes it there."""
    repository = load_repository({"sample.py": SAMPLE.format(written)}, "")
    sources = compile_sources(repository, 1)
    (source,), (view,) = sources.values(), compile_views(repository, sources).values()
    schema = avro.parse(source.schema)
    record = compile_validator(source)({"key": 1, "at": "2026-01-31T09:30:00Z", "x": sent})
    given = wire.unframe(wire.frame(1, schema, record), schema, None)
    stored = compile_row_builder(view)(given)[2][-1]
    encode = encoder(view.columns[-1].dtype)
    kind = json.loads(source.schema)["fields"][-1]["type"]
    told = [
        json.dumps(sent),
        json.dumps(kind).strip('"'),
        _shown(given["x"]),
        json.dumps(encode(stored) if encode else stored),
    ]
    return [code(written), *map(code, told)]


def _shown(value: Any) -> str:
    return f"datetime({value:%Y, %-m, %-d, %-H, %-M}, tzinfo=UTC)" if isinstance(value, datetime) else repr(value)
