import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from infra.process.exit_codes import ExitCode
from infra.process.ports import LOOPBACK

pytestmark = pytest.mark.broker  # of its own


@contextmanager
def broker(data: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A running ``headrace broker`` and the first line it printed."""
    command = [sys.executable, "-m", "headrace", "broker", "--data", str(data), "--kafka-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline()
        finally:
            process.kill()


def test_it_prints_ready_with_its_address_and_stops_cleanly_however_often_it_is_told(tmp_path: Path) -> None:
    with broker(tmp_path) as (process, line):
        word, address = line.split()
        host, port = address.split(":")
        assert (word, host) == ("ready", LOOPBACK)
        socket.create_connection((host, int(port)), timeout=10).close()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (ExitCode.OK, "")


@pytest.mark.slow
def test_it_ends_with_a_message_when_kafka_dies(tmp_path: Path) -> None:
    with broker(tmp_path) as (process, _line):
        [kafka] = psutil.Process(process.pid).children()
        os.kill(kafka.pid, signal.SIGKILL)
        _output, errors = process.communicate(timeout=30)
        assert process.returncode == ExitCode.UNAVAILABLE
        assert "ended by itself with exit code -9" in errors
        assert "broker.log" in errors
