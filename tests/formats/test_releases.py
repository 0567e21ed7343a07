"""What earlier releases left behind is opened by this one, or made anew from its log, and gives the same answers."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.running import running_system
from tests.formats.make_release import record
from tests.formats.release import RELEASES, answers, ingest, unpack

VERSIONS = sorted(path.name.removesuffix(".tar.xz") for path in RELEASES.glob("*.tar.xz"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_there_is_a_release() -> None:
    assert VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_folder_of_an_earlier_release_is_opened_and_goes_on(version: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    expected = unpack(version, data)
    with running_system(data) as system:
        assert answers(system) == expected
        assert ingest(system, record("nobody", datetime.now(UTC), amount=1.0, clicks=5)) == []
        after = answers(system)
    assert after["nobody"] != expected["nobody"]
    assert (data / "up.log").read_text("utf-8").count("Traceback") == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_state_of_an_earlier_release_is_made_anew_from_its_log(version: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    expected = unpack(version, data)
    shutil.rmtree(data / "state")
    with running_system(data) as system:
        assert answers(system) == expected
    assert "state built from the offline log" in (data / "up.log").read_text("utf-8")
