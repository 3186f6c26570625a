"""How stored samples become what a network sees: the same bytes as `data.read_picture` gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from downup.data.pictures import CHANNELS, image_pixels
from downup.data.problems import FileError

_CURE = "save it as grey or RGB with 8 or 16 bits a channel"


@dataclass(frozen=True)
class Colors:
    """What the samples of a pixel mean.

    Attributes:
        mode: Pillow's word for it: L, LA, P, RGB, RGBA, RGBa (colours multiplied by their opacity) or CMYK.
        palette: of mode P, 256 times red, green and blue.
        is_inverted: the highest level is black.
    """

    mode: str
    palette: bytes | None = None
    is_inverted: bool = False

    @property
    def count(self) -> int:
        """Samples of a pixel."""
        return {"L": 1, "P": 1, "LA": 2, "RGB": 3}.get(self.mode, 4)


def check_levels(dtype: np.dtype[Any], file: str) -> None:
    """Refuse samples whose range is not known.

    Raises:
        FileError: they are not unsigned, of 8 or 16 bits.
    """
    if dtype not in (np.uint8, np.uint16):
        kinds = {"f": "floating-point", "c": "complex", "b": "two-valued", "i": "signed"}
        kind = kinds.get(dtype.kind, "unsuitable")
        raise FileError(Path(file), f"holds {kind} levels ({dtype})", _CURE)


def colors_of_count(count: int, file: str) -> Colors:
    """What so many samples mean where the file does not say it.

    Raises:
        FileError: it could be anything.
    """
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    if count not in modes:
        cure = "keep one (grey), three (red, green, blue) or four (and transparency)"
        raise FileError(Path(file), f"holds {count} channels of unknown meaning", cure)
    return Colors(modes[count])


def to_pixels(samples: NDArray[Any], colors: Colors, channels: str, file: str) -> NDArray[np.uint8]:
    """Turn samples into bytes of the channels that a network sees.

    Of 16-bit levels the high byte is taken, and transparency is dropped, as `data.read_picture` does it.

    Args:
        samples: uint8 or uint16 [rows, columns, colors.count].
        colors: what they mean.
        channels: "rgb" or "grey".
        file: for messages.

    Returns:
        uint8 [rows, columns, 3 or 1], contiguous.
    """
    check_levels(samples.dtype, file)
    if samples.dtype == np.uint16:
        samples = (samples >> 8).astype(np.uint8)
    if colors.is_inverted:
        samples = ~samples
    if colors.mode in ("RGB", "RGBA") and channels == "rgb":
        return np.ascontiguousarray(samples[:, :, :3])
    if colors.mode in ("L", "LA"):
        return np.repeat(samples[:, :, :1], CHANNELS[channels], axis=2)
    samples = np.ascontiguousarray(samples)
    plain = samples[:, :, 0] if samples.shape[2] == 1 else samples
    return image_pixels(_picture(plain, colors), channels, Path(file))


def _picture(samples: NDArray[np.uint8], colors: Colors) -> PillowImage.Image:
    rows, columns = samples.shape[:2]
    # Pillow divides by the opacity as it reads.
    mode = "RGBA" if colors.mode == "RGBa" else colors.mode
    picture = PillowImage.frombytes(mode, (columns, rows), samples.tobytes(), "raw", colors.mode)
    if colors.palette is not None:
        picture.putpalette(colors.palette)
    return picture
