"""The Earth sample: one picture and one mask of the whole globe, shipped with downup, cut into tiles.

The picture is NASA's Blue Marble; the labels are water, ice, desert and land. Validation tiles come from
blocks spread over the globe by a knight's move, with a margin of 22 pixels to any pixel that is trained on.
`scripts/make_earth.py` made both files; NOTICE names the sources.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from downup.data.colors import ClassInfo
from downup.data.samples import Dataset, Pixels, Sample
from downup.errors import ArgumentError

__all__ = ["BLOCK", "CLASSES", "IMAGE_PATH", "MASK_PATH", "TILE", "dataset", "mask", "picture"]

IMAGE_PATH = Path(__file__).with_name("picture.jpg")
MASK_PATH = Path(__file__).with_name("labels.png")

CLASSES = (
    ClassInfo("water", (38, 92, 160)),
    ClassInfo("ice", (236, 244, 250)),
    ClassInfo("desert", (222, 184, 120)),
    ClassInfo("land", (70, 128, 62)),
)

ROWS, COLUMNS = 2700, 5400
BLOCK = 300  # pixels, 20 degrees: 9 x 18 blocks cover the globe
TILE = 256  # a validation tile: divisible by every network's stride, and 22 pixels inside its block
_PLAIN_SHARE = 0.97  # of one class, from which on a block counts as plain
_PLAIN_EVERY = 2
_VALIDATION_EVERY = 5  # of the blocks, two further to the left in each next row, so that no two share a side


@functools.cache
def _shipped(channels: str) -> Pixels:
    with Image.open(IMAGE_PATH) as image:
        pixels = np.asarray(image.convert("L"))[..., None] if channels == "grey" else np.array(image)
    pixels.flags.writeable = False
    return pixels


def picture(channels: str = "rgb") -> Pixels:
    """Return the whole picture, decoded once for all callers and so read-only.

    Convention: equirectangular, north up; column 0 begins at 180 degrees west, a pixel is 1/15 degree.

    Args:
        channels: "rgb", or "grey" for brightness alone.

    Returns:
        uint8 [2700, 5400, 3 or 1].
    """
    if channels not in ("rgb", "grey"):
        raise ArgumentError(f"channels is {channels!r}; use 'rgb' or 'grey'")
    return _shipped(channels)


@functools.cache
def mask() -> Pixels:
    """Return the labels of the whole picture, uint8 [2700, 5400], read-only; 255 is ignored."""
    with Image.open(MASK_PATH) as image:
        labels = np.array(image)
    labels.flags.writeable = False
    return labels


@dataclass(frozen=True)
class Tile:
    """A square of the picture and of the mask, cut when read."""

    stem: str
    row: int
    column: int
    side: int

    @property
    def image_path(self) -> Path:
        """The file that the tile is cut from."""
        return IMAGE_PATH

    @property
    def mask_path(self) -> Path:
        """The file that the labels are cut from."""
        return MASK_PATH

    def read_image(self, channels: str) -> Pixels:
        """Return [side, side, 3] for "rgb", [side, side, 1] for "grey"."""
        return picture(channels)[self._window].copy()

    def read_mask(self) -> Pixels:
        """Return [side, side]: the class of each pixel, or 255."""
        return mask()[self._window].copy()

    @property
    def _window(self) -> tuple[slice, slice]:
        return slice(self.row, self.row + self.side), slice(self.column, self.column + self.side)


def dataset() -> Dataset:
    """Return the tiles: 300 x 300 pixels to train on, 256 x 256 to validate.

    Two blocks in five show a single class, open sea or inland ice, and teach little: of those, one in two is
    trained on. All validate, so that the score is that of the whole globe.

    >>> {name: len(tiles) for name, tiles in dataset().splits.items()}
    {'train': 105, 'val': 33}
    """
    train: list[Sample] = []
    validation: list[Sample] = []
    plain_blocks = 0
    margin = (BLOCK - TILE) // 2
    for block_row in range(ROWS // BLOCK):
        for block_column in range(COLUMNS // BLOCK):
            row, column = block_row * BLOCK, block_column * BLOCK
            stem = f"earth_{block_row}_{block_column:02}"
            if (block_column + 2 * block_row) % _VALIDATION_EVERY == 2:
                validation.append(Tile(stem, row + margin, column + margin, TILE))
                continue
            tile = Tile(stem, row, column, BLOCK)
            is_plain = np.bincount(tile.read_mask().ravel())[: len(CLASSES)].max() > _PLAIN_SHARE * BLOCK**2
            if not is_plain or plain_blocks % _PLAIN_EVERY == 0:
                train.append(tile)
            plain_blocks += is_plain
    return Dataset({"train": train, "val": validation}, CLASSES)
