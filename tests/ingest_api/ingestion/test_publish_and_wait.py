import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from ingest_api.ingestion.answers import Answers
from ingest_api.ingestion.pending import Failure
from ingest_api.ingestion.publish_and_wait import INDICES_SHOWN, Batch, BatchOutcome, Ingestion
from ingest_api.ingestion.publisher import Delivery
from schemas.errors import OverloadedError, UnavailableError
from schemas.messages.updates import Ack, ReplyAddress, Transformed, Written, plan_header
from tests.support.plans import HeldPlans
from tests.support.repositories import HEAD, plan_of, view

SECOND_SOURCE = """
bare = StreamSource(name="bare", timestamp_field="at", schema=[Field("at", Timestamp)])
"""
PLAN = plan_of({"views.py": HEAD + SECOND_SOURCE + view("a") + view("b")}, number=7)
A, B = (PLAN.views[key].id for key in ("a@V1", "b@V1"))
NO = Failure("FUNCTION_FAILED", "ValueError: no")


@dataclass(frozen=True)
class Published:
    """A record on its way into Kafka."""

    topic: str
    partition: int
    value: bytes
    reply: ReplyAddress
    plan: bytes
    report_success: bool


@dataclass
class Site:
    """All that ingestion talks to, in one: plans, Kafka, and processors that answer with ``acks`` or ``deliveries``."""

    plans_failure: str | None = None
    replies_failure: str | None = None
    reply_partition: int | None = 3
    room: int = 1_000
    answer: Callable[["Published"], Ack | list[Ack] | Delivery | None] = lambda sent: Transformed(
        sent.reply.request, sent.reply.index, [], []
    )
    sent: list[Published] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers = Answers(0.01)
        self.plans = HeldPlans(PLAN)
        self.plans.failure = self.plans_failure
        self.ingestion = Ingestion(self.plans, self, Replies(self), self.answers, "h1")
        self.ingestion.complete = True

    def room_for(self, records: int) -> None:
        if records > self.room:
            raise OverloadedError("full")

    def publish(
        self, topic: str, partition: int, value: bytes, reply: ReplyAddress, plan: bytes, *, report_success: bool
    ) -> None:
        record = Published(topic, partition, value, reply, plan, report_success)
        self.sent.append(record)
        match self.answer(record):
            case Delivery() as delivery:
                self.answers.deliver([delivery])
            case None:
                pass
            case list() as acks:
                self.answers.take(acks)
            case ack:
                self.answers.take([ack])


@dataclass(frozen=True)
class Replies:
    """The replies of a site."""

    site: Site

    @property
    def failure(self) -> str | None:
        return self.site.replies_failure

    def partition_of(self, _workspace: str) -> int | None:
        return self.site.reply_partition


def ingest(
    *frames: Sequence[int], sources: Sequence[str] = ("events", "bare"), **site: Any
) -> tuple[list[BatchOutcome], Site]:
    """Ingests records at these indices, a list of them for each source."""

    async def scenario() -> tuple[list[BatchOutcome], Site]:
        made = Site(**site)
        known = made.ingestion.sources("prod")
        batches = [
            Batch(known.by_name[name], {index: b"%d" % index for index in indices})
            for name, indices in zip(sources, frames, strict=False)
        ]
        async with asyncio.timeout(20):
            return await made.ingestion.ingest(known, batches), made

    return asyncio.run(scenario())


def failing(**failures: str) -> Callable[[Published], Ack]:
    """Answers that view ``a`` failed for records of these values, as ``v1="…"``."""
    return lambda sent: Transformed(
        sent.reply.request,
        sent.reply.index,
        [],
        [(A, NO.code, failures[name])] if (name := f"v{sent.value.decode()}") in failures else [],
    )


def lost(sent: Published) -> Delivery:
    return Delivery(sent.reply.request, sent.reply.index, f"lost {sent.value.decode()}")


def view_failures(outcome: BatchOutcome) -> dict[str, Failure | None]:
    return {plan.name: failure for plan, failure in outcome.views}


def test_a_result_without_failures_covers_each_view_of_the_source() -> None:
    (outcome,), site = ingest([0, 1])
    assert (outcome.failures, view_failures(outcome)) == ({}, {"a": None, "b": None})
    assert [each.value for each in site.sent] == [b"0", b"1"]


def test_records_of_one_source_keep_their_order_in_one_partition_and_carry_where_to_answer() -> None:
    _, site = ingest([0, 2, 5], [1], answer=confirmed_or_dropped)
    events, bare = site.sent[:3], site.sent[3]
    assert {each.topic for each in events} == {"prod.source.events"}
    assert bare.topic == "prod.source.bare"
    assert len({each.partition for each in events}) == 1
    assert 0 <= bare.partition < PLAN.sources["bare"].partitions
    assert [(each.reply.partition, each.reply.index, each.reply.installation) for each in site.sent] == [
        (3, position, "h1") for position in range(4)
    ]
    assert {each.reply.request for each in site.sent} == {bare.reply.request}
    assert {each.plan for each in site.sent} == {plan_header(7)}


def confirmed_or_dropped(sent: Published) -> Ack | Delivery:
    if sent.report_success:
        return Delivery(sent.reply.request, sent.reply.index, None)
    return Transformed(sent.reply.request, sent.reply.index, [], [])


def test_only_a_source_that_no_view_reads_waits_for_kafka_alone() -> None:
    outcomes, site = ingest([0], [1], answer=confirmed_or_dropped)
    assert [each.report_success for each in site.sent] == [False, True]
    assert [view_failures(outcome) for outcome in outcomes] == [{"a": None, "b": None}, {}]


def test_two_requests_are_never_one_and_take_turns_in_the_partitions() -> None:
    async def scenario() -> Site:
        site = Site()
        known = site.ingestion.sources("prod")
        for number in range(8):
            await site.ingestion.ingest(known, [Batch(known.by_name["events"], {0: b"%d" % number})])
        return site

    sent = asyncio.run(scenario()).sent
    assert len({each.reply.request for each in sent}) == 8
    assert sorted(each.partition for each in sent) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_view_that_failed_for_all_records_says_why() -> None:
    (outcome,), _ = ingest([0, 1], answer=failing(v0="first", v1="second"))
    assert view_failures(outcome) == {"a": replace(NO, message="first"), "b": None}


def test_a_view_that_failed_for_some_says_for_which() -> None:
    (outcome,), _ = ingest([0, 4, 9], answer=failing(v4="no", v9="no"))
    assert view_failures(outcome)["a"] == replace(NO, message="no (records 4, 9)")


def test_a_message_lists_no_more_records_than_people_read() -> None:
    failed = {f"v{index}": "no" for index in range(INDICES_SHOWN + 1)}
    (outcome,), _ = ingest(range(INDICES_SHOWN + 2), answer=failing(**failed))
    failure = view_failures(outcome)["a"]
    assert failure is not None
    assert failure.message == "no (records 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …)"


def test_a_record_that_kafka_did_not_take_fails_by_its_index_and_no_view_for_it() -> None:
    (outcome,), _ = ingest([0, 7], answer=lambda sent: lost(sent) if sent.value == b"7" else failing()(sent))
    assert {index: failure.message for index, failure in outcome.failures.items()} == {7: "lost 7"}
    assert view_failures(outcome) == {"a": None, "b": None}


def test_a_batch_of_which_kafka_took_nothing_says_nothing_of_views() -> None:
    outcomes, _ = ingest([0], [1], answer=lambda sent: lost(sent) if sent.value == b"0" else confirmed_or_dropped(sent))
    assert [list(outcome.failures) for outcome in outcomes] == [[0], []]
    assert outcomes[0].views == []


def test_where_kafka_took_nothing_at_all_it_is_away() -> None:
    with pytest.raises(UnavailableError, match="lost 0"):
        ingest([0], [1], answer=lost)


def test_after_the_deadline_views_that_owe_an_answer_may_be_sent_to_again() -> None:
    (outcome,), _ = ingest([0], answer=lambda _sent: None)
    assert {failure and (failure.code, failure.retryable) for failure in view_failures(outcome).values()} == {
        ("UNAVAILABLE", True)
    }


def test_batches_without_records_succeed_even_while_kafka_is_away() -> None:
    outcomes, site = ingest([], [], plans_failure="away", replies_failure="away", reply_partition=None, room=0)
    assert outcomes == [BatchOutcome({}, ()), BatchOutcome({}, ())]
    assert site.sent == []


@pytest.mark.parametrize(
    ("site", "error", "message"),
    [
        ({"replies_failure": "no broker"}, UnavailableError, "records cannot be taken now: no broker"),
        ({"plans_failure": "no plans"}, UnavailableError, "records cannot be taken now: no plans"),
        ({"reply_partition": None}, UnavailableError, "answers of workspace 'prod' are not read yet"),
        ({"room": 1}, OverloadedError, "full"),
    ],
)
def test_what_cannot_succeed_now_is_refused_before_anything_is_published(
    site: dict[str, Any], error: type[Exception], message: str
) -> None:
    def answer(_sent: Published) -> None:
        pytest.fail("nothing is to be published")

    with pytest.raises(error, match=message):
        ingest([0, 1], answer=answer, **site)


def test_sources_are_those_of_the_newest_plan_and_compiled_once() -> None:
    async def scenario() -> None:
        site = Site()
        first = site.ingestion.sources("prod")
        assert (first.number, set(first.by_name)) == (7, {"events", "bare"})
        assert site.ingestion.sources("prod") is first
        site.plans.plans["prod"] = msgspec.structs.replace(PLAN, number=8)
        assert site.ingestion.sources("prod").number == 8
        assert site.ingestion.sources("elsewhere").by_name == {}

    asyncio.run(scenario())


def test_before_the_definitions_were_read_no_source_is_said_to_be_unknown() -> None:
    async def scenario() -> None:
        for failure, said in ((None, "starting"), ("no broker", "no broker")):
            site = Site(plans_failure=failure)
            site.ingestion.complete = False
            with pytest.raises(UnavailableError, match=f"the definitions were not read yet: {said}"):
                site.ingestion.sources("prod")

    asyncio.run(scenario())


def test_what_became_of_each_views_rows_is_counted_and_each_failure_is_named_by_its_record() -> None:
    def answer(sent: Published) -> Ack:
        if sent.value == b"4":
            return Transformed(sent.reply.request, sent.reply.index, [], [(A, NO.code, NO.message)])
        return Transformed(sent.reply.request, sent.reply.index, [], [])

    (outcome,), _ = ingest([1, 4, 7], answer=answer)
    assert outcome.became == {"a@V1": {"dropped": 2, "failed": 1}, "b@V1": {"dropped": 3}}
    assert outcome.failed == {4: {"a@V1": NO}}


def test_rows_of_which_it_is_not_told_what_became_are_counted_as_unknown() -> None:
    def answer(sent: Published) -> list[Ack]:
        request, index = sent.reply.request, sent.reply.index
        told = Written(request, index, B, 0, 1, became={"new": 1})
        return [Transformed(request, index, [(A, 0, 1), (B, 0, 1)], []), Written(request, index, A, 0, 1), told]

    (outcome,), _ = ingest([0], answer=answer)
    assert outcome.became == {"a@V1": {"unknown": 1}, "b@V1": {"new": 1}}
