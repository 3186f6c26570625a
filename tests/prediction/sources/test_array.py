"""Arrays as pictures: files of NumPy, and whatever can be sliced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from downup.errors import DataError
from downup.prediction.sources import open_image

Array = np.ndarray[Any, Any]
ReadAll = Callable[[Any], Array]

SHAPES: dict[str, Callable[[Array], Array]] = {
    "channels last": lambda x: x,
    "channels first": lambda x: np.moveaxis(x, 2, 0).copy(),
    "16 bits": lambda x: x.astype(np.uint16) * 256 + 255,
    "16 bits, big-endian": lambda x: (x.astype(np.uint16) * 256).astype(">u2"),
    "opacity": lambda x: np.dstack([x, x[..., 0]]),
}


class Counted:
    """What can be sliced and nothing else; counts the pixels that were asked for."""

    def __init__(self, array: Array) -> None:
        self.shape, self.dtype, self._array, self.asked = array.shape, array.dtype, array, 0

    def __getitem__(self, place: Any) -> Array:
        part = self._array[place]
        self.asked += part.size
        return part


@pytest.mark.parametrize("shape", SHAPES)
def test_windows_of_a_file_are_those_of_the_array(
    tmp_path: Path, read_all: ReadAll, random_picture: Array, shape: str
):
    np.save(tmp_path / "a.npy", SHAPES[shape](random_picture))
    np.testing.assert_array_equal(read_all(open_image(tmp_path / "a.npy", "rgb")), random_picture)


@pytest.mark.parametrize("shape", SHAPES)
def test_anything_with_a_shape_and_slices_is_a_picture(read_all: ReadAll, random_picture: Array, shape: str):
    image = open_image(Counted(SHAPES[shape](random_picture)), "rgb")
    np.testing.assert_array_equal(read_all(image), random_picture)


def test_only_the_window_is_asked_for(random_picture: Array):
    source = Counted(random_picture)
    open_image(source, "rgb").read(slice(3, 8), slice(70, 80))
    assert source.asked == 5 * 10 * 3


def test_grey_and_colour_become_one_another(read_all: ReadAll):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(read_all(open_image(grey, "rgb")), np.dstack([grey] * 3))
    # 0.299 red + 0.587 green + 0.114 blue
    pixel = np.array([[[100, 50, 200]]], np.uint8)
    assert open_image(pixel, "grey").read(slice(0, 1), slice(0, 1)).tolist() == [[[82]]]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4)), "floating-point levels"),
        (np.zeros((4, 4), np.int16), "signed levels"),
        (np.zeros((4, 4), bool), "two-valued levels"),
        (np.zeros((9, 9, 7), np.uint8), "7 channels of unknown meaning"),
        (np.zeros((4, 0), np.uint8), r"shape \[4, 0\]"),
        (np.zeros(4, np.uint8), r"shape \[4\]"),
        (np.asfortranarray(np.zeros((4, 5), np.uint8)), "lies column by column"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, array: Array, words: str):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=rf"a\.npy .*{words}"):
        open_image(tmp_path / "a.npy", "rgb")


def test_a_torn_file_is_refused_at_once(tmp_path: Path, random_picture: Array):
    path = tmp_path / "a.npy"
    np.save(path, random_picture)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="ends before its"):
        open_image(path, "rgb")
    path.write_bytes(content[:20])
    with pytest.raises(DataError, match=r"is damaged, or no \.npy file"):
        open_image(path, "rgb")


def test_a_changed_array_has_another_identity(random_picture: Array):
    before = open_image(random_picture, "rgb").identity()
    assert open_image(random_picture.copy(), "rgb").identity() == before
    random_picture[-1, -1, 2] ^= 1
    assert open_image(random_picture, "rgb").identity() != before
