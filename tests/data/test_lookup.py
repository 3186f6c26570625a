"""The look-up baseline is what the best table from pixel value to class reaches."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from downup.data import ClassInfo, Dataset, lookup_baseline
from downup.data.colors import CLASS_COLORS
from downup.errors import ArgumentError, DataError

Pixels = npt.NDArray[np.uint8]


@dataclass
class Shown:
    """A sample in memory."""

    image: Pixels
    mask: Pixels
    stem: str = "a"
    image_path: Path = Path("a.png")
    mask_path: Path = Path("a.png")

    def read_image(self, channels: str) -> Pixels:
        return self.image

    def read_mask(self) -> Pixels:
        return self.mask


def dataset(train: Shown, val: Shown, classes: int) -> Dataset:
    infos = tuple(ClassInfo(str(k), CLASS_COLORS[k]) for k in range(classes))
    return Dataset({"train": [train], "val": [val]}, infos)


def column(*values: int) -> Pixels:
    return np.array(values, np.uint8)[:, None]


def test_where_the_value_tells_the_class_it_is_1() -> None:
    sample = Shown(column(10, 20, 10)[..., None], column(0, 1, 0))
    assert lookup_baseline(dataset(sample, sample, 2), "grey") == 1.0


def test_a_worked_example() -> None:
    train = Shown(column(1, 1, 1, 2, 2)[..., None], column(0, 0, 1, 1, 1))
    # The table says 1 -> 0, 2 -> 1, and a value never seen -> 0. Class 0 is met once of 2, class 1 once of 2.
    val = Shown(column(1, 1, 2)[..., None], column(0, 1, 1))
    assert lookup_baseline(dataset(train, val, 2), "grey") == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_ignored_pixels_and_absent_classes_do_not_count() -> None:
    sample = Shown(column(1, 2, 3)[..., None], column(0, 1, 255))
    assert lookup_baseline(dataset(sample, sample, 3), "grey") == 1.0


def test_colours_are_told_apart_by_16_levels_each() -> None:
    image = np.array([[[0, 0, 0], [16, 0, 0], [0, 0, 16], [15, 15, 15]]], np.uint8)
    sample = Shown(image, np.array([[0, 1, 2, 0]], np.uint8))
    assert lookup_baseline(dataset(sample, sample, 3), "rgb") == 1.0


def test_on_training_pixels_no_table_is_better_by_one_entry() -> None:
    # Judged where it was fitted, so that the search itself is tested: nearly always the best of all tables.
    gaps = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        values, classes = random.integers(0, 5, (200, 1)).astype(np.uint8), random.integers(0, 3, (200, 1))
        mask = np.where(random.random((200, 1)) < 0.5, values % 3, classes).astype(np.uint8)
        sample = Shown(values[..., None], mask)
        found = lookup_baseline(dataset(sample, sample, 3), "grey")
        scores = []
        for table in itertools.product(range(3), repeat=5):
            made = np.array(table)[values]
            pairs = [((mask == k) & (made == k), (mask == k) | (made == k)) for k in range(3)]
            scores.append(np.mean([both.sum() / either.sum() for both, either in pairs if either.any()]))
        gaps.append(max(scores) - found)
    assert min(gaps) > -1e-12
    assert np.mean(np.array(gaps) < 1e-12) > 0.8
    assert max(gaps) < 0.05


def test_what_cannot_be_judged_is_refused() -> None:
    sample = Shown(column(1)[..., None], column(0))
    with pytest.raises(ArgumentError, match="channels is 'hsv'"):
        lookup_baseline(dataset(sample, sample, 1), "hsv")
    with pytest.raises(DataError, match="has no 'val' split"):
        lookup_baseline(Dataset({"train": [sample]}, (ClassInfo("a", (0, 0, 0)),)), "grey")
    empty = Shown(column(1)[..., None], column(255))
    with pytest.raises(DataError, match="masks of the 'train' split hold ignored pixels only"):
        lookup_baseline(dataset(empty, sample, 1), "grey")
