"""Masks of every kind come out as labels; values and colours without a class are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downup.data import ClassInfo, MaskCoding, read_mask
from downup.errors import DataError

from .builders import labels, picture, save, save_palette

CLASSES = [ClassInfo("road", (128, 64, 128)), ClassInfo("car", (0, 0, 142)), ClassInfo("tree", (9, 9, 9))]


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_grey_mask_holds_class_numbers_and_255(tmp_path: Path, suffix: str) -> None:
    mask = labels(0, 1, 2, 255)
    np.testing.assert_array_equal(read_mask(save(tmp_path / f"a.{suffix}", mask), CLASSES), mask)


def test_of_a_palette_mask_the_numbers_count_not_the_colours(tmp_path: Path) -> None:
    mask = labels(2, 1, 0)
    path = save_palette(tmp_path / "a.png", mask, [(128, 64, 128)] * 3)
    np.testing.assert_array_equal(read_mask(path, CLASSES), mask)


def test_a_16_bit_mask_with_small_numbers_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", labels(0, 2).astype(np.uint16))
    np.testing.assert_array_equal(read_mask(path, CLASSES), labels(0, 2))


def test_a_16_bit_mask_with_large_numbers_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([[0, 1000]], np.uint16))
    with pytest.raises(DataError, match=r"a\.png holds values from 0 to 1000; use class numbers"):
        read_mask(path, CLASSES)


def test_a_black_and_white_mask_is_class_0_and_1(tmp_path: Path) -> None:
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", CLASSES).tolist() == [[0, 1]]


@pytest.mark.parametrize("has_alpha", [False, True])
def test_colours_become_their_classes(tmp_path: Path, has_alpha: bool) -> None:
    colors = np.array([item.color for item in CLASSES], np.uint8)[labels(2, 0, 1)]
    if has_alpha:
        colors = np.dstack([colors, np.full(colors.shape[:2], 77, np.uint8)])
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", colors), CLASSES), labels(2, 0, 1))


def test_class_numbers_saved_as_rgb_are_read_as_numbers(tmp_path: Path) -> None:
    mask = labels(0, 1, 255)
    path = save(tmp_path / "a.png", np.stack([mask] * 3, axis=-1))
    np.testing.assert_array_equal(read_mask(path, CLASSES), mask)


def test_unknown_values_are_named_with_their_pixels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([[0, 7, 7, 3, 255]], np.uint8))
    with pytest.raises(
        DataError,
        match=r"a\.png holds the values 7 and 3 in 3 pixels, which no class has; use 0 to 2, or 255",
    ):
        read_mask(path, CLASSES)


def test_of_many_unknown_values_the_most_frequent_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.repeat(np.arange(9, 20), np.arange(11, 0, -1)).astype(np.uint8)[None])
    with pytest.raises(DataError, match="the values 9, 10, 11, 12, 13 and 6 more in 66 pixels"):
        read_mask(path, CLASSES)


def test_unknown_colours_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([[[128, 64, 128], [1, 2, 3]]], np.uint8))
    with pytest.raises(DataError, match=r"the colour \(1, 2, 3\) in 1 pixel, which no class has; repaint"):
        read_mask(path, CLASSES)


def test_a_coding_maps_values_that_are_no_run(tmp_path: Path) -> None:
    coding = MaskCoding(((0, 0), (100, 1), (200, 255), (255, 2)))
    path = save(tmp_path / "a.png", np.array([[0, 100, 200, 255]], np.uint8))
    assert read_mask(path, coding).tolist() == [[0, 1, 255, 2]]


def test_255_classes_leave_one_value_to_ignore(tmp_path: Path) -> None:
    classes = [ClassInfo(str(k), (k, 0, 0)) for k in range(255)]
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", mask), classes), mask)


def test_a_mask_is_turned_as_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "a.png", labels(0, 1), exif=exif)
    np.testing.assert_array_equal(read_mask(path, CLASSES), np.rot90(labels(0, 1), -1))


def test_a_kind_of_pixel_without_numbers_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.zeros((2, 2), np.float32))
    with pytest.raises(DataError, match="has pixels of kind F; save the mask as 8-bit grey, palette or RGB"):
        read_mask(path, CLASSES)


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture())
    path.write_bytes(path.read_bytes()[:70])
    with pytest.raises(DataError, match=r"a\.png is damaged"):
        read_mask(path, CLASSES)
