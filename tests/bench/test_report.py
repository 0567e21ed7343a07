from bench.figures import AtLeast, Figure, Results, Table
from bench.report import Entry, entries, merge, number, plain, replaced, section

RESULTS = Results([Figure("rate", [14_000.0, 16_000.0, 15_500.0], "events/s", AtLeast(15_000))], "Three runs.")


def names(found: list[Entry]) -> list[str]:
    return [entry.name for entry in found]


def test_an_entry_holds_the_figure_its_target_and_where_it_was_made() -> None:
    (entry,) = entries("pipeline", RESULTS)
    assert (entry.value, entry.least, entry.greatest, entry.runs) == (15_500.0, 14_000.0, 16_000.0, 3)
    assert (entry.target, entry.met) == ("≥ 15,000", True)
    assert "Python" in entry.machine


def test_a_benchmark_replaces_its_own_entries_in_place_and_leaves_the_others() -> None:
    a, b, c = (entries(name, Results([Figure(name, [1.0], "s")]))[0] for name in "abc")
    new = entries("b", Results([Figure("b1", [2.0], "s"), Figure("b2", [3.0], "s")]))
    assert names(merge([a, b, c], "b", new)) == ["a", "b1", "b2", "c"]
    assert names(merge([a, c], "b", new)) == ["a", "c", "b1", "b2"]


def test_only_the_text_between_a_benchmarks_markers_changes() -> None:
    page = "# Title\n\n<!-- bench a -->\nold\n<!-- end a -->\n\nwritten by hand\n"
    assert replaced(page, "a", "new\n") == page.replace("old", "new")


def test_markers_are_added_where_a_page_has_none() -> None:
    assert replaced("# Title\n", "a", "new\n") == "# Title\n\n<!-- bench a -->\nnew\n<!-- end a -->\n"


def test_a_section_shows_median_spread_target_and_the_script() -> None:
    text = section("pipeline", entries("pipeline", RESULTS), RESULTS)
    assert "| rate | 15,500 | 14,000 … 16,000 | events/s | ≥ 15,000 | yes |" in text
    assert "`bench/pipeline.py`" in text
    assert "Three runs." in text


def test_numbers_have_the_digits_that_help() -> None:
    assert [number(value) for value in (15_432.6, 3.0, 0.12345, 12.345)] == ["15,433", "3", "0.123", "12.3"]


def test_a_plain_table_aligns_its_columns() -> None:
    assert plain(Table("t", ["name", "n"], [["long name", "1"]])) == "t\nname       n\nlong name  1"
