"""Formats are frozen: their bytes change with their version alone, and what a release wrote is read by later ones."""

import re
from pathlib import Path

import pytest

from tests.formats.table import FORMATS, Format

GOLDEN = Path(__file__).parent / "golden"
PAGE = Path(__file__).parents[2] / "docs/compatibility/formats.md"


def golden(form: Format) -> Path:
    """Returns the file with the bytes of a format as they are written today."""
    return GOLDEN / f"{form.name}.{form.version}{f'.{form.additions}' if form.additions else ''}"


def files_of(name: str) -> list[Path]:
    return sorted(GOLDEN.glob(f"{name}.*"))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_what_is_written_is_what_this_version_of_the_format_has_always_been(form: Format) -> None:
    remedy = "raise the version of the format, keep reading the former one, and run `python -m tests.formats`"
    assert golden(form).read_bytes() == form.sample, remedy


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_what_earlier_versions_wrote_is_read(form: Format) -> None:
    assert files_of(form.name)
    for path in files_of(form.name):
        assert form.read(path.read_bytes()) == form.meaning, path.name


def test_no_bytes_are_kept_of_what_nobody_writes() -> None:
    assert {path.name.partition(".")[0] for path in GOLDEN.iterdir()} == {form.name for form in FORMATS}


def test_the_page_names_each_format_with_its_version() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert {form.name: rows.get(form.name) for form in FORMATS} == {form.name: str(form.version) for form in FORMATS}
