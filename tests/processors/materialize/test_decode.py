from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from processors.materialize.decode import Decoded, decode
from schemas.errors import StorageError
from schemas.messages.updates import MESSAGE_FORMAT, Update, UpdateMessage, encode_update

if TYPE_CHECKING:
    from confluent_kafka import Message


class Said:
    """A message of ``prod.updates[3]``."""

    def __init__(self, offset: int, value: bytes | None) -> None:
        self._offset, self._value = offset, value

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes | None:
        return self._value

    def topic(self) -> str:
        return "prod.updates"

    def partition(self) -> int:
        return 3


def decoded(*values: bytes | None, first: int = 7) -> Decoded:
    return decode([cast("Message", Said(offset, value)) for offset, value in enumerate(values, first)])


def update(plan: int, view: int = 1) -> Update:
    return Update(MESSAGE_FORMAT, plan, view, 0, [], [])


def test_updates_come_in_order_with_their_offsets_and_the_newest_plan() -> None:
    updates = [update(5, 1), update(9, 2), update(4, 3)]
    found = decoded(*map(encode_update, updates))
    assert found == Decoded([UpdateMessage(offset, each) for offset, each in enumerate(updates, 7)], 9, [])


def test_where_there_are_no_updates_no_plan_made_one() -> None:
    assert decoded() == Decoded([], 0, [])
    assert (decoded(b"x").updates, decoded(b"x").plan) == ([], 0)


@pytest.mark.parametrize("garbage", [None, b"", b"no update", b"\xff" * 40])
def test_what_is_no_update_is_told_by_its_offset_and_stops_no_other(garbage: bytes | None) -> None:
    found = decoded(encode_update(update(5)), garbage, encode_update(update(6)), first=0)
    assert [each.offset for each in found.updates] == [0, 2]
    assert found.plan == 6
    ((offset, reason),) = found.others
    assert offset == 1
    assert reason


def test_an_update_of_a_later_format_stops_the_process_and_is_named() -> None:
    later = msgspec.msgpack.encode((MESSAGE_FORMAT + 1, 1, 1, "of", "another", "shape"))
    with pytest.raises(StorageError, match=r"^prod\.updates partition 3 offset 8: .*upgrade Headrace"):
        decoded(encode_update(update(5)), later)
