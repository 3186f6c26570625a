"""What the samples of a TIFF file mean, by its tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from downup.data.problems import FileError
from downup.prediction.sources.pixels import Colors

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_MULTIPLIED = 1  # of extra samples: opacity, by which the colours are multiplied
_JPEG = (6, 7, 34892, 33007)
_CURE = "save it as grey or RGB with 8 or 16 bits a channel"


def colors_of(page: Any, path: Path) -> Colors:
    """What the samples of a page mean.

    Raises:
        FileError: they are of a kind that no picture of bytes follows from.
    """
    photometric, count = int(page.photometric), int(page.samplesperpixel)
    _check_bits(page, path)
    if photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and count in (1, 2):
        return Colors("L" if count == 1 else "LA", is_inverted=photometric == _WHITE_IS_ZERO)
    # Many programs leave the word for RGB out where there are three bands.
    if photometric == _BLACK_IS_ZERO and count == 3:
        return Colors("RGB")
    if photometric == _RGB and count in (3, 4):
        is_multiplied = count == 4 and tuple(page.extrasamples or ()) == (_MULTIPLIED,)
        return Colors("RGB" if count == 3 else "RGBa" if is_multiplied else "RGBA")
    if photometric == _YCBCR and count == 3 and page.compression in _JPEG:
        # The decoder gives red, green and blue.
        return Colors("RGB")
    if photometric == _SEPARATED and count == 4:
        return Colors("CMYK")
    if photometric == _PALETTE and count == 1 and page.bitspersample == 8 and page.colormap is not None:
        levels = np.asarray(page.colormap).T
        # By the standard levels go to 65535; some programs write them to 255.
        levels = levels >> 8 if levels.max() > 255 else levels
        return Colors("P", levels.astype(np.uint8).tobytes())
    name = getattr(page.photometric, "name", photometric)
    cure = f"{_CURE}; of several bands keep those of red, green and blue"
    raise FileError(path, f"holds {count} bands of photometric kind {name}", cure)


def _check_bits(page: Any, path: Path) -> None:
    bits, kind = page.bitspersample, int(page.sampleformat or 1)
    if bits == 1 and kind == 1 and page.samplesperpixel == 1:
        return
    if kind != 1:
        word = {2: "signed", 3: "floating-point"}.get(kind, "unsuitable")
        raise FileError(path, f"holds {word} levels of {bits} bits", _CURE)
    if bits not in (8, 16):
        raise FileError(path, f"holds levels of {bits} bits", _CURE)


def orientation_of(page: Any) -> int:
    """How the stored pixels are to be turned: EXIF's numbers, 1 for not at all."""
    tag = page.tags.get(274)
    value = int(tag.value) if tag is not None else 1
    return value if value in range(1, 9) else 1
