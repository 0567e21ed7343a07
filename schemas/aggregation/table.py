"""The table of aggregate functions, and of the partials that they are made of.

A next function is a class, of a module of this folder, and an entry in ``FUNCTIONS``; a next kind of partial is a class
and an entry in ``PARTIALS``. The names are what plans store: an entry stays as long as plans may hold it.

Invariant: what ``described`` says of a partial is what ``partial_kind`` makes it of again.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, asdict, fields
from typing import Any, Final, cast

from schemas.aggregation.aggregate import AggregateFunction, PartialKind
from schemas.aggregation.counts import Count, CountFunction
from schemas.aggregation.extremes import Extreme, MaxFunction, MinFunction
from schemas.aggregation.lasts import Last, LastFunction
from schemas.aggregation.sums import FloatSum, IntSum, MeanFunction, SumFunction
from schemas.errors import DefinitionError
from schemas.types import DataType, Scalar

FUNCTIONS: Final[Mapping[str, Callable[..., AggregateFunction]]] = {
    "count": CountFunction,
    "sum": SumFunction,
    "mean": MeanFunction,
    "min": MinFunction,
    "max": MaxFunction,
    "last": LastFunction,
}
"""What binds each function to its parameters, e.g. ``FUNCTIONS["last"](n=3)``."""

PARTIALS: Final[Mapping[str, Callable[..., PartialKind]]] = {
    "count": Count,
    "extreme": Extreme,
    "float_sum": FloatSum,
    "int_sum": IntSum,
    "last": Last,
}

_NAMES: Final[Mapping[Callable[..., PartialKind], str]] = {kind: name for name, kind in PARTIALS.items()}


def parameters_of(function: str) -> tuple[str, ...]:
    """Returns the names of a function's parameters."""
    kind: Any = FUNCTIONS[function]
    return tuple(field.name for field in fields(kind))


def bind(function: str, parameters: Mapping[str, Any]) -> AggregateFunction:
    """Returns a function with its parameters.

    Raises:
        DefinitionError: there is no such function or no such parameter, or one has a value that it cannot have.
    """
    if function not in FUNCTIONS:
        raise DefinitionError(f"unknown function; expected one of {', '.join(FUNCTIONS)}")
    known = parameters_of(function)
    for name, value in parameters.items():
        if name not in known:
            advice = f"it takes {', '.join(known)}" if known else "remove it"
            raise DefinitionError(f"{name}={value!r} is not for {function!r}; {advice}")
    missing = [field.name for field in fields(cast("Any", FUNCTIONS[function])) if _is_needed(field, parameters)]
    if missing:
        raise DefinitionError(f"{missing[0]} is missing; {function!r} needs it")
    return FUNCTIONS[function](**parameters)


def _is_needed(parameter: Field[Any], given: Mapping[str, Any]) -> bool:
    return parameter.default is MISSING and parameter.name not in given


def accepts(function: AggregateFunction, column: DataType) -> bool:
    """Returns whether a function takes columns of a type."""
    if function.accepts is None:
        return isinstance(column, Scalar)
    return column in function.accepts


def described(kind: PartialKind) -> tuple[str, Mapping[str, Any]]:
    """Returns a kind of partial as plans store it: its name, and its parameters by name."""
    parameters: Any = kind
    return _NAMES[type(kind)], asdict(parameters)


def partial_kind(name: str, parameters: Mapping[str, Any]) -> PartialKind:
    """Returns the kind of partial that a plan stores.

    Raises:
        DefinitionError: this version does not know it.
    """
    if name not in PARTIALS:
        raise DefinitionError(f"this version does not know the partial {name!r}; upgrade Headrace")
    return PARTIALS[name](**parameters)
