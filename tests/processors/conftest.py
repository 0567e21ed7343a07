"""Workspaces for tests of processors, on the broker that all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import SharedProcessor, Site


@pytest.fixture
def site(bootstrap: str, unique: str, tmp_path: Path) -> Iterator[Site]:
    """A workspace of its own, which is gone after the test."""
    site = Site(bootstrap, unique, tmp_path)
    yield site
    site.remove()


@pytest.fixture(scope="module")
def shared_processor(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedProcessor]:
    """A processor that all tests of a module use, each with workspaces of its own."""
    with SharedProcessor.running(bootstrap, tmp_path_factory.mktemp("shared")) as shared:
        yield shared


@pytest.fixture
def served(shared_processor: SharedProcessor, tmp_path: Path) -> Iterator[Site]:
    """A workspace of its own that a processor works for already, and which is gone after the test."""
    site = shared_processor.site(tmp_path)
    yield site
    site.remove()
    assert not shared_processor.health.has_ended(), "the processor ended, and later tests of this module have none"
