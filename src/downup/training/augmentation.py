"""Random crops of a picture and its mask, cut, scaled, turned and coloured together.

Nothing here keeps state: the generator of a sample is made from (seed, epoch, position), so a run that was
killed goes on with the very crops it would have taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

IGNORE = 255
Pixels = npt.NDArray[np.uint8]

_LARGEST_SCALE = 1.5
_LARGEST_BRIGHTNESS = 0.2  # of the full range
_LARGEST_CONTRAST = 1.3
_LARGEST_GAMMA = 1.25
_LARGEST_SATURATION = 1.4
# Rec. 601 luma, as Pillow's "L" uses.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def random_generator(seed: int, epoch: int, number: int, stream: int) -> np.random.Generator:
    """Return a generator that is a function of four numbers, whatever was drawn before.

    `stream` tells apart generators for different purposes. It is at least 1, for numpy takes a missing last
    number for 0.
    """
    return np.random.default_rng((seed, epoch, number, stream))


@dataclass(frozen=True)
class Augmentation:
    """Which random changes a training crop goes through.

    Args:
        size: side of the crop in pixels.
        is_flipped: mirror left and right, one time in two.
        is_turned: turn by 0, 90, 180 or 270 degrees.
        is_scaled: enlarge by 2/3 to 3/2, even in the logarithm.
        is_coloured: change brightness, contrast, gamma and (of a colour picture) saturation.
    """

    size: int
    is_flipped: bool = False
    is_turned: bool = False
    is_scaled: bool = False
    is_coloured: bool = False

    @classmethod
    def named(cls, size: int, names: tuple[str, ...]) -> Augmentation:
        """Build from the words of `TrainConfig.augment`."""
        return cls(size, "flip" in names, "turn" in names, "scale" in names, "colour" in names)

    def __call__(
        self, picture: Pixels, mask: Pixels, generator: np.random.Generator
    ) -> tuple[Pixels, Pixels]:
        """Return one random crop.

        Convention: what lies outside the picture is black in the crop and ignored (255) in its mask.

        Args:
            picture: [height, width, channel].
            mask: [height, width].
            generator: decides everything; equal generators give equal crops.

        Returns:
            picture [size, size, channel] and mask [size, size].
        """
        side = self.size
        if self.is_scaled:
            side = max(1, round(self.size / _LARGEST_SCALE ** generator.uniform(-1.0, 1.0)))
        picture, mask = _crop(picture, mask, side, generator)
        if side != self.size:
            picture, mask = (
                _resize(picture, self.size, Image.Resampling.BILINEAR),
                _resize(mask[:, :, None], self.size, Image.Resampling.NEAREST)[:, :, 0],
            )
        if self.is_flipped and generator.random() < 0.5:
            picture, mask = picture[:, ::-1], mask[:, ::-1]
        if self.is_turned:
            turns = int(generator.integers(4))
            picture, mask = np.rot90(picture, turns), np.rot90(mask, turns)
        if self.is_coloured:
            picture = change_colour(picture, generator)
        return np.ascontiguousarray(picture), np.ascontiguousarray(mask)


def change_colour(picture: Pixels, generator: np.random.Generator) -> Pixels:
    """Change brightness, contrast, gamma and, of three channels, saturation of [height, width, channel]."""
    brightness = generator.uniform(-_LARGEST_BRIGHTNESS, _LARGEST_BRIGHTNESS)
    contrast = _LARGEST_CONTRAST ** generator.uniform(-1.0, 1.0)
    gamma = _LARGEST_GAMMA ** generator.uniform(-1.0, 1.0)
    levels = np.linspace(0.0, 1.0, 256) ** gamma
    levels = (levels - 0.5) * contrast + 0.5 + brightness
    table = np.rint(levels.clip(0.0, 1.0) * 255.0).astype(np.uint8)
    changed: Pixels = table[picture]
    if picture.shape[2] != 3:
        return changed
    saturation = np.float32(_LARGEST_SATURATION ** generator.uniform(-1.0, 1.0))
    grey = (changed @ _LUMA)[:, :, None]
    saturated: Pixels = np.rint((grey + (changed - grey) * saturation).clip(0.0, 255.0)).astype(np.uint8)
    return saturated


def _crop(picture: Pixels, mask: Pixels, side: int, generator: np.random.Generator) -> tuple[Pixels, Pixels]:
    rows, columns = mask.shape
    # A picture smaller than the crop lies anywhere inside it; a larger one is cut anywhere.
    top = int(generator.integers(min(0, rows - side), max(0, rows - side) + 1))
    left = int(generator.integers(min(0, columns - side), max(0, columns - side) + 1))
    if 0 <= top <= rows - side and 0 <= left <= columns - side:
        return picture[top : top + side, left : left + side], mask[top : top + side, left : left + side]
    cut_picture = np.zeros((side, side, picture.shape[2]), np.uint8)
    cut_mask = np.full((side, side), IGNORE, np.uint8)
    source = (slice(max(0, top), min(rows, top + side)), slice(max(0, left), min(columns, left + side)))
    target = tuple(
        slice(axis.start - start, axis.stop - start) for axis, start in zip(source, (top, left), strict=True)
    )
    cut_picture[target] = picture[source]
    cut_mask[target] = mask[source]
    return cut_picture, cut_mask


def _resize(pixels: Pixels, side: int, resampling: Image.Resampling) -> Pixels:
    if pixels.shape[2] == 1:
        resized = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0])).resize((side, side), resampling)
        return np.asarray(resized)[:, :, None]
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((side, side), resampling))
