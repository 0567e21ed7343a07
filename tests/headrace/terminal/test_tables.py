import pytest

from headrace.terminal.tables import PIPE_WIDTH, console, printed, table


def test_cells_are_shown_as_people_write_them() -> None:
    assert [printed(each) for each in (None, True, False, 12_345, ["a", 1], (), "x")] == [
        "",
        "yes",
        "no",
        "12,345",
        "a, 1",
        "",
        "x",
    ]


def test_where_there_is_no_terminal_tables_are_wide(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * (PIPE_WIDTH // 5 - 5)
    console().print(table(["name", "count"], [[long, 7], ["b", 1_000]]))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["name", "count"]
    assert lines[1] == [*long.split(), "7"]
    assert lines[2] == ["b", "1,000"]


def test_no_number_is_folded_on_a_narrow_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.terminal.tables.PIPE_WIDTH", 20)
    console().print(table(["name", "count"], [["a" * 30, 1_234_567_890], ["b", None]]))
    assert "1,234,567,890" in capsys.readouterr().out


def test_text_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(table(["text"], [["[bold]:smile: [/nothing]"]]))
    assert "[bold]:smile: [/nothing]" in capsys.readouterr().out


def test_what_a_terminal_takes_for_commands_is_escaped() -> None:
    assert printed("a\x1b[2Jb\x9b1mc\nd\u202e größer") == "a\\x1b[2Jb\\x9b1mc\\nd\\u202e größer"


def test_a_table_without_rows_has_its_heads(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(table(["name", "count"], []))
    assert capsys.readouterr().out.split() == ["name", "count"]
