import os
from pathlib import Path

import pytest

from infra.local_kafka.broker import LocalKafka
from infra.local_kafka.configuration import server_properties
from infra.local_kafka.formatted import cluster_of, formatted_folder, give_new_ids, keep, new_id
from infra.local_kafka.jars import KAFKA_VERSION, cache_folder

META = "#\n#Sun Jan 01 00:00:00 UTC 2023\nnode.id=1\ndirectory.id=aaaa\nversion=1\ncluster.id=bbbb\n"


def formatted(folder: Path) -> Path:
    folder.mkdir()
    (folder / "meta.properties").write_text(META)
    (folder / "bootstrap.checkpoint").write_bytes(b"records")
    return folder


def key(address: str, controller_address: str, **more: str) -> Path:
    return formatted_folder(Path("jars"), server_properties(address, controller_address, more))


def test_brokers_that_differ_in_addresses_alone_share_a_folder() -> None:
    assert key("127.0.0.1:9092", "127.0.0.1:1") == key("127.0.0.1:39999", "127.0.0.1:22")
    assert key("127.0.0.1:9092", "127.0.0.1:1") != key("127.0.0.1:9092", "127.0.0.1:1", retries="7")


def test_what_is_kept_is_a_copy_and_the_first_one_stays(tmp_path: Path) -> None:
    topics, kept = formatted(tmp_path / "topics"), tmp_path / "kept"
    keep(topics, kept)
    (topics / "bootstrap.checkpoint").write_bytes(b"others")
    keep(topics, kept)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {
        "meta.properties": META.encode(),
        "bootstrap.checkpoint": b"records",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"topics", "kept"}


def test_a_cache_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    topics = formatted(tmp_path / "topics")
    (tmp_path / "file").touch()
    keep(topics, tmp_path / "file" / "kept")
    assert {path.name for path in tmp_path.iterdir()} == {"topics", "file"}


def test_the_cluster_of_a_folder_is_known_if_it_is_formatted(tmp_path: Path) -> None:
    topics = formatted(tmp_path / "topics")
    assert (cluster_of(topics), cluster_of(tmp_path)) == ("bbbb", None)
    (topics / "meta.properties").write_bytes(b"cluster.id=\xff")
    assert cluster_of(topics) is None


def test_a_copy_has_ids_of_its_own_and_nothing_else_changes(tmp_path: Path) -> None:
    topics = formatted(tmp_path / "topics")
    give_new_ids(topics)
    lines = (topics / "meta.properties").read_text().splitlines()
    assert [line.partition("=")[0] for line in lines] == [line.partition("=")[0] for line in META.splitlines()]
    assert (lines[2], lines[4]) == ("node.id=1", "version=1")
    ids = {lines[3].partition("=")[2], lines[5].partition("=")[2]}
    assert len(ids - {"aaaa", "bbbb"}) == 2
    assert {len(each) for each in ids} == {22}


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers are started up to the point at which the JVM would be."""
    monkeypatch.setattr(LocalKafka, "_launch", lambda *_: None)
    monkeypatch.setattr(LocalKafka, "_wait_ready", lambda _: None)


def ids(data: Path) -> set[str]:
    lines = (data / "topics" / "meta.properties").read_text().splitlines()
    return {line.partition("=")[2] for line in lines if line.startswith(("cluster.id=", "directory.id="))}


@pytest.mark.usefixtures("formats")
def test_each_data_folder_is_a_cluster_of_its_own(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for folder in folders:
        LocalKafka(folder).start()
    assert len(set.union(*map(ids, folders))) == 2 * len(folders)


@pytest.mark.usefixtures("formats")
def test_kafkas_tool_makes_what_is_kept_and_a_dash_at_the_start_of_an_id_is_no_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    jars = cache / f"kafka-{KAFKA_VERSION}"
    jars.mkdir(parents=True)
    for jar in (cache_folder(os.environ) / jars.name).glob("*.jar"):
        (jars / jar.name).symlink_to(jar)
    monkeypatch.setenv("HEADRACE_CACHE", str(cache))
    monkeypatch.setattr("secrets.token_bytes", lambda size: b"\xfb" * size)
    LocalKafka(tmp_path / "first").start()
    (kept,) = jars.glob("formatted-*")
    first = tmp_path / "first" / "topics"
    assert sorted(path.name for path in kept.iterdir()) == sorted(path.name for path in first.iterdir())
    assert f"cluster.id={new_id()}\n" in (first / "meta.properties").read_text()
    assert new_id().startswith("-")
