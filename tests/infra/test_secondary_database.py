import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.secondary_folders import SecondaryFolder
from schemas.errors import StorageError, UnavailableError
from tests.infra.conftest import Place, WriterProcess


def test_reads_like_the_primary(place: Place) -> None:
    with place.primary() as primary, place.secondary() as secondary:
        primary.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
        secondary.refresh()
        assert secondary.available
        assert (secondary.epoch, secondary.version) == (primary.epoch, primary.version)
        assert secondary.get(b"b") == b"2"
        assert secondary.get_many([b"c", b"absent"]) == [b"3", None]
        assert list(secondary.scan(b"a", b"c")) == [(b"a", b"1"), (b"b", b"2")]
        assert secondary.last_before(b"a", b"c") == (b"b", b"2")


def next_thread_id() -> int:
    """Returns the id of a new thread; the system numbers all threads, of all processes, one after the other."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert thread.native_id is not None
    return thread.native_id


def test_catching_up_starts_no_thread(place: Place) -> None:
    # Other processes start threads too. So the fewest of many trials count: threads of a catch-up would be in each.
    started = []
    with place.primary() as primary, place.secondary() as secondary:
        secondary.refresh()
        for trial in range(200):
            primary.write([(b"key", b"%d" % trial)])
            before = next_thread_id()
            secondary.refresh()
            started.append(next_thread_id() - before - 1)
            assert secondary.get(b"key") == b"%d" % trial
    assert min(each for each in started if each >= 0) == 0


def test_missing_database_is_unavailable_and_followed_when_it_appears(place: Place) -> None:
    with place.secondary() as secondary:
        secondary.refresh()
        assert not secondary.available
        with pytest.raises(UnavailableError, match="is not there yet: the processor makes it"):
            secondary.get(b"key")
        assert not place.path.exists(), "a reader makes nothing in the writer's place"
        with place.primary() as primary:
            primary.write([(b"key", b"value")])
            secondary.refresh()
            assert secondary.get(b"key") == b"value"


def test_database_that_is_missing_but_was_published_is_unavailable_until_it_is_rebuilt(place: Place) -> None:
    place.primary().close()
    shutil.rmtree(place.path)
    with place.secondary() as secondary:
        secondary.refresh()
        assert not secondary.available
        with place.primary():
            secondary.refresh()
            assert secondary.available


def test_primary_opens_while_secondaries_are_open(place: Place) -> None:
    with place.primary() as primary:
        primary.write([(b"key", b"value")])
    with place.secondary() as first, place.secondary() as second:
        first.refresh()
        second.refresh()
        with place.primary() as primary:
            primary.write([(b"key", b"newer")])
            for secondary in (first, second):
                secondary.refresh()
                assert secondary.get(b"key") == b"newer"


def test_version_file_made_anew_is_followed(place: Place) -> None:
    with place.secondary() as secondary:
        with place.primary() as primary:
            primary.write([(b"key", b"value")])
            secondary.refresh()
        place.version_file.unlink()
        secondary.refresh()
        assert secondary.get(b"key") == b"value"
        with place.primary() as primary:
            primary.write([(b"key", b"newer")])
            secondary.refresh()
            assert secondary.get(b"key") == b"newer"


def test_damaged_database_is_named_with_the_remedy(place: Place) -> None:
    with place.primary() as primary:
        primary.write([(b"key", b"value")])
    (place.path / "CURRENT").write_text("nonsense")
    with place.secondary() as secondary, pytest.raises(StorageError, match="delete the folder and start again"):
        secondary.refresh()


def test_version_that_never_shows_is_unavailable_and_said(place: Place) -> None:
    with place.primary() as primary, place.secondary() as secondary:
        primary.write([(b"key", b"value")])
        primary._publisher.publish(primary.epoch, primary.version + 5)  # noqa: SLF001 - a writer that breaks its promise
        with pytest.raises(
            UnavailableError, match=f"cannot be read at version {primary.version + 5}: it does not show"
        ):
            secondary.refresh()
        assert not secondary.available
        for _ in range(5):
            primary.version += 1
        primary.write([(b"key", b"newer")])
        secondary.refresh()
        assert secondary.get(b"key") == b"newer"


def test_folders_are_removed_at_close(place: Place) -> None:
    place.primary().close()
    with place.secondary() as secondary:
        secondary.refresh()
        assert len(list(place.secondaries.glob("*/"))) == 1
    assert list(place.secondaries.glob("*/")) == []


def test_folders_of_dead_processes_are_removed_and_others_kept(tmp_path: Path) -> None:
    leftover = tmp_path / "123-leftover"
    leftover.mkdir()
    (leftover / "LOG").touch()
    first = SecondaryFolder(tmp_path)
    second = SecondaryFolder(tmp_path)
    assert not leftover.exists()
    assert first.path.exists()
    assert second.path.exists()
    assert first.path != second.path
    first.close()
    second.close()


def test_secondary_of_a_killed_process_leaves_a_folder_that_the_next_one_removes(
    place: Place, start_writer: Callable[..., WriterProcess]
) -> None:
    place.primary().close()
    reader = start_writer()
    reader("read", str(place.secondaries))
    assert len(list(place.secondaries.glob("*/"))) == 1
    reader.kill()
    with place.secondary() as secondary:
        secondary.refresh()
        assert len(list(place.secondaries.glob("*/"))) == 1
        assert secondary._folder is not None  # noqa: SLF001 - which of them is left is the point
        assert secondary._folder.path.exists()  # noqa: SLF001 - as above


def test_close_without_ever_opening(place: Place) -> None:
    secondary = place.secondary()
    secondary.close()
    secondary.close()
