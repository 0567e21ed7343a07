"""Feature values as the Tecton HTTP API writes them (rule TF-9).

Invariant: what an encoder returns is JSON as it stands, and loses nothing: integers are decimal strings, the floats
that JSON lacks are ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, structs are arrays of their members in order.

Instants are as `schemas.instants.instant_text` has them, which is the rule of protobuf's JSON form; the documented
samples follow it (``15:50:00Z``, ``58.996Z``).
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, Final

from schemas.instants import instant_text
from schemas.types import DataType, Field, fold

Encode = Callable[[Any], Any]

_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _float(value: float) -> float | str:
    return value if isfinite(value) else _NOT_FINITE[repr(value)]


OF_SCALAR: Final[dict[str, Encode | None]] = {
    "int64": str,
    "float64": _float,
    "string": None,
    "boolean": None,
    "timestamp": instant_text,
}


def encoder(dtype: DataType) -> Encode | None:
    """Returns the function that encodes values of a type, which are never None; None if they stand as they are."""
    return fold(dtype, scalar=OF_SCALAR.__getitem__, array=_array, mapping=_map, struct=_struct)


def _array(encode: Encode | None) -> Encode | None:
    if encode is None:
        return None
    return lambda value: [None if item is None else encode(item) for item in value]


def _map(encode: Encode | None) -> Encode | None:
    if encode is None:
        return None
    return lambda value: {key: None if item is None else encode(item) for key, item in value.items()}


def _struct(members: Sequence[tuple[Field, Encode | None]]) -> Encode:
    encoders = [(field.name, encode) for field, encode in members]

    def struct(value: dict[str, Any]) -> list[Any]:
        items = [(value.get(name), encode) for name, encode in encoders]
        return [item if item is None or encode is None else encode(item) for item, encode in items]

    return struct
