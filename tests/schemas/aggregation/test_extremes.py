import struct
from math import nan

import msgspec
import pytest

from schemas.aggregation.extremes import Extreme, MaxFunction, MinFunction, Which
from schemas.types import Float64, String
from tests.schemas.aggregation.test_table import finished
from tests.support import oracle


@pytest.mark.parametrize("which", ["min", "max"])
def test_all_nans_are_one(which: Which) -> None:
    kind = Extreme(which, floats=True)
    (other,) = struct.unpack("d", struct.pack("Q", 0xFFF8000000000001))
    found = [kind.lift([1], [other]), kind.lift([1, 2], [nan, other]), kind.lift([1, 2], [other, nan])]
    found += [kind.merge([[other]]), kind.merge([[other], [nan]])]
    assert {msgspec.msgpack.encode(partial) for partial in found} == {msgspec.msgpack.encode([nan])}


def test_nan_is_greater_than_every_number() -> None:
    assert Extreme("min", floats=True).lift([1, 2], [float("nan"), float("inf")]) == [float("inf")]
    (greatest,) = Extreme("max", floats=True).lift([1, 2], [float("inf"), float("nan")])
    assert greatest != greatest  # noqa: PLR0124 - how one asks for NaN


def test_minus_zero_is_less_than_zero() -> None:
    for zeros in ([0.0, -0.0], [-0.0, 0.0]):
        assert oracle.same(Extreme("min", floats=True).lift([1, 2], zeros), [-0.0])
        assert oracle.same(Extreme("max", floats=True).lift([1, 2], zeros), [0.0])


def test_the_least_and_the_greatest_of_texts_and_of_nothing() -> None:
    assert finished(MinFunction(), String, ["b", None, "a"]) == "a"
    assert finished(MaxFunction(), String, ["b", None, "a"]) == "b"
    assert [finished(function, Float64, [None]) for function in (MinFunction(), MaxFunction())] == [None, None]


def test_which_of_the_two_is_no_parameter() -> None:
    assert (MinFunction().which, MaxFunction().which) == (MinFunction().text(), MaxFunction().text()) == ("min", "max")
