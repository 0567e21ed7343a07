"""One simulated history: random work, random deaths, then peace; and what must hold at every moment and at the end.

The numbers of the invariants are those of the design (§8).
"""

from random import Random
from typing import Any

from infra.segments.log import read_objects
from ingest_api.ingestion.pending import RecordOutcome
from processors.logs.offline_log import read_updates
from processors.producer.messages import DEAD_LETTER_OFFSET, DEAD_LETTER_PARTITION, DEAD_LETTER_VIEW
from schemas.errors import FUNCTION_FAILED
from schemas.instants import DAY, HOUR, instant
from schemas.state.keys import encode_identity, encode_join_keys, partition_of, row_prefix, time_suffix, watermark_key
from schemas.state.values import VERSION_BYTES, decode, version_bytes
from schemas.topics import dead_letter_topic
from serving.reads.views import view_reader
from tests.simulation.cluster import MAX_BATCH, SOURCE_FOLDERS, SOURCE_TOPIC, Cluster, Sent
from tests.simulation.definitions import (
    PARTITIONS,
    SOURCE_PARTITIONS,
    WORKSPACE,
    expected_rows,
    failing_view,
    oracle_views,
    plan,
)
from tests.simulation.world import Clock, Fate
from tests.support.oracle import Event, answer, same

START = 1_760_000_000_000_000
SECOND = 1_000_000
QUIET_ODDS = 0.02
USERS = ("a", "b", "c")
WORDS = (None, "x", "y", "z", "x a", "y b", "dropped", "cursed")
REMOVED = "nobody waits for it"
LINES = (-1, 0, 1)
AMOUNTS = (None, 0.1, 0.2, -0.3, 1e16, -1e16, 1.0, float("inf"), float("nan"), 1e308)


def run(seed: int) -> Cluster:
    """Runs one history.

    Raises:
        AssertionError: an invariant is broken.
    """
    random = Random(seed)
    clock = Clock(START)
    fate = Fate(random)
    cluster = Cluster(random, clock, fate)
    deadly = random.choice((0.0, 0.005, 0.02, 0.08))
    for _ in range(random.randint(20, 80)):
        fate.odds = deadly
        _act(cluster, random)
        clock.now += random.choice((0, 1, 999, 1_000, SECOND, 3 * SECOND, random.randint(0, 40 * SECOND)))
        if random.random() < QUIET_ODDS:
            clock.now += random.randint(1, 10) * DAY  # nobody sends anything, and processors go on sweeping
            for _ in range(20):
                cluster.sweep(random.randrange(PARTITIONS))
        _check_answers(cluster)
    cluster.settle()
    _check_liveness(cluster, random)
    _check_end(cluster, random)
    return cluster


def _act(cluster: Cluster, random: Random) -> None:
    batch = random.randint(1, MAX_BATCH)
    acts = {"post": 8, "produce": 6, "transform": 16, "materialize": 16, "sweep": 4, "apply": 1, "mishap": 2}
    match random.choices(list(acts), list(acts.values()))[0]:
        case "post":
            records = [_record(cluster, random) for _ in range(random.randint(1, 3))]
            cluster.post(records, random.randrange(SOURCE_PARTITIONS))
        case "produce":
            cluster.produce(None if random.random() < 0.1 else _record(cluster, random))
        case "transform":
            cluster.work("transform", random.randrange(SOURCE_PARTITIONS), batch)
        case "materialize":
            cluster.work("materialize", random.randrange(PARTITIONS), batch)
        case "sweep":
            cluster.sweep(random.randrange(PARTITIONS))
        case "apply":
            cluster.apply(frozenset(key for key in sorted(plan().views) if random.random() < 0.6))
        case _:
            random.choice(
                (
                    cluster.lose_power,
                    cluster.restart_api,
                    lambda: _step_clock(cluster, random),
                    lambda: cluster.lose_folder(random.randrange(PARTITIONS)),
                    lambda: cluster.move("transform", random.randrange(SOURCE_PARTITIONS)),
                    lambda: cluster.move("materialize", random.randrange(PARTITIONS)),
                )
            )()


def _step_clock(cluster: Cluster, random: Random) -> None:
    """The host's clock is set wrong, or right again."""
    cluster.skew = random.choice((0, -HOUR, 2 * HOUR, 3 * DAY, 40 * DAY, 400 * DAY))


def _record(cluster: Cluster, random: Random) -> dict[str, Any]:
    """A new event, or one sent before: the same or changed."""
    earlier = [sent.record for sent in cluster.sent if sent.record is not None]
    if earlier and random.random() < 0.3:
        record = dict(random.choice(earlier))
        if random.random() < 0.5:
            record["amount"] = random.choice(AMOUNTS)
        if random.random() < 0.5:
            record["line"] = random.choice(LINES)
        return record
    lateness = random.choice((0, 0, 0, 5, 30, 300, 2_100, 2_400)) * SECOND
    return {
        "user": random.choice(USERS),
        "amount": random.choice(AMOUNTS),
        "word": random.choice(WORDS),
        "line": random.choice(LINES),
        "at": cluster.clock.now - lateness + random.choice((0, 0, -1, 1, 10 * SECOND)),
    }


def _check_answers(cluster: Cluster) -> None:
    """Invariants 1 and 4: what is acked is in both stores at that moment, for each view that kept it.

    Requests that waited through a power failure are left to the end: of their records, those that were acked before it
    may be away until they are read again.
    """
    for done in cluster.hear():
        if done.request in cluster.excused:
            continue
        for index, outcome in enumerate(done.outcomes):
            sent = next(s for s in cluster.sent if (s.request, s.index) == (done.request, index))
            _check_failures(outcome, sent)
            for event in _events(cluster, [sent]):
                if outcome.views.get(event.view, REMOVED) is None:
                    _check_stored(cluster, event)


def _check_failures(outcome: RecordOutcome, sent: Sent) -> None:
    """A function's failure is told of the view that failed, and of no other; all else is worth trying again."""
    failing = failing_view(sent.record or {})
    for view, failure in outcome.views.items():
        if failure is None:
            assert view != failing, f"acked, but the function of view {view} failed on {sent.record}"
        elif not failure.retryable:
            assert (view, failure.code) == (failing, FUNCTION_FAILED), f"{failure} of view {view} for {sent.record}"


def _check_liveness(cluster: Cluster, random: Random) -> None:
    """In peace each request completes, whatever was before, and each record is answered for each view."""
    for partition in range(SOURCE_PARTITIONS):
        records = [_record(cluster, random) for _ in range(3)]
        request = cluster.post(records, partition)
        cluster.settle()
        answer = cluster.answers.get(request)
        assert answer is not None, "a request does not complete in peace"
        for record, outcome in zip(records, answer.outcomes, strict=True):
            told = {view for view, failure in outcome.views.items() if failure is not None}
            assert told == {failing_view(record)} & outcome.views.keys(), f"{told} failed in peace, of {record}"
        cluster.clock.now += SECOND


def _check_stored(cluster: Cluster, event: Event) -> None:
    horizon = oracle_views()[event.view].horizon
    key = encode_join_keys(event.key)
    partition = partition_of(key, PARTITIONS)
    logged = (
        version_bytes(row.append_time, message.update.source_partition, row.offset, row.index)
        for message in read_updates(cluster.disk, WORKSPACE, partition)
        for row in message.update.rows
        if (message.update.view, row.key, row.event_time) == (event.view, key, event.time)
    )
    assert version_bytes(*event.version) in logged, f"acked, but not in the offline log: {event}"
    if horizon is not None and event.version[0] * 1000 - event.time > horizon:
        return
    state = cluster.states[partition]
    if state is None:
        return  # its folder was lost since; readers keep the view they had
    if cluster.clock.now - event.time > DAY:
        return  # days have passed since, and it may be too old by now for anybody to ask for
    identity = oracle_views()[event.view].identity
    end = encode_identity([event.values[column] for column in identity]) if identity else b""
    row = state.get(row_prefix(event.view, key) + time_suffix(event.time) + end)
    assert row is not None, f"acked, but not in online state: {event}"
    assert row[:VERSION_BYTES] >= version_bytes(*event.version), f"acked, but an older version is served: {event}"


def _events(cluster: Cluster, sent: list[Sent]) -> list[Event]:
    """What the views make of records, as the oracle takes it."""
    events = []
    for item in sent:
        if item.record is None:
            continue
        append_time = _append_time(cluster, item)
        for view, rows in expected_rows(item.record).items():
            for index, row in enumerate(rows):
                version = (append_time, item.partition, item.offset, index)
                events.append(Event(view, (row["user"],), row["at"], version, row))
    return events


def _check_end(cluster: Cluster, random: Random) -> None:
    events = _events(cluster, cluster.sent)
    _check_online(cluster, events, random)
    _check_offline(cluster, events)
    _check_rejects(cluster)


def _check_online(cluster: Cluster, events: list[Event], random: Random) -> None:
    """Invariants 2, 3 and 5: every answer, now and later, is the oracle's over the whole log, bit for bit."""
    later = [cluster.clock.now + shift for shift in (0, 1, random.randint(0, 100 * SECOND), 2_000 * SECOND)]
    for view in plan().views.values():
        reader = view_reader(view)
        # What LATEST_EVENT asks for, however long it has been quiet.
        latest = _latest(view.id, events) if view.is_aggregate else None
        moments = later if latest is None else [min(latest, cluster.clock.now), *later]
        for user in USERS:
            key = encode_join_keys((user,))
            state = cluster.states[partition_of(key, PARTITIONS)]
            assert state is not None
            for now in moments:
                found = reader.read(state, key, now)
                expected, effective = answer(oracle_views()[view.id], events, (user,), now)
                assert same(list(found.values), expected), f"{view.name} of {user} at {now}: {found.values} {expected}"
                assert found.effective_time == effective
        assert _watermark(cluster, view.id) == _latest(view.id, events)


def _latest(view: int, events: list[Event]) -> int | None:
    """A view's watermark: its latest event that is neither late nor of the future."""
    horizon = oracle_views()[view].horizon
    times = (
        event.time
        for event in events
        if event.view == view
        and event.time <= event.version[0] * 1000
        and (horizon is None or event.version[0] * 1000 - event.time <= horizon)
    )
    return max(times, default=None)


def _watermark(cluster: Cluster, view: int) -> int | None:
    found = [decode(value) for state in cluster.states if state and (value := state.get(watermark_key(view)))]
    return max(found, default=None)


def _check_offline(cluster: Cluster, events: list[Event]) -> None:
    """Invariants 2 and 5: the offline log holds exactly the rows of the log, and each updates message once."""
    columns = {view.id: [column.name for column in view.columns] for view in plan().views.values()}
    found: dict[Any, list[Any]] = {}
    for partition in range(PARTITIONS):
        offsets = []
        for message in read_updates(cluster.disk, WORKSPACE, partition):
            update = message.update
            offsets.append(message.offset)
            for row in update.rows:
                version = (row.append_time, update.source_partition, row.offset, row.index)
                known = found.setdefault((update.view, row.key, row.event_time, version), row.values)
                assert same(known, row.values), f"two values of one version: {known} and {row.values}"
        assert offsets == list(range(len(cluster.broker.topics.get((f"{WORKSPACE}.updates", partition), []))))
    expected = {
        (event.view, encode_join_keys(event.key), event.time, event.version): [
            event.values[name] for name in columns[event.view]
        ]
        for event in events
    }
    assert found.keys() == expected.keys()
    for identity, values in expected.items():
        assert same(found[identity], values), f"{identity}: logged {found[identity]}, expected {values}"
    for partition, folder in enumerate(SOURCE_FOLDERS):
        _check_source_log(cluster, partition, list(read_objects(cluster.disk, folder)))


def _check_source_log(cluster: Cluster, partition: int, kept: list[dict[str, Any]]) -> None:
    """The source log holds each decodable record of its partition once, as it was sent."""
    sent = sorted(
        (s for s in cluster.sent if s.partition == partition and s.record is not None), key=lambda s: s.offset
    )
    assert [item["offset"] for item in kept] == [s.offset for s in sent]
    for item, wanted in zip(kept, sent, strict=True):
        record = dict(wanted.record or {})
        assert item["append_time"] == instant(_append_time(cluster, wanted) * 1000)
        values = item["record"]["value"]
        assert values.pop("at") == instant(record.pop("at"))
        assert values.keys() == record.keys()
        assert all(same(values[name], record[name]) for name in record), f"logged {values}, sent {record}"


def _append_time(cluster: Cluster, sent: Sent) -> int:
    return cluster.broker.topics[SOURCE_TOPIC, sent.partition][sent.offset].append_time


def _check_rejects(cluster: Cluster) -> None:
    """Invariant 6: what was refused lies among the dead letters, whoever sent it, and nothing else does."""
    keys = {view.id: view.key for view in plan().views.values()}
    letters = cluster.broker.topics.get((dead_letter_topic(WORKSPACE, "events"), 0), [])
    names = (DEAD_LETTER_PARTITION, DEAD_LETTER_OFFSET, DEAD_LETTER_VIEW)
    kept = {tuple(dict(letter.headers)[name].decode() for name in names) for letter in letters}
    refused = set()
    for sent in cluster.sent:
        failing = None if sent.record is None else failing_view(sent.record)
        if sent.record is None or failing is not None:
            refused.add((str(sent.partition), str(sent.offset), "" if failing is None else keys[failing]))
    assert kept == refused
