"""A broker for processors alone: they take up every workspace that is in its definitions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local_kafka.broker import LocalKafka
from tests.support.site import Site


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
