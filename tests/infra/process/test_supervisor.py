import asyncio
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from infra.process import supervisor
from infra.process.ports import free_port
from infra.process.supervisor import Child, RestartPolicy, Stage, Supervisor
from schemas.errors import UnavailableError

DEADLINE_SECONDS = 20.0

STOP_SECONDS = 10.0
"""What a stop may take at most, whatever the children do."""

QUICK = RestartPolicy(first_pause=0.02, longest_pause=0.05, start_deaths=3, ready_seconds=15.0, stop_seconds=5.0)

CHILD = """
import http.server, pathlib, signal, subprocess, sys

role, mode, port, journal = sys.argv[1], sys.argv[2], int(sys.argv[3]), pathlib.Path(sys.argv[4])

def note(text):
    with journal.open("a") as file:
        file.write(text + "\\n")

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz" and mode == "tells":
            note(f"{role} answers")
        if self.path == "/healthz" and mode == "hangs" and server.asked:
            signal.pause()
        server.asked = self.path == "/healthz"
        self.send_response(503 if mode == "unready" or self.path == "/healthz" else 200)
        self.end_headers()
    def log_message(self, *_):
        pass

def stop(*_):
    note(f"{role} stops")
    sys.exit(0)

if mode == "dies":
    note(f"{role} dies")
    sys.exit(7)
signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "deaf" else stop)
server = http.server.HTTPServer(("127.0.0.1", port), Ready)
server.asked = False
import os
note(f"{role} starts {os.getpid()}")
if mode == "parent":
    note(f"{role} bore {subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']).pid}")
server.serve_forever()
"""


class Journal:
    """What the children wrote, line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []

    def events(self) -> list[str]:
        return [" ".join(line.split()[:2]) for line in self.lines()]

    def pids(self, event: str) -> list[int]:
        return [int(line.split()[2]) for line in self.lines() if line.startswith(event)]

    async def reaches(self, count: int, event: str) -> None:
        await eventually(lambda: self.events().count(event) >= count)  # on a busy machine, more than one at a look

    def child(self, role: str, mode: str = "serves") -> Child:
        port = free_port()
        argv = [sys.executable, "-c", CHILD, role, mode, str(port), str(self.path)]
        return Child(role, argv, f"http://127.0.0.1:{port}/readyz", f"http://127.0.0.1:{port}/healthz")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def supervised(*children: Child, pace: RestartPolicy = QUICK) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(children, pace)
    try:
        await supervisor.start()
        yield supervisor
    finally:
        await supervisor.stop()


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def test_children_start_in_order_and_stop_in_reverse(journal: Journal) -> None:
    async def scenario() -> None:
        async with supervised(journal.child("first"), journal.child("second"), journal.child("third")):
            assert journal.events() == ["first starts", "second starts", "third starts"]

    asyncio.run(scenario())
    assert journal.events()[3:] == ["third stops", "second stops", "first stops"]
    assert not any(alive(pid) for role in ("first", "second", "third") for pid in journal.pids(f"{role} starts"))


def test_a_dead_child_is_started_again(journal: Journal) -> None:
    async def scenario() -> None:
        async with supervised(journal.child("one"), journal.child("other")):
            (pid,) = journal.pids("one starts")
            os.kill(pid, signal.SIGKILL)
            await journal.reaches(2, "one starts")
            assert len(journal.pids("other starts")) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(("healthy_after", "pauses"), [(60.0, [0.02, 0.04, 0.05]), (0.0, [0.02, 0.02, 0.02])])
def test_pauses_double_up_to_a_bound_and_start_over_after_health(
    healthy_after: float, pauses: list[float], journal: Journal
) -> None:
    pace = RestartPolicy(first_pause=0.02, longest_pause=0.05, healthy_after=healthy_after)

    async def scenario() -> None:
        async with supervised(journal.child("one"), pace=pace):
            for death in range(1, 4):
                os.kill(journal.pids("one starts")[-1], signal.SIGKILL)
                await journal.reaches(death + 1, "one starts")

    with capture_logs() as logs:
        asyncio.run(scenario())
    died = [line for line in logs if line["event"] == "child died"]
    assert [line["restart_in_seconds"] for line in died] == pauses
    assert {(line["child"], line["ended"]) for line in died} == {("one", "signal SIGKILL")}


def test_the_default_pauses_go_from_half_a_second_to_half_a_minute() -> None:
    assert [RestartPolicy().pause(deaths) for deaths in (1, 2, 3, 6, 7, 8, 10_000)] == [
        0.5,
        1.0,
        2.0,
        16.0,
        30.0,
        30.0,
        30.0,
    ]


def test_a_child_that_keeps_dying_cannot_start_and_the_next_is_not_tried(journal: Journal) -> None:
    async def scenario() -> None:
        async with supervised(journal.child("good"), journal.child("bad", "dies"), journal.child("next")):
            pytest.fail("it started")

    with pytest.raises(UnavailableError, match=r"bad died 3 times before it was ready.*exit status 7"):
        asyncio.run(scenario())
    assert journal.events() == ["good starts", "bad dies", "bad dies", "bad dies", "good stops"]


def test_a_child_that_is_not_ready_in_time_cannot_start(journal: Journal) -> None:
    async def scenario() -> None:
        child = journal.child("slow", "unready")
        async with supervised(child, pace=RestartPolicy(ready_seconds=0.5)):
            pytest.fail("it started")

    with pytest.raises(UnavailableError, match=r"slow was not ready at http://.* after 0\.5 s"):
        asyncio.run(scenario())


def test_children_that_ignore_the_signal_are_killed_in_the_time_allowed(journal: Journal) -> None:
    pace = RestartPolicy(stop_seconds=1.0, least_grace=0.3)

    async def scenario() -> None:
        supervisor = Supervisor([journal.child("a", "deaf"), journal.child("b", "deaf"), journal.child("c")], pace)
        await supervisor.start()
        await asyncio.wait_for(supervisor.stop(), STOP_SECONDS)

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert [line["child"] for line in logs if "killed" in line["event"]] == ["b", "a"]
    assert journal.events()[-1] == "c stops"
    assert not any(alive(pid) for role in "abc" for pid in journal.pids(f"{role} starts"))


def test_what_a_dead_child_leaves_behind_is_ended(journal: Journal) -> None:
    async def scenario() -> None:
        async with supervised(journal.child("one", "parent")):
            (grandchild,) = journal.pids("one bore")
            os.kill(journal.pids("one starts")[0], signal.SIGKILL)
            await eventually(lambda: not alive(grandchild))

    asyncio.run(scenario())


def test_neighbours_of_one_role_start_together(journal: Journal) -> None:
    async def scenario() -> None:
        async with supervised(*(journal.child("twin") for _ in range(3))):
            assert journal.events() == ["twin starts"] * 3

    asyncio.run(scenario())
    assert journal.events()[3:] == ["twin stops"] * 3


def test_stopping_ends_the_wait_between_two_lives(journal: Journal) -> None:
    pace = RestartPolicy(first_pause=1_000.0, longest_pause=1_000.0)

    async def scenario() -> None:
        supervisor = Supervisor([journal.child("one")], pace)
        await supervisor.start()
        (pid,) = journal.pids("one starts")
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not psutil.pid_exists(pid))
        await asyncio.wait_for(supervisor.stop(), DEADLINE_SECONDS)

    asyncio.run(scenario())
    assert journal.events() == ["one starts"]


def test_stopping_in_the_middle_of_a_start_leaves_nothing(journal: Journal) -> None:
    async def scenario() -> None:
        supervisor = Supervisor([journal.child("one"), journal.child("two", "unready"), journal.child("three")], QUICK)
        starting = asyncio.create_task(supervisor.start())
        await eventually(lambda: "two starts" in journal.events())
        starting.cancel()
        await asyncio.wait({starting})
        await supervisor.stop()

    asyncio.run(scenario())
    assert journal.events() == ["one starts", "two starts", "two stops", "one stops"]


@pytest.mark.parametrize("steps", range(6))
def test_a_look_at_readiness_ends_when_it_is_told_to_just_as_the_answer_comes(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        answers = asyncio.Event()

        async def not_yet(*_: object) -> bool:
            await answers.wait()
            return False

        monkeypatch.setattr(supervisor, "is_ready", not_yet)
        look = asyncio.create_task(supervisor._until_ready("http://unused"))  # noqa: SLF001 - the race is inside
        await asyncio.sleep(0.01)
        answers.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        look.cancel()
        await asyncio.wait({look}, timeout=0.5)
        assert look.cancelled()

    asyncio.run(scenario())


@pytest.mark.parametrize("frozen", ["by a signal", "in itself"])
def test_a_child_that_stops_to_answer_is_killed_and_started_again(frozen: str, journal: Journal) -> None:
    pace = RestartPolicy(first_pause=0.02, look_seconds=0.05, frozen_seconds=1.0)
    child = journal.child("one", "serves" if frozen == "by a signal" else "hangs")

    async def scenario() -> None:
        async with supervised(child, journal.child("other"), pace=pace):
            if frozen == "by a signal":
                os.kill(journal.pids("one starts")[0], signal.SIGSTOP)
            await journal.reaches(2, "one starts")
            assert len(journal.pids("other starts")) == 1

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert {line["child"] for line in logs if line["event"] == "child does not answer and is killed"} == {"one"}


def test_a_child_that_answers_that_it_is_unwell_lives(journal: Journal) -> None:
    pace = RestartPolicy(look_seconds=0.05, frozen_seconds=0.5)

    async def scenario() -> None:
        async with supervised(journal.child("one", "tells"), pace=pace):  # its /healthz answers 503
            await eventually(lambda: journal.events().count("one answers") >= 30)

    asyncio.run(scenario())
    assert journal.events().count("one starts") == 1


def test_what_a_suspended_supervisor_did_not_hear_freezes_no_child(journal: Journal) -> None:
    pace = RestartPolicy(look_seconds=0.05, frozen_seconds=3.0)

    async def scenario() -> None:
        async with supervised(journal.child("one", "tells"), pace=pace):
            await eventually(lambda: "one answers" in journal.events())
            (pid,) = journal.pids("one starts")
            os.kill(pid, signal.SIGSTOP)
            time.sleep(4)  # noqa: ASYNC251 - it stops the supervisor, as a suspended machine does
            await asyncio.sleep(10 * pace.look_seconds)  # it is awake again, and the child not yet
            os.kill(pid, signal.SIGCONT)
            before = journal.events().count("one answers")
            await eventually(lambda: journal.events().count("one answers") > before + 1)

    asyncio.run(scenario())
    assert journal.events().count("one starts") == 1


def test_no_child_outlives_a_killed_supervisor(journal: Journal) -> None:
    script = """
import asyncio, sys
from infra.logs import configure_logs
from infra.process.supervisor import Child, Supervisor

async def run():
    await Supervisor([Child("c", sys.argv[2:], sys.argv[1], sys.argv[1])]).start()
    print("started", flush=True)
    await asyncio.Event().wait()

configure_logs("up", "info")
asyncio.run(run())
"""
    child = journal.child("one", "deaf")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, child.ready_url, *child.argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"started\n"
        (pid,) = journal.pids("one starts")
        supervisor.kill()
    asyncio.run(eventually(lambda: not alive(pid)))


def test_who_observes_a_child_is_told_each_stage_and_why(journal: Journal) -> None:
    seen: list[tuple[Stage, str]] = []
    child = dataclasses.replace(journal.child("one"), observe=lambda stage, why: seen.append((stage, why)))

    async def scenario() -> None:
        async with supervised(child):
            os.kill(journal.pids("one starts")[0], signal.SIGKILL)
            await journal.reaches(2, "one starts")

    asyncio.run(scenario())
    assert seen == [
        (Stage.STARTING, ""),
        (Stage.READY, ""),
        (Stage.RESTARTING, "signal SIGKILL, again in 0.02 s"),
        (Stage.STARTING, ""),
        (Stage.STOPPING, ""),
        (Stage.STOPPED, ""),
    ]


def test_who_observes_a_child_that_cannot_start_is_told_how_it_ended(journal: Journal) -> None:
    seen: list[tuple[Stage, str]] = []
    child = dataclasses.replace(journal.child("bad", "dies"), observe=lambda stage, why: seen.append((stage, why)))

    async def scenario() -> None:
        async with supervised(child):
            pytest.fail("it started")

    with pytest.raises(UnavailableError):
        asyncio.run(scenario())
    assert seen[-1] == (Stage.STOPPED, "exit status 7")


def test_a_child_writes_to_the_file_that_it_is_given(tmp_path: Path) -> None:
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr)"

    async def scenario(output: int) -> None:
        child = Child("bad", [sys.executable, "-c", script], "http://127.0.0.1:1", "http://127.0.0.1:1", output=output)
        async with supervised(child):
            pytest.fail("it started")

    with (tmp_path / "output").open("w") as file, pytest.raises(UnavailableError):
        asyncio.run(scenario(file.fileno()))
    assert (tmp_path / "output").read_text(encoding="utf-8") == "out\nerr\n" * 3
