"""What tests of pure code share."""

import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def host_far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has the host's clock be in a zone in which local time taken for UTC shows: CI's own is UTC."""
    monkeypatch.setenv("TZ", "XXX+3:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
