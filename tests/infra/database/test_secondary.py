import errno
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from infra.database import secondary as secondary_database
from infra.database.primary import PrimaryDatabase
from infra.database.secondary import SecondaryDatabase
from schemas.errors import StorageError, UnavailableError
from tests.infra.database.conftest import Place, WriterProcess


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


def remove_all(place: Place) -> None:
    """Does what ``rm -rf`` of the folder around the database does."""
    shutil.rmtree(place.path)
    for beside in (place.version_file, place.path.with_name("state.lock")):
        beside.unlink()


def number(secondary: SecondaryDatabase) -> int:
    """Returns the number under ``key`` as a reader sees it now."""
    secondary.refresh()
    return int(secondary.get(b"key") or b"-1")


def test_reader_follows_a_database_that_was_removed_with_all_that_was_known_of_it(place: Place) -> None:
    with place.secondary() as secondary:
        with place.primary() as primary:
            for value in range(20):
                primary.write([(b"key", b"%d" % value)])
                assert number(secondary) == value
        remove_all(place)
        assert number(secondary) == 19, "nobody writes: what was read stays right"
        for restart in range(3):
            with place.primary() as primary:
                assert primary.version < 20 - restart
                for value in range(20 + 3 * restart, 23 + 3 * restart):
                    primary.write([(b"key", b"%d" % value)])
                    assert number(secondary) == value


def test_no_read_is_stale_while_a_writer_goes_on_in_a_folder_that_was_removed(place: Place) -> None:
    with place.secondary() as secondary, place.secondary() as idle:
        with place.primary() as primary:
            primary.write([(b"key", b"1")])
            assert number(secondary) == number(idle) == 1
            remove_all(place)
            assert number(secondary) == 1
            primary.write([(b"key", b"2")])
            with suppress(UnavailableError):
                assert number(secondary) == 2
            with pytest.raises(StorageError, match="was removed or replaced while in use"):
                primary.check_in_place()
        rebuilding = PrimaryDatabase.open(
            place.path, version_file=place.version_file, resources=place.resources, lock_seconds=0
        )
        assert rebuilding.rebuilding
        for reader in (secondary, idle):
            with suppress(UnavailableError):
                assert number(reader) == 2, "the new version file says nothing yet, and the old one of a newer value"
        rebuilding.write([(b"key", b"2")])
        rebuilding.promote()
        for reader in (secondary, idle):
            assert number(reader) == 2
        rebuilding.close()


@pytest.mark.parametrize("how", ["unlink", "rename", "older copy over it", "older copy into it"])
def test_no_read_is_stale_when_the_version_file_alone_is_removed_or_replaced(place: Place, how: str) -> None:
    place.primary().close()
    older = place.version_file.read_bytes()
    with place.secondary() as secondary, place.secondary() as idle, place.primary() as primary:
        primary.write([(b"key", b"1")])
        assert number(secondary) == number(idle) == 1
        if how == "unlink":
            place.version_file.unlink()
        elif how == "rename":
            place.version_file.rename(place.root / "moved")
        elif how == "older copy into it":
            place.version_file.write_bytes(older)
        else:
            (place.root / "copy").write_bytes(older)
            (place.root / "copy").rename(place.version_file)
        for value in (2, 3):
            primary.write([(b"key", b"%d" % value)])
            with suppress(UnavailableError):
                assert number(secondary) == value
        primary.check_in_place()
        assert number(secondary) == 3
        primary.write([(b"key", b"4")])
        assert number(secondary) == number(idle) == 4
        assert number(place.secondary()) == 4


def test_reader_that_missed_a_version_file_in_between_is_told_by_the_one_it_has(place: Place) -> None:
    with place.secondary() as secondary, place.primary() as primary:
        primary.write([(b"key", b"1")])
        assert number(secondary) == 1
        place.version_file.unlink()
        primary.check_in_place()
        primary.write([(b"key", b"2")])
        place.version_file.unlink()
        with pytest.raises(UnavailableError):
            secondary.refresh()
        primary.check_in_place()
        assert number(secondary) == 2


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


def test_a_version_file_that_cannot_be_read_for_now_fails_the_read_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.primary() as primary, place.secondary() as secondary:
        primary.write([(b"key", b"value")])

        def none_left(_path: Path) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        with monkeypatch.context() as patched:
            patched.setattr(secondary_database, "VersionFileReader", none_left)
            with pytest.raises(UnavailableError, match="Too many open files; try again"):
                secondary.refresh()
        secondary.refresh()
        assert secondary.get(b"key") == b"value"
