"""A broker for processors alone: they take up every workspace that is in its definitions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local_kafka import LocalKafka
from tests.processors.site import Shared, Site, processor


@pytest.fixture(scope="session")
def processors_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path_factory.mktemp("kafka-of-processors")) as kafka:
        yield kafka


@pytest.fixture
def site(processors_kafka: LocalKafka, unique: str, tmp_path: Path) -> Iterator[Site]:
    """A workspace of its own, which is gone after the test."""
    site = Site(processors_kafka.bootstrap, unique, tmp_path)
    yield site
    site.remove()


@pytest.fixture(scope="module")
def shared(processors_kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A processor for the workspaces of a module whose tests start none of their own; it is ready to the end."""
    folder = tmp_path_factory.mktemp("shared")
    nobody = Site(processors_kafka.bootstrap, "nobody", folder)
    with processor(nobody) as running:
        yield Shared(nobody.bootstrap, nobody.data, running)
        assert running.is_ready()


@pytest.fixture
def live(shared: Shared, unique: str, tmp_path: Path) -> Iterator[Site]:
    """A workspace that the module's processor takes up."""
    with shared.site(unique, tmp_path) as site:
        yield site
