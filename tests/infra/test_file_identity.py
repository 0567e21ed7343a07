import os
from pathlib import Path

from infra.file_identity import identity_at, identity_of


def test_a_file_is_the_same_under_any_name(tmp_path: Path) -> None:
    file, link, moved = tmp_path / "a", tmp_path / "link", tmp_path / "moved"
    file.touch()
    link.symlink_to(file)
    identity = identity_at(file)
    assert identity == identity_at(str(file)) == identity_at(link) == identity_of(file.stat())
    file.rename(moved)
    moved.write_text("other content")
    assert identity_at(moved) == identity


def test_another_file_under_the_name_of_an_open_one_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("w") as held:
        path.unlink()
        path.touch()
        assert identity_at(path) != identity_of(os.fstat(held.fileno()))


def test_a_folder_has_one_too(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert len({identity_at(tmp_path / name) for name in "ab"} - {None}) == 2


def test_where_nothing_is_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert [identity_at(tmp_path / name) for name in ("missing", "file/below", "dangling")] == [None] * 3
