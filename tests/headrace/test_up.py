import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from access.store.accounts import AccessStore
from headrace.commands.up import HEADRACE, choose_ports
from infra.process.exit_codes import ExitCode
from infra.process.ports import free_port, is_free
from infra.settings import Settings, flag_name
from schemas.errors import SettingsError

pytestmark = pytest.mark.broker  # of its own

EXIT_SECONDS = 30.0

FREE_PORTS: dict[str, Any] = dict.fromkeys(("kafka_port", "ingest_port", "serving_port", "processor_port"), 0)
FREE_PORT_FLAGS = [f"{flag_name(name)}=0" for name in FREE_PORTS]

DRIVER = """
import functools, sys
from headrace.commands import up
from infra.process.supervisor import RestartPolicy
up.HEADRACE = (sys.executable, sys.argv.pop(1))
up.Supervisor = functools.partial(up.Supervisor, pace=RestartPolicy(first_pause=0.05))
up.command(prog_name="headrace up")
"""
"""Runs `headrace up` with something smaller in place of its children, and with shorter pauses."""

ROLE = """
import http.server, os, pathlib, signal, sys
role = sys.argv[1]
data = pathlib.Path(os.environ["HEADRACE_DATA"])
if role == "apply":
    with (data / "applied").open("w") as file:
        file.write(" ".join(sys.argv[2:]) + " " + os.environ["HEADRACE_BOOTSTRAP"])
    print(f"applied {sys.argv[2]}")
    sys.exit(3 if sys.argv[2].endswith("broken") else 0)
if role == os.environ.get("DIES"):
    sys.stderr.write(f"{role} cannot go on")
    sys.exit(1)

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

def stop(*_):
    with (data / "stopped").open("a") as file:
        file.write(role + "\\n")
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
names = {"broker": "KAFKA", "processor": "PROCESSOR", "ingest-api": "INGEST", "serving": "SERVING"}
http.server.HTTPServer(("127.0.0.1", int(os.environ[f"HEADRACE_{names[role]}_PORT"])), Ready).serve_forever()
"""


class Up:
    """A running `headrace up` and what it printed until it was ready or ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.lines: list[str] = []
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("ready"):
                break

    def printed(self, name: str) -> list[str]:
        return [line.removeprefix(name).strip() for line in self.lines if line.startswith(f"{name} ")]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(EXIT_SECONDS)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    role = tmp_path / "role.py"
    role.write_text(ROLE, encoding="utf-8")
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str, environ: Mapping[str, str] | None = None) -> Up:
        flags = ["--data", "state", *FREE_PORT_FLAGS, *arguments]
        with (tmp_path / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, str(role), *flags],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environ or {})},
            )
        running.append(process)
        return Up(process)

    yield start
    for process in running:
        with process:
            process.kill()


def test_prints_each_address_and_the_key_and_then_ready(up: Callable[..., Up], tmp_path: Path) -> None:
    system = up("--processors", "2")
    assert system.lines[-1].startswith("ready")
    assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d+", system.printed("kafka")[0])
    urls = [*system.printed("processor"), *system.printed("ingest"), *system.printed("serving")]
    assert len(set(urls)) == 4
    assert all(re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+", url) for url in urls)
    assert system.printed("registry") == system.printed("ingest")
    assert system.printed("admin key") == ["state/admin.key (new)"]
    store = AccessStore.open(tmp_path / "state")
    assert store.find((tmp_path / "state/admin.key").read_text(encoding="ascii").strip()) is not None
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_all_in_reverse_order_and_exits_with_0(
    number: signal.Signals, up: Callable[..., Up], tmp_path: Path
) -> None:
    system = up()
    children = psutil.Process(system.process.pid).children(recursive=True)
    assert len(children) == 4
    assert system.end(number) == ExitCode.OK
    stopped = (tmp_path / "state/stopped").read_text(encoding="utf-8").split()
    assert stopped == ["serving", "ingest-api", "processor", "broker"]
    assert psutil.wait_procs(children, timeout=EXIT_SECONDS)[1] == []


@pytest.mark.slow
def test_starts_no_kafka_when_brokers_are_given(up: Callable[..., Up]) -> None:
    system = up("--bootstrap", "127.0.0.1:1")
    assert system.printed("note")[0] == (
        "uses Kafka at 127.0.0.1:1 (flag --bootstrap) and starts none of its own; flag --kafka-port has no effect"
    )
    assert system.printed("kafka") == ["127.0.0.1:1"]
    assert len(psutil.Process(system.process.pid).children()) == 3


@pytest.mark.slow
def test_a_second_one_on_the_same_folder_is_refused_until_the_first_ends(up: Callable[..., Up], tmp_path: Path) -> None:
    first = up()
    second = up()
    assert second.process.wait(EXIT_SECONDS) == ExitCode.ALREADY_RUNNING
    assert f"`headrace up` (process {first.process.pid}) uses state" in (tmp_path / "log").read_text(encoding="utf-8")
    first.end()
    third = up()
    assert third.printed("admin key") == ["state/admin.key"]


@pytest.mark.slow
def test_a_child_that_cannot_start_ends_all(up: Callable[..., Up], tmp_path: Path) -> None:
    system = up(environ={"DIES": "broker"})
    assert system.process.wait(EXIT_SECONDS) == ExitCode.CHILD_CANNOT_START
    assert system.lines == []
    assert "Error: broker died 5 times" in (tmp_path / "log").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "passed"),
    [("", ""), ("--allow-removals", "--allow-removals=grace "), ("--allow-removals=now", "--allow-removals=now ")],
)
def test_a_repository_is_applied_before_ready(up: Callable[..., Up], tmp_path: Path, given: str, passed: str) -> None:
    (tmp_path / "features").mkdir()
    system = up(*given.split(), "--repo", "features")
    assert system.lines[-1].startswith("ready")
    assert (tmp_path / "state/applied").read_text(encoding="utf-8") == f"features {passed}{system.printed('kafka')[0]}"


@pytest.mark.slow
def test_a_repository_that_cannot_be_applied_ends_all(up: Callable[..., Up], tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    system = up("--repo", "broken")
    assert system.process.wait(EXIT_SECONDS) == ExitCode.APPLY_FAILED
    assert not any(line.startswith("ready") for line in system.lines)
    assert "ended with exit status 3" in (tmp_path / "log").read_text(encoding="utf-8")


def test_nothing_is_left_when_it_is_killed(up: Callable[..., Up]) -> None:
    system = up()
    children = psutil.Process(system.process.pid).children(recursive=True)
    system.end(signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=EXIT_SECONDS)[1] == []


def test_packages_in_the_working_directory_do_not_stand_in_for_its_own(tmp_path: Path) -> None:
    for name in ("schemas", "infra", "access", "serving"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("", encoding="utf-8")
    child = subprocess.run([*HEADRACE, "serving", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (ExitCode.OK, "")


@pytest.mark.parametrize("name", ["kafka_port", "ingest_port", "serving_port", "processor_port"])
def test_a_taken_port_is_named_before_anything_starts(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f":{port}: .*"):
            choose_ports(Settings(**{**FREE_PORTS, name: port}))


def test_a_port_given_twice_is_refused() -> None:
    port = free_port()
    with pytest.raises(SettingsError, match=f"port {port} is given to more than one server"):
        choose_ports(Settings(**{**FREE_PORTS, "ingest_port": port, "serving_port": port}))


def test_a_port_of_one_of_several_processors_is_given_to_nobody_else() -> None:
    port = free_port()
    with pytest.raises(SettingsError, match=f"port {port} is given to more than one server"):
        choose_ports(Settings(**{**FREE_PORTS, "ingest_port": port, "processor_port": port - 1}, processors=2))


def test_processors_take_the_port_that_is_given_and_the_next() -> None:
    port = next(port for port in iter(free_port, 0) if is_free(port + 1))
    system = choose_ports(Settings(**{**FREE_PORTS, "processor_port": port}, processors=2))
    assert system.processor_ports == (port, port + 1)


def test_ports_given_as_0_are_chosen_all_different() -> None:
    system = choose_ports(Settings(**FREE_PORTS, processors=5))
    ports = [system.settings.ingest_port, system.settings.serving_port, system.settings.kafka_port]
    assert len({0, *ports, *system.processor_ports}) == 9
    assert system.settings.bootstrap == f"127.0.0.1:{system.settings.kafka_port}"


TAKE_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
"""
"""Makes the terminal the one whose Ctrl-C this process gets."""


class OnTerminal:
    """`headrace up` on a terminal of its own, and all that it has written there."""

    def __init__(self, folder: Path, *flags: str, environ: Mapping[str, str] | None = None) -> None:
        self.terminal, end = pty.openpty()
        termios.tcsetwinsize(end, (40, 140))
        (folder / "role.py").write_text(ROLE, encoding="utf-8")
        ports = ["--data", "state", *FREE_PORT_FLAGS]
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL + DRIVER, str(folder / "role.py"), *ports, *flags],
            stdin=end,
            stdout=end,
            stderr=end,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", **(environ or {})},
            start_new_session=True,
        )
        os.close(end)
        self.written = ""

    def reads(self, said: str) -> bool:
        """Reads on until a text has come; returns whether it has before the end."""
        while said not in self.text():
            try:
                self.written += os.read(self.terminal, 65_536).decode("utf-8", "replace")
            except OSError:  # the last process that had the terminal has ended
                return False
        return True

    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self.written)

    def press(self, key: bytes) -> None:
        os.write(self.terminal, key)

    def ends(self) -> int:
        self.reads("text that never comes")
        return self.process.wait(EXIT_SECONDS)


@pytest.fixture
def on_terminal(tmp_path: Path) -> Iterator[Callable[..., OnTerminal]]:
    running: list[OnTerminal] = []

    def start(*flags: str, environ: Mapping[str, str] | None = None) -> OnTerminal:
        running.append(OnTerminal(tmp_path, *flags, environ=environ))
        return running[-1]

    yield start
    for each in running:
        each.process.kill()
        each.process.wait()
        os.close(each.terminal)


def test_on_a_terminal_ctrl_c_stops_all_and_leaves_the_cursor(
    on_terminal: Callable[..., OnTerminal], tmp_path: Path
) -> None:
    system = on_terminal("--processors", "2")
    assert system.reads("Ctrl-C     stops all")
    for part in ("broker", "processor 1", "processor 2", "ingest API", "serving"):
        assert re.search(rf"^{part} +\S+:\d+ +ready", system.text(), re.MULTILINE)
    assert "admin key  state/admin.key (new)" in system.text()
    assert system.reads("info     up           child is ready  child=serving")  # log lines come a moment later
    system.press(b"\x03")
    assert system.ends() == ExitCode.OK
    assert re.search(r"^broker +\S+ +stopped", system.text(), re.MULTILINE)
    assert system.written.rfind("\x1b[?25h") > system.written.rfind("\x1b[?25l")
    stopped = (tmp_path / "state/stopped").read_text(encoding="utf-8").split()
    assert stopped == ["serving", "ingest-api", "processor", "processor", "broker"]


@pytest.mark.slow
def test_on_a_terminal_brokers_that_do_not_answer_are_told(on_terminal: Callable[..., OnTerminal]) -> None:
    system = on_terminal("--bootstrap", "127.0.0.1:1")
    assert system.reads("up           uses Kafka at 127.0.0.1:1 (flag --bootstrap)")
    assert system.reads(
        "up           no Kafka answers at 127.0.0.1:1 (flag --bootstrap): start it, correct bootstrap, or"
    )


@pytest.mark.slow
def test_on_a_terminal_the_last_words_of_a_part_are_read_and_the_error_comes_last(
    on_terminal: Callable[..., OnTerminal],
) -> None:
    system = on_terminal(environ={"DIES": "serving"})
    assert system.ends() == ExitCode.CHILD_CANNOT_START
    assert system.text().count("serving      serving cannot go on") == 5
    assert re.search(r"^serving +\S+ +stopped: exit status 1", system.text(), re.MULTILINE)
    assert "Error: serving died 5 times before it was ready" in system.text().splitlines()[-1]


@pytest.mark.slow
def test_on_a_terminal_what_apply_says_is_read(on_terminal: Callable[..., OnTerminal], tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    system = on_terminal("--repo", "features")
    assert system.reads("Ctrl-C     stops all")
    assert system.reads("apply        applied features")
    assert "headrace init" not in system.text()


@pytest.mark.slow
def test_json_that_is_asked_for_comes_on_a_terminal_too(on_terminal: Callable[..., OnTerminal]) -> None:
    system = on_terminal("--log-format", "json")
    assert system.reads("ready: Ctrl-C stops all")
    lines = [line for line in system.text().splitlines() if line.startswith("{")]
    assert {json.loads(line)["event"] for line in lines} == {"child started", "child is ready"}
    assert "\x1b" not in system.written
