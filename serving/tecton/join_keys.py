"""Join keys of a request, checked against what a feature service expects (rules TF-7 and TF-9).

Invariant: what leaves here is one value per expected join key, in order, of its type or None; or the request is refused
with the documented text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from schemas.errors import RequestError
from schemas.state.keys import JoinKey
from schemas.types import INT64_MAX, INT64_MIN, Field

Decode = Callable[[Any], JoinKey]

_INTEGER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def _int64(value: Any) -> int:
    """Takes decimal text, or an integral number: clients send both."""
    if (type(value) is str and _INTEGER.fullmatch(value)) or (type(value) is float and value.is_integer()):
        value = int(value)
    if type(value) is not int or not INT64_MIN <= value <= INT64_MAX:
        raise TypeError
    return value


def _string(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


OF_SCALAR: Final[Mapping[str, Decode]] = {"int64": _int64, "string": _string}


class JoinKeys:
    """The join keys that a service expects; compiled once per service.

    Args:
        expected: in the order of its read plan.
    """

    def __init__(self, expected: Sequence[Field]) -> None:
        self._expected = [(field.name, field.dtype.name, OF_SCALAR[field.dtype.name]) for field in expected]
        self._names = frozenset(field.name for field in expected)

    def decode(self, given: Mapping[str, Any]) -> list[JoinKey]:
        """Returns the values in a request's ``joinKeyMap``.

        Raises:
            RequestError: a join key is missing, unknown or of the wrong type.
        """
        values: list[JoinKey] = []
        for name, kind, decode in self._expected:
            value = given.get(name)
            if value is None:
                if name not in given:
                    raise RequestError(f"Missing required join key: {name}")
                values.append(None)
                continue
            try:
                values.append(decode(value))
            except TypeError:
                raise RequestError(f"Unexpected JSON type for {name} in joinKeyMap. Expected {kind} or null.") from None
        if len(given) > len(values):
            unknown = next(name for name in given if name not in self._names)
            expected = " ".join(name for name, _, _ in self._expected)
            raise RequestError(f"Unknown join key: {unknown}, expected one of: [{expected}]")
        return values
