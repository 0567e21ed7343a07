import hashlib
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.local_kafka.jars import KAFKA_VERSION, Jar, cache_folder, kafka_jars, read_lock
from schemas.errors import NotInstalledError, StorageError, UnavailableError

CONTENT = {"org.example:stream:1.0": b"stream", "org.example.deep:wheel:2.1": b"wheel"}
JARS = [Jar(coordinates, hashlib.sha256(content).hexdigest()) for coordinates, content in CONTENT.items()]


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """The URL of a Maven repository that has the two jars."""
    root = tmp_path / "repository"
    for coordinates, content in CONTENT.items():
        group, artifact, version = coordinates.split(":")
        folder = root.joinpath(*group.split("."), artifact, version)
        folder.mkdir(parents=True)
        (folder / f"{artifact}-{version}.jar").write_bytes(content)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_missing_jars_are_downloaded_without_java_or_maven(
    tmp_path: Path, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    paths = kafka_jars(tmp_path / "cache", JARS, repository)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())


def test_a_download_with_another_checksum_is_refused_and_not_kept(tmp_path: Path, repository: str) -> None:
    wrong = [JARS[0], Jar(JARS[1].coordinates, "0" * 64)]
    with pytest.raises(StorageError, match=r"org\.example\.deep:wheel:2\.1 has SHA-256 .* expected 0{64}"):
        kafka_jars(tmp_path / "cache", wrong, repository)
    assert list((tmp_path / "cache").rglob("*.jar")) == []


def test_a_damaged_jar_is_replaced(tmp_path: Path, repository: str) -> None:
    first, second = kafka_jars(tmp_path / "cache", JARS, repository)
    first.write_bytes(b"torn")
    assert kafka_jars(tmp_path / "cache", JARS, repository) == [first, second]
    assert first.read_bytes() == CONTENT[JARS[0].coordinates]


def test_jars_that_were_checked_need_no_network(tmp_path: Path, repository: str) -> None:
    paths = kafka_jars(tmp_path / "cache", JARS, repository)
    assert kafka_jars(tmp_path / "cache", JARS, "http://127.0.0.1:9") == paths


def test_what_downloads_is_needed_only_while_jars_are_missing(
    tmp_path: Path, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "jgo.maven", None)
        with pytest.raises(NotInstalledError, match=r"package jgo, .* -m pip install 'headrace\[kafka\]'"):
            kafka_jars(tmp_path / "cache", JARS, repository)
    paths = kafka_jars(tmp_path / "cache", JARS, repository)
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    assert kafka_jars(tmp_path / "cache", JARS, repository) == paths


def test_whole_jars_without_a_stamp_are_checked_and_kept(tmp_path: Path, repository: str) -> None:
    paths = kafka_jars(tmp_path / "cache", JARS, repository)
    (paths[0].parent / "verified").unlink()
    assert kafka_jars(tmp_path / "cache", JARS, "http://127.0.0.1:9") == paths


def test_an_unreachable_repository_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"cannot download org\.example:stream:1\.0.*HEADRACE_CACHE"):
        kafka_jars(tmp_path / "cache", JARS, "http://127.0.0.1:9")


def test_a_jar_the_repository_lacks_is_named(tmp_path: Path, repository: str) -> None:
    with pytest.raises(UnavailableError, match=r"cannot download org\.example:gone:1\.0"):
        kafka_jars(tmp_path / "cache", [Jar("org.example:gone:1.0", "0" * 64)], repository)


def test_a_cache_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="HEADRACE_CACHE"):
        kafka_jars(tmp_path / "file", JARS)


def test_the_cache_is_where_the_variable_says(tmp_path: Path) -> None:
    assert cache_folder({"HEADRACE_CACHE": str(tmp_path)}) == tmp_path
    assert cache_folder({}) == Path.home() / ".cache" / "headrace"


def test_the_lock_pins_each_artifact_once_and_one_version_of_kafka() -> None:
    pinned = read_lock()
    artifacts = [jar.coordinates.rsplit(":", 1)[0] for jar in pinned]
    assert len(set(artifacts)) == len(artifacts)
    kafka = {jar.coordinates.rsplit(":", 1)[1] for jar in pinned if jar.coordinates.startswith("org.apache.kafka:")}
    assert kafka == {KAFKA_VERSION}
