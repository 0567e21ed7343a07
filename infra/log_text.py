"""One event of the log as a line for a person: time, level, part, sentence, and what else is known.

    16:39:15  warning  processor   child does not answer and is killed  pid=4711 seconds=30

Invariant: a line is one line, whatever its values hold; only a traceback has lines of its own, indented below. What a
terminal would take for commands is escaped, since values come from records and requests.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

LEVEL_WIDTH: Final = 7
ROLE_WIDTH: Final = len("processor 1")

RESET: Final = "\x1b[0m"
BOLD: Final = "\x1b[1m"
DIM: Final = "\x1b[2m"
STYLES: Final = {"debug": DIM, "warning": "\x1b[35m", "error": "\x1b[1;31m", "critical": "\x1b[1;31m"}
"""By level. Neither yellow nor cyan, which nobody can read on a light background."""

SHOWN: Final = frozenset({"ts", "level", "role", "event", "exception", "logger"})
"""Fields that have a place of their own; the logger, a name of a module, has none."""

CLOCK_CHARACTERS: Final = len("00:00:00")


def render_line(event: Mapping[str, object], *, colours: bool) -> str:
    """Returns an event without its line end.

    Args:
        event: as in a line of JSON (``infra.logs``); each field may be missing. The time, UTC, is shown as local time.
        colours: whether the line goes to a terminal that shows them.
    """
    level = str(event.get("level", ""))
    style = STYLES.get(level, "")
    parts = [
        _styled(_clock(event.get("ts")).ljust(CLOCK_CHARACTERS), DIM, colours=colours),
        _styled(printable(level).ljust(LEVEL_WIDTH), style, colours=colours),
        _styled(printable(str(event.get("role", ""))).ljust(ROLE_WIDTH), BOLD, colours=colours),
        _styled(printable(str(event.get("event", ""))), style, colours=colours),
    ]
    fields = " ".join(f"{printable(name)}={_value(value)}" for name, value in event.items() if name not in SHOWN)
    if fields:
        parts.append(_styled(fields, DIM, colours=colours))
    trace = str(event.get("exception", "")).splitlines()
    return "\n".join(["  ".join(parts), *(f"    {printable(line)}" for line in trace)])


def _clock(ts: object) -> str:
    try:
        return datetime.fromisoformat(str(ts)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return ""


def _value(value: object) -> str:
    """Returns a value as JSON, or bare where it is one word."""
    if isinstance(value, str) and value and not set(value) & set(" \"'="):
        return printable(value)
    return printable(msgspec.json.encode(value).decode())


def printable(text: str) -> str:
    """Returns a text with an escape for each character that a terminal would not show as it is."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _styled(text: str, style: str, *, colours: bool) -> str:
    return f"{style}{text}{RESET}" if colours and style else text
