import msgspec
import pytest

from schemas import limits
from tests.docs.reference.constants import constants

FIRST_RELEASE = {
    "MAX_SOURCE_RECORD_BYTES": 1_048_576,
    "MAX_JOIN_KEY_BYTES": 1_024,
    "MAX_ROW_BYTES": 1_048_576,
    "MAX_ROWS_PER_RECORD": 1_000,
    "MAX_ROWS_BYTES": 4_194_304,
    "MAX_TILE_BYTES": 1_048_576,
    "MAX_N": 1_000,
}


@pytest.mark.parametrize(("name", "least"), FIRST_RELEASE.items())
def test_a_limit_is_never_lowered_as_what_is_stored_stays(name: str, least: int) -> None:
    assert getattr(limits, name) >= least


def test_each_limit_says_what_it_is_of_and_what_happens_beyond_it() -> None:
    entries = list(constants(limits))
    assert sorted(entry.name for entry in entries) == sorted(name for name in vars(limits) if name.isupper())
    assert [entry.name for entry in entries if not (entry.title and entry.paragraph("Beyond it"))] == []


def test_a_function_may_pass_on_the_largest_record_and_a_message_takes_its_row() -> None:
    assert limits.MAX_SOURCE_RECORD_BYTES <= limits.MAX_ROW_BYTES <= limits.MAX_ROWS_BYTES


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 1.1])
def test_a_kept_value_with_its_time_fits_what_is_reckoned_for_it(value: float) -> None:
    time = -(2**63)
    assert len(msgspec.msgpack.encode(time)) + len(msgspec.msgpack.encode(value)) <= limits.KEPT_VALUE_BYTES


def test_the_longest_list_of_short_texts_fits_a_tile() -> None:
    assert limits.MAX_N * (limits.KEPT_VALUE_BYTES + limits.MIN_TEXT_BYTES) <= limits.MAX_TILE_BYTES
