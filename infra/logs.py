"""Logs on stderr, for our own loggers and for every library that uses `logging`: JSON lines, or text on a terminal.

Each JSON line has ``ts`` (UTC), ``level``, ``event``, ``role``, ``logger``, and ``request_id`` where one is bound in
``structlog.contextvars``; `infra.log_text` makes text of the same.

Invariant: no secret leaves through a log: values whose name says that they are secret are replaced, and so is whatever
follows an authorization scheme or looks like one of our keys, in any text.
"""

import logging
import math
import os
import re
import sys
from collections.abc import Mapping
from typing import Final, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger
from typing_extensions import override

from infra.log_text import render_line

REDACTED: Final = "[redacted]"

SECRET_ENDINGS: Final = ("authorization", "key", "token", "secret", "password")
"""A field is secret if its name ends like this, in any case: ``api_key`` and ``apiKey`` are, ``key_id`` is not."""

SECRET_TEXT: Final = re.compile(
    r"""
    (?P<scheme> \b (?: tecton-key | bearer | basic ) \s+ | \b token \s* = \s* "? ) [\w.~+/=-]+
    | \b hr_[\w-]{20,}
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Credentials inside a text: after the schemes we accept, or one of our own keys (prefix ``hr_``) by itself."""

LOGGER_NAME: Final = "logger_name"
"""Carries the logger's name until it is written as ``logger``, a name that structlog keeps for itself."""

QUIET: Final[Mapping[str, int]] = dict.fromkeys(("alembic", "asyncio", "httpcore", "httpx"), logging.WARNING)
"""Libraries whose ordinary lines would drown ours."""


CHATTER: Final = ("faust", "mode")
"""Libraries that tell of every part of theirs as it starts and stops."""

KAFKA_LOGGER: Final = "headrace.kafka"
"""Through which librdkafka logs (`infra.kafka.clients`)."""

RETRYING: Final = re.compile(r"^GETPID .*: retrying$")
"""What librdkafka warns of at every start of a broker, and has put right a moment later."""

RETRYING_SECONDS: Final = 20.0
"""After so long it is told: records that wait for it are not in Kafka."""

RETRYING_PAUSE_SECONDS: Final = 60.0
"""After such a silence it is another start; `infra.kafka.clients` lets a line come again sooner."""


def configure_logs(role: str, level: str, log_format: str = "auto", stream: TextIO | None = None) -> None:
    """Sends all logs of this process to one stream.

    Args:
        role: the process's role, e.g. ``ingest-api``; a field of every line.
        level: least level that is logged: debug, info, warning, error or critical, which nothing has.
        log_format: ``text``, ``json``, or ``auto``: text if the stream is a terminal.
        stream: None for stderr.
    """
    target = stream or sys.stderr

    def add_origin(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["role"] = role
        if LOGGER_NAME in event:
            event["logger"] = event.pop(LOGGER_NAME)
        return event

    least = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        add_origin,
    ]
    last: list[Processor] = [structlog.processors.format_exc_info, redact, _renderer(log_format, target)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(target),
    )
    handler = logging.StreamHandler(target)
    handler.addFilter(_Chatter(least))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=least, force=True)
    for name, floor in QUIET.items():
        logging.getLogger(name).setLevel(max(floor, least))


class _Chatter(logging.Filter):
    """Makes debug lines of what libraries say about starts and stops, as long as they go as they should.

    Args:
        least: level from which lines are logged.
    """

    def __init__(self, least: int) -> None:
        super().__init__()
        self._least = least
        self._retries_since = self._retried = -math.inf

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        library = record.name.partition(".")[0]
        ordinary = library in CHATTER and record.levelno <= logging.INFO
        if ordinary or (record.name == KAFKA_LOGGER and self._retries_briefly(record)):
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return record.levelno >= self._least

    def _retries_briefly(self, record: logging.LogRecord) -> bool:
        """Tells whether a line says that a client tries again, as it has not done for long yet."""
        if not RETRYING.search(record.getMessage()):
            return False
        if record.created - self._retried > RETRYING_PAUSE_SECONDS:
            self._retries_since = record.created
        self._retried = record.created
        return record.created - self._retries_since < RETRYING_SECONDS


def _renderer(log_format: str, target: TextIO) -> Processor:
    if log_format == "json" or (log_format == "auto" and not target.isatty()):
        return structlog.processors.JSONRenderer(_to_json)
    colours = target.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return lambda _logger, _method, event: render_line(event, colours=colours)


def get_logger(name: str) -> FilteringBoundLogger:
    """Returns the logger of a module; it follows `configure_logs` even if that is called later."""
    return cast("FilteringBoundLogger", structlog.get_logger(**{LOGGER_NAME: name}))


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces secrets in a log event; the last step before it is written."""
    return {name: _without_secrets(name, value) for name, value in event.items()}


def _without_secrets(name: str, value: object) -> object:
    if name.lower().endswith(SECRET_ENDINGS):
        return REDACTED
    return _clean(value)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return SECRET_TEXT.sub(lambda match: (match["scheme"] or "") + REDACTED, value)
    if isinstance(value, Mapping):
        return {str(name): _without_secrets(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _clean(str(value))


def _to_json(event: EventDict, **_options: object) -> str:
    return msgspec.json.encode(event).decode()
