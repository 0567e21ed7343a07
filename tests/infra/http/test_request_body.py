import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Message

from infra.http.request_body import Arrivals, read_body
from schemas.errors import OverloadedError, SlowBodyError, TooLargeError
from schemas.limits import BODY_SECONDS, HURRIED_BODY_SECONDS


def read(messages: Sequence[Message], limit_bytes: int = 4, deadline_seconds: float = 30) -> bytes | None:
    """Reads a body that comes as these messages; after the last one nothing more comes."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return asyncio.run(read_body(receive, limit_bytes, "send less", deadline_seconds))


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_body_is_joined_from_its_parts() -> None:
    assert read([part(b"abcd", more=False)]) == b"abcd"
    assert read([part(b"ab", more=True), part(b"", more=True), part(b"cd", more=False)]) == b"abcd"
    assert read([{"type": "http.request"}]) == b""


def test_body_past_the_limit_is_refused_before_its_end() -> None:
    with pytest.raises(TooLargeError, match="larger than 4 bytes; send less"):
        read([part(b"abc", more=True), part(b"de", more=True)])


def test_body_that_does_not_arrive_is_refused_at_the_deadline() -> None:
    with pytest.raises(SlowBodyError, match=r"did not arrive within 0\.01 s \(3 bytes came\)"):
        read([part(b"abc", more=True)], deadline_seconds=0.01)


def test_caller_that_leaves_has_no_body() -> None:
    assert read([part(b"abc", more=True), {"type": "http.disconnect"}]) is None


def test_of_a_caller_with_many_bodies_on_their_way_further_ones_must_hurry() -> None:
    arrivals = Arrivals(2)
    with arrivals.of("slow") as first, arrivals.of("slow") as second, arrivals.of("slow") as third:
        assert (first, second, third) == (BODY_SECONDS, BODY_SECONDS, HURRIED_BODY_SECONDS)
        with arrivals.of("other") as theirs:
            assert theirs == BODY_SECONDS
    with arrivals.of("slow") as later:
        assert later == BODY_SECONDS


def test_a_hurried_body_that_is_late_is_told_of_the_limit_and_another_one_of_its_lateness() -> None:
    arrivals = Arrivals(1)

    def late() -> None:
        with arrivals.of("slow"):
            raise SlowBodyError("late")

    with pytest.raises(SlowBodyError):
        late()
    with arrivals.of("slow"), pytest.raises(OverloadedError, match="1 request bodies of this account are on"):
        late()
