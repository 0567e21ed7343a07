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
