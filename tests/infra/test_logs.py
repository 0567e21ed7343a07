import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from access.keys import new_key
from infra.logs import REDACTED, configure_logs, get_logger


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_each_line_is_json_with_time_level_event_role_and_request(capsys: pytest.CaptureFixture[str]) -> None:
    log = get_logger("a.module")
    configure_logs("serving", "info")
    structlog.contextvars.bind_contextvars(request_id="r-1")
    log.info("it happened", count=3)
    (line,) = lines(capsys)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info",
        "event": "it happened",
        "role": "serving",
        "logger": "a.module",
        "request_id": "r-1",
        "count": 3,
    }


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("processor", "info")
    logging.getLogger("faust.app").warning("partition %d", 7)
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["role"], line["logger"]) == (
        "partition 7",
        "warning",
        "processor",
        "faust.app",
    )


def test_lines_below_the_level_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("up", "warning")
    get_logger("x").info("no")
    logging.getLogger("y").info("no")
    get_logger("x").warning("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes"]


def test_an_exception_is_one_line_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("up", "info")
    try:
        int("Tecton-key abcdef")
    except ValueError:
        get_logger("x").exception("failed")
    (line,) = lines(capsys)
    assert "ValueError" in line["exception"]
    assert "abcdef" not in line["exception"]


@pytest.mark.parametrize(
    "name", ["authorization", "Authorization", "key", "api_key", "apiKey", "token", "client_secret"]
)
def test_fields_named_as_secrets_are_redacted_at_any_depth(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("up", "info")
    get_logger("x").info("call", **{name: "s3cret", "inner": {"list": [{name: "s3cret"}]}})
    (line,) = lines(capsys)
    assert line[name] == REDACTED
    assert line["inner"] == {"list": [{name: REDACTED}]}


def test_fields_that_only_speak_of_keys_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("up", "info")
    get_logger("x").info("revoked", key_id="k1", keys=2, none=None)
    (line,) = lines(capsys)
    assert (line["key_id"], line["keys"], line["none"]) == ("k1", 2, None)


@pytest.mark.parametrize(
    "text", ["Tecton-key {}", 'Snowflake Token="{}"', "Basic {}", "bearer {}", "the key {} is new"]
)
def test_credentials_inside_texts_are_redacted(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("up", "info")
    key = new_key()
    get_logger("x").info(text.format(key), texts=(text.format(key), KeyError(key)))
    logging.getLogger("y").info(text.format("%s"), key)
    logged = capsys.readouterr().err
    assert key not in logged
    assert REDACTED in logged


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("text", io.StringIO, False),
    ],
)
def test_lines_are_text_for_people_and_json_for_programs(
    log_format: str, stream: type[io.StringIO], is_json: bool
) -> None:
    target = stream()
    configure_logs("serving", "info", log_format, target)
    get_logger("x").info("it happened", count=3)
    logging.getLogger("y").info("to others, too")
    assert [line.startswith("{") for line in target.getvalue().splitlines()] == [is_json, is_json]
    assert "it happened" in target.getvalue()


def test_text_hides_secrets_too() -> None:
    target = Terminal()
    configure_logs("serving", "info", "auto", target)
    get_logger("x").info("Tecton-key abcdef", api_key="s3cret")
    assert "abcdef" not in target.getvalue()
    assert "s3cret" not in target.getvalue()


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colours_are_for_terminals_that_want_them(
    environ: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    target = Terminal()
    configure_logs("serving", "info", "text", target)
    get_logger("x").error("it happened")
    assert ("\x1b[" in target.getvalue()) is coloured


CHATTER = "GETPID [headrace#producer-6] [thrd:main]: Failed to acquire idempotence PID: Coordinator load: retrying"


@pytest.mark.parametrize(
    ("name", "level", "text", "shown"),
    [
        ("faust.agents.agent", logging.INFO, "[^--Agent: run]: Starting...", "debug"),
        ("mode.supervisors", logging.INFO, "Stopping...", "debug"),
        ("faust.app.base", logging.ERROR, "Crashed", "error"),
        ("mode.threads", logging.WARNING, "slow", "warning"),
        ("headrace.kafka", logging.WARNING, CHATTER, "debug"),
        ("headrace.kafka", logging.WARNING, "GETPID [thrd:main]: fenced", "warning"),
        ("modern", logging.INFO, "Starting...", "info"),
    ],
)
def test_what_libraries_say_of_an_ordinary_start_is_for_debugging(
    name: str,
    level: int,
    text: str,
    shown: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger(name), "filters", [])  # Kafka's would drop a line that comes again
    configure_logs("processor", "debug")
    logging.getLogger(name).log(level, text)
    assert [line["level"] for line in lines(capsys)] == [shown]
    configure_logs("processor", "info")
    logging.getLogger(name).log(level, text)
    assert [line["level"] for line in lines(capsys)] == ([] if shown == "debug" else [shown])


def test_a_client_that_tries_again_for_long_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logs("processor", "info")
    logger = logging.getLogger("headrace.kafka")
    monkeypatch.setattr(logger, "filters", [])  # it would drop a line that comes again

    def told(at: float) -> int:
        record = logger.makeRecord(logger.name, logging.WARNING, "", 0, CHATTER, (), None)
        record.created = at
        logger.handle(record)
        return len(lines(capsys))

    assert [told(at) for at in (1_000, 1_019, 1_020, 1_050, 1_111, 1_130, 1_131)] == [0, 0, 1, 1, 0, 0, 1]
