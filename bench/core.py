"""What the pure parts cost per event, without Kafka and without other processes: where a regression shows first.

One process does what a processor does with batches of 1,000 clicks: transform, decode, offline log, materialize with
its reads of RocksDB, and the write. Then features are read from a week of clicks. Times are CPU times of the thread, so
that other work on the machine disturbs them little.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench import events
from bench.figures import Extent, Figure, Results
from bench.harness import REPOSITORIES, scratch
from headrace.applying import read_repository
from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.segments.disk import LocalDisk
from processors.logs.offline_log import OfflineLog
from processors.materialize.fold import ViewState, materialize
from schemas.definitions.compile import compile_services, compile_sources, compile_views
from schemas.definitions.plan import Plan, ViewPlan
from schemas.definitions.repository import digest, load_repository
from schemas.instants import DAY
from schemas.messages.updates import UpdateMessage, decode_update
from schemas.records.transform import SourceRecord, SourceTransform
from schemas.state.keys import encode_join_keys
from serving.reads.views import view_reader

RUNS = {Extent.STANDARD: 5, Extent.FULL: 20}
EVENTS = 50_000
BATCH = 1_000
WEEK_EVENTS = 50_000
WEEK_USERS = 500
READS = 2_000
VIEW_ID = 1
SCHEMA_ID = 1

TRANSFORM = "transform: Avro to update messages"
DECODE = "materialize: decode update messages"
LOG = "materialize: append to the offline log"
FOLD = "materialize: read state, merge tiles"
WRITE = "materialize: write state"
STAGES = (TRANSFORM, DECODE, LOG, FOLD, WRITE)


def run(extent: Extent) -> Results:
    """Runs the benchmark."""
    plan = compiled_plan()
    runs = [_write_path(plan, _now_records(plan)) for _ in range(RUNS[extent])]
    reads = [_read_path(plan) for _ in range(RUNS[extent])]
    figures = [Figure(f"core: {stage}", [run[stage] for run in runs], "µs/event") for stage in STAGES]
    figures.append(Figure("core: all of these", [sum(run.values()) for run in runs], "µs/event"))
    figures.append(Figure("core: read 10 features of a week", reads, "µs/read"))
    notes = (
        f"{EVENTS:,} clicks over {events.USERS:,} users in batches of {BATCH:,}, one partition; reads of "
        f"{WEEK_USERS} users with {WEEK_EVENTS:,} clicks in a week."
    )
    return Results(figures, notes)


def compiled_plan() -> Plan:
    """Returns the plan of the clicks repository with one updates partition, as if it had been applied."""
    files = read_repository(REPOSITORIES / "clicks")
    repository = load_repository(files, "clicks")
    sources = compile_sources(repository, 1)
    views = compile_views(repository, sources)
    return Plan(
        workspace="prod",
        partitions=1,
        sources={name: msgspec.structs.replace(source, schema_id=SCHEMA_ID) for name, source in sources.items()},
        views={key: msgspec.structs.replace(view, id=VIEW_ID) for key, view in views.items()},
        services=compile_services(repository, views),
        files=files,
        digest=digest(files),
        number=2,
    )


def _now_records(plan: Plan) -> list[SourceRecord]:
    now = time.time_ns() // 1_000
    return _records(plan, EVENTS, range(now, now + EVENTS), events.USERS)


def _records(plan: Plan, count: int, times: Sequence[int], users: int) -> list[SourceRecord]:
    appended = time.time_ns() // 1_000_000
    clicks = events.clicks(plan, count, times, users)
    return [SourceRecord(0, offset, appended, click.value, None) for offset, click in enumerate(clicks)]


def _write_path(plan: Plan, records: Sequence[SourceRecord]) -> Mapping[str, float]:
    """Takes records all the way into a new database and log; returns µs per event by stage."""
    with scratch() as folder, _database(folder) as database:
        log = OfflineLog(LocalDisk(folder), plan.workspace, 0)
        log.open()
        seconds = _process(plan, records, database, log)
    return {stage: spent * 1e6 / len(records) for stage, spent in seconds.items()}


def _process(
    plan: Plan, records: Sequence[SourceRecord], database: PrimaryDatabase, log: OfflineLog
) -> Mapping[str, float]:
    transform = _transform(plan)
    view = _view(plan)
    states = {view.id: ViewState(view)}
    seconds: dict[str, float] = defaultdict(float)
    next_offset = 0

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        started = time.thread_time()
        yield
        seconds[stage] += time.thread_time() - started

    for first in range(0, len(records), BATCH):
        with timed(TRANSFORM):
            updates = transform(records[first : first + BATCH], {}).updates
        with timed(DECODE):
            messages = [UpdateMessage(next_offset + i, decode_update(data)) for i, (_, data) in enumerate(updates)]
        next_offset += len(messages)
        with timed(LOG):
            log.append({view.id: view}, messages, next_offset)
        with timed(FOLD):
            writes = materialize(states, database, messages, next_offset).writes
        with timed(WRITE):
            database.write(list(writes.items()))
    return seconds


def _read_path(plan: Plan) -> float:
    """Fills a database with a week of clicks; returns µs per read of all features of one user."""
    step = 7 * DAY // WEEK_EVENTS
    now = time.time_ns() // 1_000
    records = _records(plan, WEEK_EVENTS, range(now - WEEK_EVENTS * step, now, step), WEEK_USERS)
    reader = view_reader(_view(plan))
    keys = [encode_join_keys([events.user_id(number % WEEK_USERS)]) for number in range(READS)]
    with scratch() as folder, _database(folder) as database:
        log = OfflineLog(LocalDisk(folder), plan.workspace, 0)
        log.open()
        _process(plan, records, database, log)
        started = time.thread_time()
        for key in keys:
            reader.read(database, key, now)
        return (time.thread_time() - started) * 1e6 / READS


def _transform(plan: Plan) -> SourceTransform:
    views = load_repository(plan.files, "clicks").views
    functions = {f"{name}@{version}": view.function for (name, version), view in views.items()}
    return SourceTransform(plan, plan.sources[events.SOURCE], functions)


def _view(plan: Plan) -> ViewPlan:
    return next(iter(plan.views.values()))


@contextmanager
def _database(folder: Path) -> Iterator[PrimaryDatabase]:
    resources = DatabaseResources.of_sizes()
    with PrimaryDatabase.open(
        folder / "state", version_file=folder / "state.version", resources=resources, lock_seconds=0
    ) as database:
        database.promote()
        yield database
