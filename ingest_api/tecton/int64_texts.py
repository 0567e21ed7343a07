"""Whole numbers that come as decimal text, as the Tecton dialect allows (rule TI-6).

Invariant: what is no such text stays as it is, for the source's validator to judge and to name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from schemas.types import DataType, Field, Int64, Struct, fold

SOURCES_KEPT: Final = 256
"""Sources whose functions are kept ready."""

_DECIMAL: Final = re.compile(r"-?[0-9]{1,19}")

_Adapt = Callable[[Any], Any] | None
"""Of a type: what makes numbers of its texts; None where it holds no whole numbers."""


@lru_cache(SOURCES_KEPT)
def int64_texts(columns: tuple[Field, ...]) -> Callable[[object], object]:
    """Returns the function that makes numbers of the decimal texts in a record's int64 fields, however deep.

    Args:
        columns: of the source.
    """
    adapt = _of(Struct(columns))
    return (lambda record: record) if adapt is None else adapt


def _of(dtype: DataType) -> _Adapt:
    return fold(dtype, scalar=_scalar, array=_array, mapping=_mapping, struct=_struct)


def _scalar(name: str) -> _Adapt:
    return _number if name == Int64.name else None


def _number(value: Any) -> Any:
    return int(value) if type(value) is str and _DECIMAL.fullmatch(value) else value


def _array(item: _Adapt) -> _Adapt:
    if item is None:
        return None
    return lambda value: [item(each) for each in value] if type(value) is list else value


def _mapping(item: _Adapt) -> _Adapt:
    if item is None:
        return None
    return lambda value: {key: item(each) for key, each in value.items()} if type(value) is dict else value


def _struct(members: Sequence[tuple[Field, _Adapt]]) -> _Adapt:
    adapts: Mapping[str, Callable[[Any], Any]] = {field.name: adapt for field, adapt in members if adapt is not None}
    if not adapts:
        return None

    def adapt_members(value: Any) -> Any:
        if type(value) is not dict:
            return value
        return {name: adapts[name](each) if name in adapts else each for name, each in value.items()}

    return adapt_members
