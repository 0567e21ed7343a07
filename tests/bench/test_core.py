import pytest

from bench import core
from bench.figures import Extent


def test_every_stage_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EVENTS": 100, "WEEK_EVENTS": 100, "READS": 10}.items():
        monkeypatch.setattr(core, name, value)
    monkeypatch.setattr(core, "RUNS", {Extent.STANDARD: 1})
    names = [figure.name for figure in core.run(Extent.STANDARD).figures]
    assert names == [
        *(f"core: {stage}" for stage in core.STAGES),
        "core: all of these",
        "core: read 10 features of a week",
    ]
