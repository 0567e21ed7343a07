import threading
from pathlib import Path

import pytest

from infra.installation import installation_of, known_installation
from infra.settings import Settings
from schemas.errors import StorageError


def test_an_id_is_made_once_and_kept(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    assert known_installation(settings) is None
    made = installation_of(settings)
    assert len(made) == 8
    assert installation_of(settings) == known_installation(settings) == made
    assert [file.name for file in settings.data.iterdir()] == ["installation"]


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    found: list[str] = []
    start = threading.Barrier(8)

    def run(folder: Path) -> None:
        start.wait()
        found.append(installation_of(Settings(data=folder)))

    for number in range(5):
        found.clear()
        threads = [threading.Thread(target=run, args=(tmp_path / str(number),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(found), len(set(found))) == (8, 1)


def test_two_folders_have_two_ids(tmp_path: Path) -> None:
    assert installation_of(Settings(data=tmp_path / "a")) != installation_of(Settings(data=tmp_path / "b"))


def test_the_setting_is_stronger_than_the_file_and_makes_none(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, installation="eu-1")
    assert installation_of(settings) == known_installation(settings) == "eu-1"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "\n", "two words\n", "x" * 33, "\xe9"])
def test_a_file_that_holds_no_id_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "installation").write_text(text, "latin-1")
    with pytest.raises(StorageError, match=r"installation cannot be used: .* or set HEADRACE_INSTALLATION"):
        installation_of(Settings(data=tmp_path))


def test_a_file_that_cannot_be_read_or_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "installation").mkdir()
    with pytest.raises(StorageError, match="cannot be used: Is a directory"):
        installation_of(Settings(data=tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be used"):
        installation_of(Settings(data=tmp_path / "file"))
