"""A session whose labels are worked out by hand, and classes for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from downup.data.colors import ClassInfo


class MaximumSession:
    """Labels a pixel by the brightest one at most `halo` away, and by where it is in its square of `stride`
    pixels.

    Outside the picture all is black, as where a network pads with zeros.
    """

    multiple = 1
    caveat = ""
    gathering = None

    def __init__(self, halo: int = 0, stride: int = 1, class_count: int = 3) -> None:
        self.halo = halo
        self.stride = stride
        self.class_count = class_count
        self.seen: list[tuple[int, ...]] = []

    def labels(self, picture: NDArray[np.uint8]) -> NDArray[Any]:
        self.seen.append(picture.shape)
        rows, columns = np.indices(picture.shape[:2])
        brightest = maximum_filter(picture[:, :, 0], 2 * self.halo + 1, mode="constant", cval=0)
        values = brightest.astype(int) + rows % self.stride + columns % self.stride
        return (values % self.class_count).astype(np.uint8 if self.class_count <= 256 else np.uint16)

    def label_memory(self, rows: int, columns: int) -> int:
        return 1000 + 50 * rows * columns


@pytest.fixture
def make_session() -> Callable[..., MaximumSession]:
    return MaximumSession


@pytest.fixture
def classes() -> list[ClassInfo]:
    return [
        ClassInfo("water", (0, 90, 160)),
        ClassInfo("ice", (150, 220, 240)),
        ClassInfo("land", (40, 140, 60)),
    ]
