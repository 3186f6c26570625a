"""Files of labels: what other programs read in them, and that they are whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downup.data.colors import IGNORED_COLOR, ClassInfo
from downup.prediction import write_labels, write_overlay


def test_labels_are_class_numbers_seen_in_their_colours(tmp_path: Path, classes: list[ClassInfo]):
    labels = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
    write_labels(tmp_path / "a.png", labels, classes)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)
        seen = np.asarray(image.convert("RGB"))
    assert seen[0].tolist() == [list(entry.color) for entry in classes]
    assert seen[1, 1].tolist() == list(IGNORED_COLOR)
    # One byte a pixel: bit depth 8 in the header, whatever the number of classes.
    assert (tmp_path / "a.png").read_bytes()[24] == 8


def test_an_overlay_has_the_size_of_the_picture(tmp_path: Path, classes: list[ClassInfo]):
    picture = np.full((8, 16, 1), 100, np.uint8)
    write_overlay(tmp_path / "a_overlay.jpg", picture, np.zeros((8, 16), np.uint8), classes)
    with Image.open(tmp_path / "a_overlay.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (16, 8))
        assert np.abs(np.asarray(image).astype(int) - (50, 95, 130)).max() <= 3


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, classes: list[ClassInfo], monkeypatch: pytest.MonkeyPatch
):
    write_labels(tmp_path / "a.png", np.zeros((2, 2), np.uint8), classes)
    before = (tmp_path / "a.png").read_bytes()

    def half(self: Image.Image, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="No space left"):
        write_labels(tmp_path / "a.png", np.ones((2, 2), np.uint8), classes)
    assert (tmp_path / "a.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
