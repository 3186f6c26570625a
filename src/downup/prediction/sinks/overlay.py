"""The picture with its labels laid over it: whole, or a smaller copy of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downup.data.colors import ClassInfo
from downup.prediction.sinks.layer import Rows
from downup.prediction.sinks.whole import write_overlay
from downup.prediction.sources.image import Image

# Up to here an overlay is drawn pixel by pixel, in some 20 bytes for each.
_WHOLE_PIXELS = 4096 * 4096
_SMALL_SIDE = 2048


def draw_overlay(path: Path, image: Image, labels: Rows, classes: Sequence[ClassInfo], memory: int) -> None:
    """Write the picture with its labels over it, as JPEG.

    Of a picture of more than 16 million pixels, or more than memory allows, every so many pixels are shown, so that
    the longer side has at most 2048.
    """
    pixels = image.rows * image.columns
    is_whole = pixels <= _WHOLE_PIXELS and 24 * pixels <= memory
    step = 1 if is_whole else max(1, -(-max(image.rows, image.columns) // _SMALL_SIDE))
    seen = labels.every(step) if step > 1 else labels
    write_overlay(path, _every(image, step), seen.read(0, seen.rows), classes)


def _every(image: Image, step: int) -> NDArray[np.uint8]:
    # In bands of 512 rows, in parts about as wide, so that tiles are read once and little lies in memory.
    side = max(512 // step, 1) * step
    bands = [
        np.concatenate(
            [
                image.read(
                    slice(top, min(top + side, image.rows)), slice(left, min(left + side, image.columns))
                )[::step, ::step]
                for left in range(0, image.columns, side)
            ],
            axis=1,
        )
        for top in range(0, image.rows, side)
    ]
    return np.concatenate(bands)
