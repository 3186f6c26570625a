"""Default colours differ, and the first eight differ for the colour-blind too."""

from __future__ import annotations

import itertools

import numpy as np
from PIL import Image

from downup.data import CLASS_COLORS, IGNORED_COLOR, ClassInfo, class_colors, flat_palette, read_mask
from downup.data.colors import Color

# What is left of linear RGB without the red and without the green cones: Machado, Oliveira and Fernandes, "A
# Physiologically-based Model for Simulation of Color Vision Deficiency", 2009.
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
}


def seen(color: Color, blindness: str | None) -> np.ndarray:
    linear = (np.array(color) / 255) ** 2.2
    if blindness:
        linear = np.clip(BLINDNESS[blindness] @ linear, 0, 1)
    # CIE L*a*b* under D65.
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_all_255_colours_differ_and_none_is_the_ignored_one() -> None:
    assert len(set(CLASS_COLORS)) == 255
    assert IGNORED_COLOR not in CLASS_COLORS
    assert all(0 <= level <= 255 for color in CLASS_COLORS for level in color)


def test_the_first_colours_are_these() -> None:
    assert class_colors(10) == (
        *((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233)),
        *((213, 94, 0), (0, 0, 0), (240, 228, 66), (109, 0, 255), (73, 255, 0)),
    )


def test_the_first_eight_differ_for_the_colour_blind() -> None:
    for blindness in (None, *BLINDNESS):
        for one, other in itertools.combinations(class_colors(8), 2):
            assert np.linalg.norm(seen(one, blindness) - seen(other, blindness)) > 10, (blindness, one, other)


def test_a_palette_file_shows_the_colours_and_keeps_the_labels(tmp_path: object) -> None:
    classes = [ClassInfo("a", (1, 2, 3)), ClassInfo("b", (4, 5, 6))]
    image = Image.fromarray(np.array([[0, 1, 255]], np.uint8))
    image.putpalette(flat_palette(classes))
    path = f"{tmp_path}/a.png"
    image.save(path)
    assert read_mask(path, classes).tolist() == [[0, 1, 255]]
    with Image.open(path) as saved:
        assert np.array(saved.convert("RGB")).tolist() == [[[1, 2, 3], [4, 5, 6], list(IGNORED_COLOR)]]
