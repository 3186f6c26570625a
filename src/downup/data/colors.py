"""Colours for classes, the first eight distinct for the colour-blind too, and the palette of a mask file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Color = tuple[int, int, int]

IGNORED_COLOR: Color = (128, 128, 128)

# Okabe and Ito, "Color Universal Design", 2008; yellow last, since it is the weakest over bright pictures.
_FIRST_COLORS: tuple[Color, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (0, 0, 0),
    (240, 228, 66),
)


@dataclass(frozen=True)
class ClassInfo:
    """A class's name and the colour it is painted in.

    >>> ClassInfo("water", (43, 92, 158)).color
    (43, 92, 158)
    """

    name: str
    color: Color


def _farthest_colors(count: int) -> tuple[Color, ...]:
    # Each next colour is the one of a coarse grid that is farthest from all before it, the grey of ignored
    # pixels included. Whole numbers only, so that every machine finds the same colours.
    levels = np.array([0, 36, 73, 109, 146, 182, 219, 255])
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen = list(_FIRST_COLORS)
    nearest = np.min([_distances(grid, color) for color in (*chosen, IGNORED_COLOR)], axis=0)
    while len(chosen) < count:
        red, green, blue = grid[nearest.argmax()].tolist()
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, _distances(grid, chosen[-1]))
    return tuple(chosen)


def _distances(grid: npt.NDArray[np.int64], color: Color) -> npt.NDArray[np.int64]:
    # "Redmean": a cheap stand-in for how different two colours look.
    red, green, blue = (grid - np.array(color)).T
    mean_red = (grid[:, 0] + color[0]) // 2
    distances: npt.NDArray[np.int64] = (
        (512 + mean_red) * red**2 // 256 + 4 * green**2 + (767 - mean_red) * blue**2 // 256
    )
    return distances


CLASS_COLORS: tuple[Color, ...] = _farthest_colors(255)
"""A colour for each of 255 classes, in the order in which they are handed out; all differ."""


def class_colors(count: int) -> tuple[Color, ...]:
    """Return the default colours of the first `count` classes, at most 255.

    >>> class_colors(2)
    ((0, 114, 178), (230, 159, 0))
    """
    return CLASS_COLORS[:count]


def flat_palette(classes: Sequence[ClassInfo]) -> bytes:
    """Return the palette of a mask file: 256 colours of 3 bytes, those without a class grey.

    >>> palette = flat_palette([ClassInfo("water", (1, 2, 3))])
    >>> palette[:6], len(palette)
    (b'\\x01\\x02\\x03\\x80\\x80\\x80', 768)
    """
    colors = [item.color for item in classes]
    colors += [IGNORED_COLOR] * (256 - len(colors))
    return bytes(level for color in colors for level in color)
