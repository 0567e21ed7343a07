from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import CodecError, NewerFormatError
from schemas.messages.updates import (
    MESSAGE_FORMAT,
    ROW_OUTCOMES,
    ReplyAddress,
    Row,
    Transformed,
    Update,
    Waiting,
    Written,
    decode_acks,
    decode_update,
    encode_acks,
    encode_update,
    place_of,
    plan_header,
    plan_of_header,
    rows_by_waiting,
)
from tests.support.histories import FLOATS, INTEGERS, TEXTS, examples

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
SCALAR = st.one_of(st.none(), st.booleans(), INTEGERS, FLOATS.filter(lambda value: value == value), TEXTS)  # noqa: PLR0124
VALUES = st.recursive(SCALAR, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3), max_leaves=5)
REPLIES = st.builds(
    ReplyAddress, U32, st.binary(min_size=1, max_size=16), st.integers(0, 2**16 - 1), st.text(min_size=1, max_size=32)
)
ROWS = st.builds(Row, st.binary(max_size=9), INTEGERS, U64, U64, U32, st.lists(VALUES, max_size=4))
UPDATES = st.builds(
    Update,
    st.just(MESSAGE_FORMAT),
    U64,
    U64,
    U32,
    st.lists(ROWS, max_size=3),
    st.lists(st.builds(Waiting, REPLIES, U32), max_size=3),
)
ACKS = st.lists(
    st.one_of(
        st.builds(
            Transformed,
            st.binary(),
            U32,
            st.lists(st.tuples(U64, U32, U32), max_size=2),
            st.lists(st.tuples(U64, TEXTS, TEXTS), max_size=2),
        ),
        st.builds(
            Written,
            st.binary(),
            U32,
            U64,
            U32,
            U32,
            st.sampled_from(("", "online", "offline")),
            TEXTS,
            st.dictionaries(st.sampled_from(ROW_OUTCOMES), U32),
        ),
    ),
    max_size=4,
)

PLACE_IN_EVENTS_3 = 3752786016
"""Of ``prod.source.events[3]``: headers that a release wrote are read by the next."""


@given(UPDATES)
@examples(100)
def test_updates_come_back(update: Update) -> None:
    assert decode_update(encode_update(update)) == update


@given(ACKS)
@examples(100)
def test_answers_come_back(acks: list[Any]) -> None:
    assert decode_acks(encode_acks(acks)) == acks


@given(REPLIES, U32, U64)
@examples(50)
def test_headers_come_back(reply: ReplyAddress, place: int, plan: int) -> None:
    assert ReplyAddress.of_header(reply.header(place)) == (reply, place)
    assert plan_of_header(plan_header(plan)) == plan


def test_places_tell_partitions_apart_and_are_the_same_in_every_release() -> None:
    places = [("a", 1), ("a", 11), ("a1", 1), ("b", 1)]
    assert len({place_of(topic, partition) for topic, partition in places}) == len(places)
    assert place_of("prod.source.events", 3) == PLACE_IN_EVENTS_3


@given(
    st.binary()
    | ACKS.map(encode_acks).flatmap(lambda data: st.integers(0, 255).map(lambda byte: data[:-1] + bytes([byte])))
)
@examples(200)
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    for decode in (decode_update, decode_acks):
        try:
            decode(data)
        except CodecError as error:
            assert error.message  # noqa: PT017 - both ends are right


def test_text_that_is_not_utf8_is_refused() -> None:
    row = b"\x96\xc4\x00\x01\x01\x01\x01\x91\xa1\xff"
    with pytest.raises(CodecError, match="not an update"):
        decode_update(b"\x96\x02\x01\x01\x01\x91" + row + b"\x90")


def test_an_unknown_format_says_to_upgrade() -> None:
    with pytest.raises(NewerFormatError, match="update has format 3, expected 2; upgrade Headrace"):
        decode_update(encode_update(Update(3, 1, 1, 0, [], [])))
    for other in (2, 4):
        with pytest.raises(CodecError, match=f"answers have format {other}, expected 3; upgrade Headrace"):
            decode_acks(msgspec.msgpack.encode((other, [])))


def test_a_format_of_another_shape_is_not_taken_for_garbage() -> None:
    with pytest.raises(NewerFormatError, match="update has format 3"):
        decode_update(msgspec.msgpack.encode((3, 1, 1, "of", "another", "shape")))


@pytest.mark.parametrize("garbage", [[7], [3, "a"], [1, 4, 0, 0, [], []]])
def test_what_no_later_version_wrote_is_garbage_and_stops_nobody(garbage: list[object]) -> None:
    with pytest.raises(CodecError) as refused:
        decode_update(msgspec.msgpack.encode(garbage))
    assert not isinstance(refused.value, NewerFormatError)


def test_headers_of_a_wrong_length_are_refused() -> None:
    with pytest.raises(CodecError, match="header headrace-reply has 11 bytes, expected more than 11"):
        ReplyAddress.of_header(bytes(11))
    with pytest.raises(CodecError, match="header headrace-reply has 15 bytes, expected more than 15"):
        ReplyAddress.of_header(ReplyAddress(1, b"", 0, "here").header(0))
    for length in (7, 9):
        with pytest.raises(CodecError, match=f"header headrace-plan has {length} bytes, expected 8"):
            plan_of_header(bytes(length))


def test_an_installation_that_is_no_text_is_refused() -> None:
    with pytest.raises(CodecError, match="names an installation that is no text"):
        ReplyAddress.of_header(bytes(10) + b"\x01\xffrequest")


class WrittenOfARelease(msgspec.Struct, frozen=True, array_like=True, tag="written"):
    """As the release before ``became`` reads it."""

    request: bytes
    index: int
    view: int
    partition: int
    rows: int
    store: str = ""
    message: str = ""


def test_an_earlier_release_passes_over_what_became_of_rows_and_its_own_acks_are_read() -> None:
    release = WrittenOfARelease(b"r", 1, 2, 3, 4)
    now = Written(b"r", 1, 2, 3, 4, became={"new": 4})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(now), type=WrittenOfARelease) == release
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(release), type=Written) == Written(b"r", 1, 2, 3, 4)


def update_with(offsets: list[int], waiting: list[int]) -> Update:
    reply = ReplyAddress(1, b"r", 0, "i")
    rows = [Row(b"k", 0, 0, offset, index, []) for index, offset in enumerate(offsets)]
    return Update(MESSAGE_FORMAT, 1, 1, 0, rows, [Waiting(reply, count) for count in waiting])


@pytest.mark.parametrize(
    ("offsets", "waiting", "expected"),
    [
        ([5, 5, 6], [2, 1], [range(2), range(2, 3)]),
        ([5], [1], [range(1)]),
        ([], [], []),
        ([5, 6], [], []),
        ([5, 6], [1], []),
        ([5, 5, 6], [1, 2], []),
        ([5, 6, 7], [1, 1], []),
    ],
)
def test_rows_are_told_apart_by_who_waits_only_where_someone_waits_for_each(
    offsets: list[int], waiting: list[int], expected: list[range]
) -> None:
    assert rows_by_waiting(update_with(offsets, waiting)) == expected
