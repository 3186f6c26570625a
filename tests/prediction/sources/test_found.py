"""Finding pictures: what is taken, what is passed over, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from downup.errors import DataError
from downup.prediction import find_pictures


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_its_pictures_by_name_and_nothing_else(tmp_path: Path):
    names = ["b.JPG", "a.png", "c.tiff"]
    touch(*(tmp_path / name for name in [*names, "notes.txt", ".hidden.png", "._a.png", "inner/d.png"]))
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in find_pictures([tmp_path]).pictures] == ["a.png", "b.JPG", "c.tiff"]


def test_files_are_taken_at_their_word_in_their_order(tmp_path: Path):
    paths = [tmp_path / "z.png", tmp_path / "missing.jpg", tmp_path / "a.unknown"]
    assert find_pictures(map(str, paths)).pictures == tuple(paths)


def test_a_picture_named_twice_is_taken_once(tmp_path: Path):
    touch(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    assert len(find_pictures([tmp_path, tmp_path / "a.png", tmp_path / "." / "a.png"]).pictures) == 1


def test_an_empty_folder_is_reported_and_the_rest_is_found(tmp_path: Path):
    touch(tmp_path / "full" / "a.png", tmp_path / "empty" / "notes.txt")
    found = find_pictures([tmp_path / "empty", tmp_path / "full"])
    assert found.pictures == (tmp_path / "full" / "a.png",)
    ((folder, why),) = found.empty
    assert folder == tmp_path / "empty"
    assert "no pictures (.bmp, .jpeg, .jpg, .npy, .png, .tif, .tiff, .webp) in this folder" in why


def test_no_picture_at_all_is_an_error_that_points_to_where_some_are(tmp_path: Path):
    with pytest.raises(DataError, match="no pictures were named"):
        find_pictures([])
    with pytest.raises(DataError, match=r"no pictures .* in this folder"):
        find_pictures([tmp_path])
    touch(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match=f"there are some in {tmp_path}/images; name that one"):
        find_pictures([tmp_path])
