"""Which functions, with which parameters, tests try: all of the table, so that a new one is tried at once."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.aggregation.table import FUNCTIONS

PARAMETERS: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {"last": ({}, {"n": 1}, {"n": 2}, {"n": 5})}
"""Of functions that take some: those that are tried."""


def bound_functions() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields each function with each of its parameters that are tried."""
    for function in FUNCTIONS:
        for parameters in PARAMETERS.get(function, ({},)):
            yield function, parameters
