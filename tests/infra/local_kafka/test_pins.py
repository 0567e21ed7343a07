import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from infra.local_kafka import pins
from infra.local_kafka.jars import KAFKA_VERSION, Jar, read_lock

if TYPE_CHECKING:
    from jgo.maven import MavenContext


@dataclass
class Dependency:
    """Of Maven, with one of its scopes."""

    coordinates: str
    scope: str = "runtime"

    def __post_init__(self) -> None:
        self.groupId, self.artifactId, self.version = self.coordinates.split(":")  # Maven's own names


class Context:
    """Maven where each root needs what it needs at any time."""

    def __init__(self, transitive: list[Dependency]) -> None:
        self.resolver = self
        self.transitive = transitive

    def create_dependency(self, coordinates: str) -> Dependency:
        return Dependency(coordinates, scope="test")

    def resolve(self, roots: list[Dependency]) -> tuple[list[Dependency], list[Dependency]]:
        assert {root.scope for root in roots} == {"compile"}
        return roots, self.transitive


TRANSITIVE = [
    Dependency("org.slf4j:slf4j-api:2.0.17", "compile"),
    Dependency("com.yammer.metrics:metrics-core:2.2.0"),
    Dependency("org.junit:junit:5.0", "test"),
    Dependency("javax.servlet:servlet-api:3.1", "provided"),
]


def resolved() -> list[str]:
    return pins.resolve(cast("MavenContext", Context(TRANSITIVE)))


def test_what_is_needed_at_run_time_is_pinned_and_nothing_else() -> None:
    assert resolved() == sorted([*pins.ROOTS, "org.slf4j:slf4j-api:2.0.17", "com.yammer.metrics:metrics-core:2.2.0"])


def test_the_roots_are_in_the_lock_at_the_versions_named_here() -> None:
    assert set(pins.ROOTS) <= {jar.coordinates for jar in read_lock()}
    assert sum(root.endswith(f":{KAFKA_VERSION}") for root in pins.ROOTS) == 2


def test_each_jar_is_pinned_by_the_checksum_of_what_was_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(coordinates: str, _context: object) -> Path:
        path = tmp_path / coordinates.replace(":", "+")
        path.write_bytes(coordinates.encode())
        return path

    lock = tmp_path / "jars.lock"
    monkeypatch.setattr(pins, "maven_context", lambda _scratch: Context(TRANSITIVE))
    monkeypatch.setattr(pins, "fetch", fetch)
    monkeypatch.setattr(pins, "LOCK_FILE", lock)
    pins.main()
    assert read_lock(lock) == tuple(Jar(each, hashlib.sha256(each.encode()).hexdigest()) for each in resolved())
