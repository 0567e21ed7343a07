import asyncio
import http.server
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import structlog
from rich.console import Console
from typing_extensions import override

from headrace.terminal.display import Outlook, Part
from headrace.terminal.screen import Screen
from infra.logs import get_logger
from infra.process.ports import free_port
from infra.process.supervisor import Stage
from infra.settings import Settings
from tests.infra.process.test_supervisor import eventually

NOWHERE: Final = "http://127.0.0.1:1/readyz"
STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
COMMAND: Final = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")

DIES: Final = """
import os, signal, sys
for number in range(300):
    os.write(2, b'{"event": "line %d", "level": "info"}\\n' % number)
os.write(2, b"Fatal Python error: last words")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Terminal:
    """What a terminal of some width was sent."""

    def __init__(self, width: int = 80) -> None:
        self.file = io.StringIO()
        self.console = Console(file=self.file, force_terminal=True, width=width, height=40, highlight=False)

    def text(self) -> str:
        """Everything, without colours."""
        return STYLE.sub("", self.file.getvalue())

    def rows(self) -> list[str]:
        """The lines that stand below the newest ruler."""
        return [line.rstrip() for line in COMMAND.sub("", self.text().rpartition("─")[2]).split("\n")[1:]]


def parts(url: str = NOWHERE) -> list[Part]:
    return [Part("broker", "127.0.0.1:9092", "kafka://127.0.0.1:1"), Part("serving", "http://127.0.0.1:8080", url)]


@asynccontextmanager
async def screen(terminal: Terminal, url: str = NOWHERE) -> AsyncIterator[Screen]:
    async with Screen(terminal.console, parts(url), Settings()) as entered:
        yield entered


def shown(scenario: Callable[[Screen, Terminal], Any], width: int = 80) -> Terminal:
    """Returns a terminal after a scenario."""
    terminal = Terminal(width)

    async def run() -> None:
        async with screen(terminal) as entered:
            scenario(entered, terminal)

    asyncio.run(run())
    return terminal


def test_a_note_is_shown_above_the_parts_whatever_level_is_logged() -> None:
    terminal = Terminal(80)

    async def run() -> None:
        async with Screen(terminal.console, parts(), Settings(log_level="error")) as entered:
            entered.note("no Kafka answers")

    asyncio.run(run())
    assert re.search(r"warning  up +no Kafka answers$", terminal.text(), re.MULTILINE)


def test_each_part_has_one_line_with_its_address_and_state() -> None:
    def scenario(screen: Screen, terminal: Terminal) -> None:
        assert terminal.rows() == ["broker   127.0.0.1:9092         waiting", "serving  http://127.0.0.1:8080  waiting"]
        screen.tell("broker", Stage.READY, "")
        screen.tell("serving", Stage.RESTARTING, "exit status 6, again in 0.5 s")
        assert terminal.rows() == [
            "broker   127.0.0.1:9092         ready",
            "serving  http://127.0.0.1:8080  restarting: exit status 6, again in 0.5 s",
        ]

    shown(scenario)


@pytest.mark.parametrize("width", [50, 80, 140])
def test_a_long_reason_takes_no_second_line(width: int) -> None:
    def scenario(screen: Screen, terminal: Terminal) -> None:
        screen.tell("serving", Stage.RESTARTING, "very " * 100)
        _broker, serving = terminal.rows()
        assert len(serving) == width
        assert serving.endswith("…")

    shown(scenario, width)


def test_what_to_do_next_stands_below_until_the_end() -> None:
    def scenario(screen: Screen, terminal: Terminal) -> None:
        screen.ready(Outlook([("kafka", "x")], [("send", "POST http://127.0.0.1:8181/api/v1/ingest")]))
        assert terminal.rows()[2:] == [
            "",
            "send    POST http://127.0.0.1:8181/api/v1/ingest",
            "Ctrl-C  stops all",
        ]

    assert len([line for line in shown(scenario).rows() if line]) == 2


def test_lines_of_parts_come_out_as_text_above_the_parts() -> None:
    line = {"event": "serving listens", "level": "info", "role": "serving", "url": "http://h:1", "logger": "x"}
    terminal = shown(lambda screen, _terminal: screen.show("serving", json.dumps(line).encode()))
    assert "          info     serving      serving listens  url=http://h:1\n" in terminal.text()
    assert len([row for row in terminal.rows() if row]) == 2


@pytest.mark.parametrize("line", [b"Segmentation fault", b"7", b"[1]", b"\xff?", b'{"a": ', b"\x1b[2Jgone"])
def test_what_is_no_json_is_shown_all_the_same(line: bytes) -> None:
    terminal = shown(lambda screen, _terminal: screen.show("serving", line))
    said = line.decode("utf-8", "replace").replace("\x1b", "\\x1b")
    assert re.search(rf"\d\d:\d\d:\d\d {{11}}serving      {re.escape(said)}", terminal.text())


def test_nothing_is_lost_that_a_part_wrote_before_it_was_killed() -> None:
    def scenario(screen: Screen, _terminal: Terminal) -> None:
        output = screen.output("serving")
        died = subprocess.run([sys.executable, "-c", DIES], stderr=output, check=False)
        assert died.returncode == -signal.SIGKILL

    text = shown(scenario).text()
    assert re.findall(r"line (\d+)\n", text) == [str(number) for number in range(300)]
    assert "Fatal Python error: last words" in text


def test_a_line_that_comes_in_pieces_is_one_line() -> None:
    terminal = Terminal()

    async def scenario() -> None:
        async with screen(terminal) as entered:
            output = entered.output("serving")
            os.write(output, b'{"event": "be')
            os.write(output, b'gun", "level": "info"}\n{"event": "do')
            await eventually(lambda: "begun" in terminal.text())
            os.write(output, b'ne"}\n')
            await eventually(lambda: "done" in terminal.text())

    asyncio.run(scenario())
    assert '"' not in terminal.text()


def test_its_own_process_logs_there_too() -> None:
    terminal = shown(lambda _screen, _terminal: get_logger("x").error("child died", child="serving"))
    assert "error    up           child died  child=serving" in terminal.text()


def test_a_part_that_floods_its_pipe_is_not_slowed_down_and_what_is_left_out_is_counted() -> None:
    terminal = Terminal()
    flood = b"".join(b'{"event": "line %d"}\n' % number for number in range(100_000))

    async def scenario() -> None:
        async with screen(terminal) as entered:
            output = entered.output("serving")
            writing = asyncio.to_thread(os.writev, output, [flood])
            answered = 0
            task = asyncio.ensure_future(writing)
            while not task.done():
                await asyncio.sleep(0)  # the event loop answers in between
                answered += 1
            assert await task == len(flood)
            assert answered > 10
            await eventually(lambda: "line 99999\n" in terminal.text())

    asyncio.run(scenario())
    left_out = sum(map(int, re.findall(r"(\d+) lines left out", terminal.text())))
    assert left_out > 0
    assert left_out + len(re.findall(r"line \d+\n", terminal.text())) == 100_000


def test_two_processes_of_a_part_never_share_a_line() -> None:
    def scenario(screen: Screen, _terminal: Terminal) -> None:
        output = screen.output("serving")
        os.write(output, b"last words")
        screen.tell("serving", Stage.RESTARTING, "exit status 1")
        os.write(output, b'{"event": "begins"}\n')

    text = shown(scenario).text()
    assert re.search(r"serving      last words\n", text)
    assert re.search(r"serving      begins\n", text)


def test_a_look_that_comes_back_after_a_part_has_ended_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(_client: object, _url: str) -> None:
        asked.set()
        await answer.wait()  # then: ready

    monkeypatch.setattr("headrace.terminal.screen._why_unready", late)

    async def scenario() -> None:
        async with screen(terminal) as entered:
            entered.tell("serving", Stage.STARTING, "")
            await eventually(asked.is_set)
            entered.tell("serving", Stage.RESTARTING, "exit status 1")
            answer.set()
            for _ in range(10):
                await asyncio.sleep(0)
            assert terminal.rows()[1].endswith("restarting: exit status 1")

    asyncio.run(scenario())


def test_children_are_told_to_log_json() -> None:
    assert Screen(Terminal().console, parts(), Settings()).environ == {"HEADRACE_LOG_FORMAT": "json"}


def test_the_cursor_is_never_left_hidden() -> None:
    def scenario(_screen: Screen, terminal: Terminal) -> None:
        sent = terminal.file.getvalue()
        assert sent.rfind("\x1b[?25h") > sent.rfind("\x1b[?25l")

    sent = shown(scenario).file.getvalue()
    assert sent.rfind("\x1b[?25h") > sent.rfind("\x1b[?25l")


class Server:
    """Answers ``/readyz`` with what ``reasons`` holds."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        served = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(503 if served.reasons else 200)
                self.end_headers()
                self.wfile.write(json.dumps({"reasons": served.reasons}).encode())

            @override
            def log_message(self, format: str, *args: Any) -> None:
                """Logs nothing."""

        self.port = free_port()
        self._server = http.server.HTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/readyz"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def test_a_part_that_runs_says_why_it_is_not_ready(server: Server) -> None:
    terminal = Terminal()

    def state() -> str:
        return terminal.rows()[1].split("  ")[-1]

    async def scenario() -> None:
        async with screen(terminal, server.url) as entered:
            server.reasons = {"definitions": "not read"}
            entered.tell("serving", Stage.STARTING, "")
            await eventually(lambda: state() == "starting: definitions: not read")
            server.reasons = {}
            await eventually(lambda: state() == "ready")
            server.reasons = {"kafka": "away"}
            await eventually(lambda: state() == "not ready: kafka: away")
            entered.tell("serving", Stage.RESTARTING, "exit status 1")
            entered.tell("serving", Stage.STARTING, "")
            await eventually(lambda: state() == "starting: kafka: away")
            entered.tell("serving", Stage.STOPPING, "")
            assert state() == "stopping"

    asyncio.run(scenario())


def test_a_part_that_was_ready_and_is_silent_does_not_answer() -> None:
    terminal = Terminal()

    async def scenario() -> None:
        async with screen(terminal) as entered:
            entered.tell("serving", Stage.READY, "")
            await eventually(lambda: terminal.rows()[1].endswith("  not ready: does not answer"))

    asyncio.run(scenario())
