"""Reading an image in windows, and what it should give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from downup.prediction.sources import Image


def assembled(image: Image, step: int = 37) -> np.ndarray[Any, Any]:
    """The whole image, from windows of an odd size, read from the right to the left; closes it."""
    bands = []
    for top in range(0, image.rows, step):
        rows = slice(top, min(top + step, image.rows))
        parts = [
            image.read(rows, slice(left, min(left + step, image.columns)))
            for left in reversed(range(0, image.columns, step))
        ]
        assert all(part.dtype == np.uint8 for part in parts)
        bands.append(np.concatenate(parts[::-1], axis=1))
    image.close()
    return np.concatenate(bands)


@pytest.fixture
def read_all() -> Callable[[Image], np.ndarray[Any, Any]]:
    return assembled


@pytest.fixture
def random_picture() -> np.ndarray[Any, Any]:
    """uint8 [101, 83, 3], in blocks of four pixels, so that JPEG keeps it about as it is."""
    blocks = np.random.default_rng(5).integers(0, 256, (26, 21, 3), np.uint8)
    return np.repeat(np.repeat(blocks, 4, axis=0), 4, axis=1)[:101, :83].copy()
