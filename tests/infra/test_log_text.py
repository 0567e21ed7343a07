from datetime import UTC, datetime
from typing import Any

import pytest

from infra.log_text import render_line

TS = "2026-11-25T16:39:15.629327Z"
CLOCK = datetime(2026, 11, 25, 16, 39, 15, tzinfo=UTC).astimezone().strftime("%H:%M:%S")


def line(**event: Any) -> str:
    return render_line(event, colours=False)


def test_a_line_has_time_level_part_sentence_and_then_the_fields() -> None:
    text = line(child="processor", pid=7, event="child started", level="info", ts=TS, role="up", logger="infra.x")
    assert text == f"{CLOCK}  info     up           child started  child=processor pid=7"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a b", '"a b"'),
        ("", '""'),
        ("x=y", '"x=y"'),
        ('say "a"', '"say \\"a\\""'),
        (None, "null"),
        ([1, {"a": "b"}], '[1,{"a":"b"}]'),
        ("köln", "köln"),
    ],
)
def test_a_value_of_several_words_is_told_from_the_next_field(value: object, shown: str) -> None:
    assert line(event="e", x=value, y=1).endswith(f"  x={shown} y=1")


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2Ja", "a\x9b2J", "a\u202eb", "a\u2028b", "\x7f"])
def test_nothing_in_an_event_commands_the_terminal_or_ends_the_line(text: str) -> None:
    shown = line(event=text, role=text, level=text, value=text, values=[text], **{text: 1})
    assert shown.isprintable()


def test_a_traceback_is_indented_below() -> None:
    first, *trace = line(event="failed", exception="Traceback\n  File\x1b\nValueError").split("\n")
    assert first.endswith("failed")
    assert trace == ["    Traceback", "      File\\x1b", "    ValueError"]


def test_what_is_missing_leaves_its_place_empty() -> None:
    assert line(event="e") == " " * 32 + "e"
    assert line(event="e", ts="later") == " " * 32 + "e"


def test_colours_change_nothing_else() -> None:
    event = {"event": "died", "level": "error", "role": "up", "ts": TS, "x": 1}
    coloured = render_line(event, colours=True)
    assert "\x1b[1;31merror" in coloured
    for style in ("\x1b[1;31m", "\x1b[0m", "\x1b[1m", "\x1b[2m"):
        coloured = coloured.replace(style, "")
    assert coloured == render_line(event, colours=False)
