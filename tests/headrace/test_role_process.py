import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.process.exit_codes import ExitCode

ENTRY = """
import asyncio
from schemas.errors import StorageError

async def ends(settings):
    return 9

async def fails(settings):
    raise StorageError("the disk is full; free some space")

async def waits(settings):
    print("waiting", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaned up", flush=True)
"""

DRIVER = """
import sys
sys.path[:0] = sys.argv[2:]
from headrace.role_process import run_role
from infra.settings import Settings
run_role("sample", "sample_entry:" + sys.argv[1], Settings())
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "sample_entry.py").write_text(ENTRY, encoding="utf-8")
    return [sys.executable, "-c", DRIVER, "NAME", str(tmp_path), *sys.path]


def test_the_entrys_result_is_the_exit_code(command: list[str]) -> None:
    command[3] = "ends"
    assert subprocess.run(command, check=False).returncode == 9


def test_an_error_is_logged_for_the_operator_and_gives_its_exit_code(command: list[str]) -> None:
    command[3] = "fails"
    answer = subprocess.run(command, check=False, capture_output=True)
    line = json.loads(answer.stderr)
    assert answer.returncode == ExitCode.STORAGE
    assert (line["role"], line["code"], line["reason"]) == ("sample", "STORAGE", "the disk is full; free some space")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_entry_cleanly(number: signal.Signals, command: list[str]) -> None:
    command[3] = "waits"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        assert process.stdout.read() == "cleaned up\n"
    assert process.returncode == ExitCode.OK
