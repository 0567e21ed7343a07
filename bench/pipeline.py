"""Events per second from a source topic to readable state and offline log, beside a stock Faust agent.

One run: Apache Kafka on this machine, with all events in the source's topic; one ``headrace processor``, whose counters
are watched from before its first event until all are in offline log and state; what it left behind is counted; then a
stock Faust agent with a RocksDB Table takes events of the same topic, on the same broker. So each run has a ratio.

Then the same without the stock agent for the realistic workload, which is not the best case: event times of a month,
late, resent and corrected events, hot users (``bench.events``).
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench import events
from bench.figures import AtLeast, Extent, Figure, Results, Table
from bench.harness import (
    REPOSITORIES,
    BenchmarkError,
    Child,
    answers,
    cpu_by_thread,
    cpu_seconds,
    current_plan,
    metric,
    scratch,
    wait_for,
)
from bench.profiling import profile_table, profiled
from bench.state_check import check_held, held
from headrace.applying import apply_repository
from infra.local_kafka.broker import LocalKafka
from infra.metrics import RECORDS, ROWS
from infra.process.ports import LOOPBACK, free_port
from infra.settings import Settings, as_environment
from schemas.definitions.plan import Plan
from schemas.topics import source_topic

EVENTS = {Extent.STANDARD: 300_000, Extent.FULL: 1_000_000}
RUNS = {Extent.STANDARD: 3, Extent.FULL: 5}
STOCK_EVENTS = 50_000
PROFILED_EVENTS = 100_000

POLL_SECONDS = 0.1
READY_SECONDS = 60.0
WORK_SECONDS = 600.0

EVENTS_PER_SECOND = AtLeast(15_000)
TIMES_STOCK = AtLeast(5)

HEADRACE = (sys.executable, "-m", "headrace", "processor")


@dataclass(frozen=True, slots=True)
class Work:
    """What a processor needed for its events; times in seconds."""

    seconds: float
    processor_cpu: float
    broker_cpu: float
    cpu_by_thread: dict[str, float]


@dataclass(frozen=True, slots=True)
class Run:
    """One run; rates in events per second."""

    rate: float
    stock_rate: float
    work: Work


@dataclass(frozen=True, slots=True)
class Workload:
    """Events for a source's topic, and how many different identities they have."""

    events: list[events.Event]
    identities: int


def run(extent: Extent) -> Results:
    """Runs the benchmark."""
    count = EVENTS[extent]
    runs = [_run(count) for _ in range(RUNS[extent])]
    realistic = [_run_realistic(count) for _ in range(RUNS[extent])]
    profile = _profile(PROFILED_EVENTS)
    per_event = 1e6 / count
    figures = [
        Figure("pipeline: events to state and offline log", [r.rate for r in runs], "events/s", EVENTS_PER_SECOND),
        Figure("pipeline: stock Faust agent, one sum", [r.stock_rate for r in runs], "events/s"),
        Figure("pipeline: times a stock agent", [r.rate / r.stock_rate for r in runs], "×", TIMES_STOCK),
        Figure("pipeline: processor busy", [100 * r.work.processor_cpu / r.work.seconds for r in runs], "%"),
        Figure("pipeline: CPU of the processor", [r.work.processor_cpu * per_event for r in runs], "µs/event"),
        Figure("pipeline: CPU of the broker", [r.work.broker_cpu * per_event for r in runs], "µs/event"),
        Figure(
            "pipeline: realistic, events to state and offline log", [count / w.seconds for w in realistic], "events/s"
        ),
        Figure(
            "pipeline: realistic, CPU of the processor", [w.processor_cpu * per_event for w in realistic], "µs/event"
        ),
    ]
    notes = (
        f"{count:,} events of {events.EVENT_BYTES} bytes over {events.USERS:,} users (Zipf) in each run; one tiled "
        f"view with 10 aggregates over 4 windows. The stock agent took {STOCK_EVENTS:,} of them. Realistic: as many "
        f"events spread over 30 days of event time, {events.LATE_SHARE:.0%} of them late by up to three days, "
        f"{events.RESENT_SHARE:.0%} sent again, {events.CORRECTED_SHARE:.0%} corrected, and one user in a thousand "
        f"hot: these make {events.HOT_SHARE:.0%} of all events."
    )
    return Results(figures, notes, [_threads(runs, count), profile])


def _threads(runs: list[Run], count: int) -> Table:
    last = runs[-1].work.cpu_by_thread
    rows = [
        [name, f"{used:.2f}", f"{used * 1e6 / count:.1f}"] for name, used in sorted(last.items(), key=_second) if used
    ]
    return Table("CPU time of the processor by kind of thread, last run", ["thread", "s", "µs/event"], rows[::-1])


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def _run(count: int) -> Run:
    with scratch() as folder, LocalKafka(folder / "kafka", throughput=True) as kafka:
        settings, plan = _applied(folder, kafka)
        work = _take(settings, plan, kafka, _simple(plan, count), folder)
        stock_seconds = _stock(settings, plan, folder)
        return Run(count / work.seconds, STOCK_EVENTS / stock_seconds, work)


def _run_realistic(count: int) -> Work:
    with scratch() as folder, LocalKafka(folder / "kafka", throughput=True) as kafka:
        settings, plan = _applied(folder, kafka)
        workload = Workload(*events.month_of_clicks(plan, count, time.time_ns() // 1_000))
        return _take(settings, plan, kafka, workload, folder)


def _applied(folder: Path, kafka: LocalKafka) -> tuple[Settings, Plan]:
    settings = Settings(
        data=folder / "data", bootstrap=kafka.bootstrap, processor_port=free_port(), log_level="warning"
    )
    apply_repository(REPOSITORIES / "clicks", settings, dry_run=False)
    return settings, current_plan(settings)


def _simple(plan: Plan, count: int) -> Workload:
    """Returns events that happen now, 1 µs apart."""
    now = time.time_ns() // 1_000
    return Workload(list(events.clicks(plan, count, range(now, now + count))), count)


def _take(settings: Settings, plan: Plan, kafka: LocalKafka, workload: Workload, folder: Path) -> Work:
    """Puts all events into the source's topic, runs a processor over them and counts what it left behind."""
    events.produce(settings.bootstrap, source_topic(plan.workspace, events.SOURCE), workload.events)
    count = len(workload.events)
    work = _process(list(HEADRACE), settings, kafka, count, folder / "processor.log")
    view = next(iter(plan.views.values()))
    check_held(count, workload.identities, held(settings.data, plan, view, folder / "check"))
    return work


def _process(command: list[str], settings: Settings, kafka: LocalKafka, count: int, output: Path) -> Work:
    """Runs a processor over all events; the time begins at the last look that saw none of them taken."""
    url = f"http://{LOOPBACK}:{settings.processor_port}"
    with Child(command, output, as_environment(settings)) as child:
        wait_for(lambda: child.check() and answers(f"{url}/healthz"), "the processor answers", READY_SECONDS, 0.01)
        broker = kafka.pid
        assert broker is not None
        started = time.perf_counter()
        cpu_before = cpu_seconds(child.pid), cpu_seconds(broker)
        deadline = started + WORK_SECONDS
        while metric(url, ROWS) < count:  # whatever became of them
            child.check()
            if metric(url, RECORDS) == 0:
                started = time.perf_counter()
                cpu_before = cpu_seconds(child.pid), cpu_seconds(broker)
            if time.perf_counter() > deadline:
                raise BenchmarkError(f"the processor did not finish; {child.output()[-2000:]}")
            time.sleep(POLL_SECONDS)
        ended = time.perf_counter()
        return Work(
            ended - started,
            cpu_seconds(child.pid) - cpu_before[0],
            cpu_seconds(broker) - cpu_before[1],
            cpu_by_thread(child.pid),
        )


def _stock(settings: Settings, plan: Plan, folder: Path) -> float:
    """Returns how many seconds a stock agent took for its events."""
    source = plan.sources[events.SOURCE]
    output = folder / "stock.seconds"
    environ = {
        "BENCH_BOOTSTRAP": settings.bootstrap,
        "BENCH_PARTITIONS": str(source.partitions),
        "BENCH_EVENTS": str(STOCK_EVENTS),
        "BENCH_SCHEMA": source.schema,
        "BENCH_DATA": str(folder / "faust"),
        "BENCH_OUTPUT": str(output),
    }
    argv = [
        sys.executable,
        "-m",
        "faust",
        "-A",
        "bench.stock_agent",
        "worker",
        "--loglevel",
        "warn",
        "--without-web",
    ]
    with Child(argv, folder / "stock.log", environ) as child:
        wait_for(lambda: child.check() and output.exists(), "the stock agent's events", WORK_SECONDS)
        return float(output.read_text(encoding="ascii"))


def _profile(count: int) -> Table:
    """Returns where a processor's main thread spends its time; a run of its own, as a profiler slows it down."""
    with scratch() as folder, LocalKafka(folder / "kafka", throughput=True) as kafka:
        settings, plan = _applied(folder, kafka)
        topic = source_topic(plan.workspace, events.SOURCE)
        events.produce(settings.bootstrap, topic, _simple(plan, count).events)
        statistics = folder / "processor.prof"
        _process(profiled(HEADRACE, statistics), settings, kafka, count, folder / "processor.log")
        return profile_table(statistics, "pipeline: the processor's main thread under cProfile", "event", count)
