"""A workspace on a real broker with processors of its own: in threads of this process, or in processes to be killed."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import uvloop
from confluent_kafka import Message, TopicPartition

from headrace.applying import Removals, apply_repository
from headrace.lags import lags
from infra.database.layout import DatabaseResources
from infra.installation import installation_of
from infra.kafka.clients import produce_checked, producer, reader
from infra.process.ports import LOOPBACK, free_port
from infra.segments.disk import LocalDisk
from infra.settings import Settings, as_environment
from processors.app import run_processor
from processors.logs.offline_log import read_rows
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import Plan
from schemas.definitions.plan_codec import plan_key
from schemas.state.keys import encode_join_keys, partition_of
from schemas.topics import DEFINITIONS_TOPIC, dead_letter_topic, source_topic
from serving.reads.state import OnlineState
from serving.reads.views import view_reader
from tests.support.waiting import wait_until

START_SECONDS = 60.0
STOP_SECONDS = 10.0
"""What a stop may take at most."""

SHARED_WORKSPACES = 32
"""How many tests one processor can be shared by."""

SOURCE = "events"
VIEW = "spending@V1"

HEAD = """
from datetime import timedelta

from headrace import *

user = Entity(name="user", join_keys=[Field("user", String)])
"""


def source_text(name: str = SOURCE, options: str = "", more: str = "") -> str:
    return f"""
{name} = StreamSource(name="{name}", timestamp_field="at", {options} schema=[
    Field("user", String), Field("amount", Int64), Field("at", Timestamp){more}])
"""


def view_text(name: str = "spending", source: str = SOURCE, body: str = "return record") -> str:
    return f"""
@stream_feature_view(source={source}, entities=[user], version="V1", timestamp_field="at", features=[
    Aggregate("count", "amount", timedelta(days=1), name="n"),
    Aggregate("sum", "amount", timedelta(days=1), name="total")])
def {name}(record):
    {body}
"""


def spending(body: str = "return record", options: str = "log_offline=True,") -> str:
    """The text of a repository with one source and one view."""
    return HEAD + source_text(options=options) + view_text(body=body)


_BASE = datetime.now(UTC) - timedelta(hours=1)
_serial = itertools.count()


def event(user: str, amount: int, **more: Any) -> dict[str, Any]:
    """An event of a little while ago, at a time that no other event has."""
    return {"user": user, "amount": amount, "at": _BASE + timedelta(microseconds=next(_serial)), **more}


@dataclass
class Site:
    """One workspace, its data folder, and what a test does to it."""

    bootstrap: str
    workspace: str
    folder: Path
    partitions: int = 2
    plans: list[Plan] = field(default_factory=list)
    shared_data: Path | None = None
    """The data folder, if it is not its own."""

    def __post_init__(self) -> None:
        self.producer = producer(self.bootstrap)

    @property
    def data(self) -> Path:
        return self.shared_data or self.folder / "data"

    @property
    def installation(self) -> str:
        return installation_of(self.settings())

    @property
    def plan(self) -> Plan:
        return self.plans[-1]

    def settings(self, **changes: Any) -> Settings:
        return replace(
            Settings(
                data=self.data,
                bootstrap=self.bootstrap,
                workspace=self.workspace,
                workspaces=self.workspace,
                partitions=self.partitions,
                source_partitions=self.partitions,
                processor_port=free_port(),
            ),
            **changes,
        )

    def apply(self, *texts: str, removals: Removals = "now", days: float = 7.0, **files: str) -> Plan:
        """Applies a repository of one file, or of several by module name; ``days`` is the grace of removed views."""
        repository = self.folder / "repository"
        repository.mkdir(exist_ok=True)
        for name, text in {"features": "".join(texts), **files}.items():
            (repository / f"{name}.py").write_text(text)
        applied = apply_repository(repository, self.settings(retired_grace_days=days), dry_run=False, removals=removals)
        assert applied.plan is not None, applied.changes
        self.plans.append(applied.plan)
        return applied.plan

    def frame(self, record: Mapping[str, Any], source: str = SOURCE) -> bytes:
        planned = self.plan.sources[source]
        return wire.frame(planned.schema_id, avro.parse(planned.schema), dict(record))

    def produce(
        self,
        *values: Mapping[str, Any] | bytes | None,
        source: str = SOURCE,
        partition: int = 0,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """Writes records, or bytes as they are, straight to Kafka."""
        client = self.producer
        failures: list[object] = []
        for value in values:
            framed = self.frame(value, source) if isinstance(value, Mapping) else value
            client.produce(
                source_topic(self.workspace, source),
                framed,
                partition=partition,
                headers=list((headers or {}).items()),
                on_delivery=lambda error, _message: failures.append(error) if error else None,
            )
        assert (client.flush(20), failures) == (0, [])

    def dead_letters(self, source: str = SOURCE) -> list[Message]:
        """All dead letters of a source, oldest first."""
        return everything(self.bootstrap, dead_letter_topic(self.workspace, source))

    def counted(self, *users: str, view: str = VIEW) -> dict[str, tuple[int, int]]:
        """Count and sum by user, from online state; users without events are left out."""
        planned = self.plan.views[view]
        state = OnlineState(self.data, DatabaseResources.of_sizes())
        values = view_reader(planned)
        found = {}
        try:
            for user in users:
                key = encode_join_keys([user])
                partition = state.open(self.workspace, partition_of(key, self.plan.partitions))
                n, total = values.read(partition.reader, key, time.time_ns() // 1_000).values
                if n:
                    found[user] = (n, total)
        finally:
            state.close()
        return found

    def logged(self, view: str = VIEW) -> dict[str, list[int]]:
        """Distinct amounts by user in the offline log, sorted."""
        disk = LocalDisk(self.data)
        found: dict[str, set[int]] = {}
        for partition in range(self.plan.partitions):
            for row in read_rows(disk, self.workspace, partition, self.plan.views[view].id):
                found.setdefault(row["user"], set()).add(row["amount"])
        return {user: sorted(amounts) for user, amounts in found.items()}

    def waits_for(self, expected: dict[str, tuple[int, int]], view: str = VIEW, seconds: float = 30.0) -> None:
        """Waits until online state counts what is expected, for each user named."""

        def holds() -> bool:
            try:
                return self.counted(*expected, view=view) == {k: v for k, v in expected.items() if v[0]}
            except Exception:  # noqa: BLE001 - there may be no state yet, or none any more
                return False

        try:
            wait_until(holds, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"expected {expected}, found {self.counted(*expected, view=view)}") from error

    def waits_until_finished(self) -> None:
        """Waits until nothing is left to do: what processors write for a record is written before its offset is."""
        wait_until(lambda: all(each.lag == 0 for each in lags(self.bootstrap, self.plan, self.installation)))

    def remove(self) -> None:
        """Takes the workspace out of the definitions, so that other tests' processors leave it alone."""
        produce_checked(self.producer, DEFINITIONS_TOPIC, plan_key(self.workspace), None, partition=0)


def everything(bootstrap: str, topic: str, partition: int = 0) -> list[Message]:
    """Reads a partition from its beginning to its end."""
    client = reader(bootstrap)
    try:
        earliest, latest = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        client.assign([TopicPartition(topic, partition, earliest)])
        found: list[Message] = []
        while earliest + len(found) < latest:
            message = client.poll(10)
            assert message is not None
            assert message.error() is None, message.error()
            found.append(message)
        return found
    finally:
        client.close()


class Health(ABC):
    """What a processor says of itself over HTTP."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._url = f"http://{LOOPBACK}:{port}"

    def reasons(self) -> dict[str, str] | None:
        """Why it is not ready, by name; None if it cannot be asked."""
        try:
            answer = httpx.get(f"{self._url}/readyz", timeout=2)
        except httpx.HTTPError:
            return None
        found: dict[str, str] = answer.json().get("reasons", {})
        return found

    def is_ready(self) -> bool:
        return self.reasons() == {}

    @abstractmethod
    def has_ended(self) -> bool:
        """Whether the processor is gone."""

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        try:
            wait_until(lambda: self.is_ready() or self.has_ended(), seconds)
        except TimeoutError as error:
            raise TimeoutError(f"not ready: {self.reasons()}") from error
        assert not self.has_ended(), "the processor ended before it was ready"


class ProcessorThread(Health):
    """A processor in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.processor_port)
        self.codes: list[int] = []
        self._settings = settings
        self._loops: list[asyncio.AbstractEventLoop] = []
        self._tasks: list[asyncio.Task[int]] = []
        self._thread = threading.Thread(target=self._main, name="processor")
        self._thread.start()

    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> int:
        """Stops it as SIGTERM does; returns the exit code, 0 for one that ended because it was asked to."""
        if self._thread.is_alive():
            wait_until(lambda: bool(self._tasks) or not self._thread.is_alive())
            if self._tasks:
                self._loops[0].call_soon_threadsafe(self._tasks[0].cancel)
        return self.wait(STOP_SECONDS)

    def wait(self, seconds: float) -> int:
        """Waits for its end and returns the exit code."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the processor did not end in time"
        return self.codes[0]

    def _main(self) -> None:
        async def run() -> int:
            self._loops.append(asyncio.get_running_loop())
            task = asyncio.ensure_future(run_processor(self._settings))
            self._tasks.append(task)
            await asyncio.wait({task})
            return 0 if task.cancelled() else task.result()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self.codes.append(runner.run(run()))


@contextmanager
def processor(site: Site, **changes: Any) -> Iterator[ProcessorThread]:
    """Runs a processor in a thread until it is ready, and then on; it must end with 0 unless the test waited for it."""
    running = ProcessorThread(site.settings(**changes))
    try:
        running.wait_ready()
        yield running
    finally:
        ended = running.has_ended()
        code = running.stop()
    assert ended or code == 0


@dataclass
class SharedProcessor:
    """A processor for many tests: it waits for definitions of workspaces whose names are set aside for them."""

    base: Site
    health: Health
    names: Iterator[str]

    @classmethod
    @contextmanager
    def running(cls, bootstrap: str, folder: Path) -> Iterator[Self]:
        base = Site(bootstrap, f"t{uuid.uuid4().hex[:8]}", folder)
        names = [f"{base.workspace}-{number}" for number in range(SHARED_WORKSPACES)]
        with processor(base, workspaces=",".join(names)) as health:
            yield cls(base, health, iter(names))

    def site(self, folder: Path) -> Site:
        """Returns a workspace that no other test uses; what it applies stands in ``folder``."""
        return Site(self.base.bootstrap, next(self.names), folder, shared_data=self.base.data)


class ProcessorProcess(Health):
    """A processor in a process of its own; its log is kept here, so that it needs no disk."""

    def __init__(self, settings: Settings, code: Path | None = None) -> None:
        """Starts it, of the code in a folder (`code_environment`), which is where it runs; None for this one."""
        super().__init__(settings.processor_port)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headrace", "processor"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=code,
            env={**os.environ, **code_environment(code), **settings_of(settings, code)},
        )
        self._lines: list[str] = []
        self._reader = in_background(self._read)

    @property
    def log(self) -> str:
        return "".join(self._lines)

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Waits for its end, and for the end of its log; returns the exit code."""
        code = self.process.wait(seconds)
        self._reader.join()
        return code

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Kills it if it runs."""
        self.process.kill()
        self.wait()

    def _read(self) -> None:
        with self.process.stdout or nullcontext(()) as lines:
            self._lines.extend(lines)


def settings_of(settings: Settings, code: Path | None) -> dict[str, str]:
    """Returns variables that give a process these settings; to that of a release, those that are not at their defaults.

    A release refuses settings that came later, by name.
    """
    given, defaults = as_environment(settings), as_environment(Settings())
    return given if code is None else {name: value for name, value in given.items() if value != defaults[name]}


def code_environment(code: Path | None) -> dict[str, str]:
    """Returns what makes Python take the packages of a folder, and log so; nothing for None, the installed ones."""
    return {} if code is None else {"PYTHONPATH": str(code), "PYTHONVERBOSE": "1"}


@contextmanager
def processor_process(site: Site, code: Path | None = None, **changes: Any) -> Iterator[ProcessorProcess]:
    """Runs a processor in a process of its own, of the code in a folder, and kills what is left of it at the end."""
    running = ProcessorProcess(site.settings(**changes), code)
    try:
        yield running
    finally:
        running.kill()


@contextmanager
def kept_running(site: Site, **changes: Any) -> Iterator[list[int]]:
    """Starts a processor again whenever it ends, as a supervisor does; yields the exit codes so far."""
    codes: list[int] = []
    stop = threading.Event()

    def keep() -> None:
        while not stop.is_set():
            with processor_process(site, **changes) as running:
                while not stop.is_set() and running.process.poll() is None:
                    stop.wait(0.05)
                if not stop.is_set():
                    codes.append(running.process.returncode)

    thread = threading.Thread(target=keep, name="keeper")
    thread.start()
    try:
        yield codes
    finally:
        stop.set()
        thread.join()


def in_background(work: Callable[[], None]) -> threading.Thread:
    """Runs something in a thread that is waited for by ``join``."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread
