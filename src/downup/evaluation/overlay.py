"""Pictures for people: labels laid over a picture, mistakes marked, a legend below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from downup.data import IGNORED
from downup.data.colors import ClassInfo, Color
from downup.errors import ArgumentError
from downup.evaluation.labels import as_label_maps, as_labels

Picture = NDArray[np.uint8]

# A vivid red: no landscape or street has large areas of it, and it stands out of grey for colour-blind eyes
# too.
WRONG_COLOR: Color = (230, 25, 75)
# The map is grey, so what does not count cannot be the grey of mask files.
UNCOUNTED_COLOR: Color = (96, 125, 170)


def as_rgb(picture: NDArray[Any]) -> Picture:
    """A grey or colour picture as uint8 [rows, columns, 3].

    Raises:
        ArgumentError: `picture` is not uint8 [rows, columns], [rows, columns, 1] or [rows, columns, 3].
    """
    if (
        picture.dtype != np.uint8
        or picture.ndim not in (2, 3)
        or (picture.ndim == 3 and picture.shape[2] not in (1, 3))
    ):
        raise ArgumentError(
            f"picture has shape {picture.shape} and dtype {picture.dtype}; "
            "give uint8 [rows, columns], [rows, columns, 1] or [rows, columns, 3]"
        )
    if picture.ndim == 2:
        picture = picture[:, :, None]
    return np.broadcast_to(picture, (*picture.shape[:2], 3))


def color_table(colors: Sequence[Color]) -> Picture:
    """[256 or more, 3]: the colour of each label; black for labels without a class, such as the ignored one."""
    table = np.zeros((max(256, len(colors)), 3), np.uint8)
    table[: len(colors)] = np.asarray(colors, np.uint8).reshape(-1, 3)
    return table


def overlay(
    picture: NDArray[Any],
    labels: NDArray[Any],
    colors: Sequence[Color],
    opacity: float = 0.5,
    border: int | None = None,
) -> Picture:
    """Lay the colours of the classes over a picture, and draw the borders between classes in full colour.

    Pixels whose label has no colour, such as ignored ones, show the picture.

    Args:
        picture: uint8 [rows, columns, 1 or 3] or [rows, columns].
        labels: [rows, columns], class numbers.
        colors: red, green, blue from 0 to 255, one per class.
        opacity: 0 shows the picture alone, 1 the colours alone.
        border: pixels on each side of a border that are drawn in full colour; 0 draws none. By default one
            for each 2000 pixels of the longer side, so that it is seen when the whole picture is on a screen.

    Returns:
        uint8 [rows, columns, 3].

    Raises:
        ArgumentError: the sizes differ, or `opacity` is outside 0 to 1.

    >>> picture = np.full((1, 4, 3), 100, np.uint8)
    >>> overlay(picture, np.array([[0, 0, 1, 255]]), [(0, 0, 200), (200, 0, 0)])[0].tolist()
    [[50, 50, 150], [0, 0, 200], [200, 0, 0], [100, 100, 100]]
    """
    rgb = as_rgb(picture)
    labels = labels if labels.dtype == np.uint16 else as_labels("labels", labels)
    _check_size("labels", labels, rgb)
    if not 0 <= opacity <= 1:
        raise ArgumentError(f"opacity is {opacity}; use 0 (picture alone) to 1 (colours alone)")
    if border is None:
        border = -(-max(labels.shape) // 2000)
    # 8-bit fixed point: the weight of the colour, from 0 to 256, by pixel.
    weight = np.full(labels.shape, round(256 * opacity), np.uint16)
    has_color = labels < len(colors)
    if border:
        weight[_border(labels, has_color, border)] = 256
    weight[~has_color] = 0
    weight = weight[:, :, None]
    table = color_table(colors)
    blended = rgb * (256 - weight) + table[np.minimum(labels, len(table) - 1)] * weight
    return (blended >> 8).astype(np.uint8)


def error_map(
    picture: NDArray[Any], truth: NDArray[Any], prediction: NDArray[Any], ignore: int = IGNORED
) -> Picture:
    """Mark what is wrong in red and what does not count in blue, on the picture in pale grey.

    Args:
        picture: uint8 [rows, columns, 1 or 3] or [rows, columns].
        truth: [rows, columns], class numbers, or `ignore` where the prediction is neither right nor wrong.
        prediction: [rows, columns], class numbers.
        ignore: the label in `truth` of pixels that do not count.

    Returns:
        uint8 [rows, columns, 3].

    Raises:
        ArgumentError: the sizes differ.
    """
    rgb, (truth, prediction) = as_rgb(picture), as_label_maps(truth, prediction)
    _check_size("truth", truth, rgb)
    # Brightness squeezed into its upper half, so that the marks stand out.
    grey = 128 + np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).convert("L")) // 2
    drawn = np.repeat(grey[:, :, None], 3, axis=2)
    is_ignored = truth == ignore
    drawn[(truth != prediction) & ~is_ignored] = WRONG_COLOR
    drawn[is_ignored] = drawn[is_ignored] // 2 + np.array(UNCOUNTED_COLOR, np.uint8) // 2
    return drawn


def with_legend(picture: NDArray[Any], classes: Sequence[ClassInfo]) -> Picture:
    """Put a strip below the picture that names the colour of each class.

    Letters grow with the width of the picture; entries that do not fit in one line go on in the next.

    Returns:
        uint8 [rows + strip, columns, 3].
    """
    rgb = as_rgb(picture)
    width = rgb.shape[1]
    size = max(11, round(width / 75))
    font = ImageFont.load_default(size)
    gap, line = size, 2 * size
    entries: list[tuple[int, int, ClassInfo]] = []
    left, lines = gap, 1
    for entry in classes:
        entry_width = 2 * size + round(font.getlength(entry.name))
        if left > gap and left + entry_width + gap > width:
            left, lines = gap, lines + 1
        entries.append((left, lines - 1, entry))
        left += entry_width + 2 * gap

    strip = Image.new("RGB", (width, lines * line + size), (250, 250, 248))
    draw = ImageDraw.Draw(strip)
    for left, at, entry in entries:
        middle = size // 2 + at * line + line // 2
        swatch = (left, middle - size // 2, left + round(1.4 * size), middle + size // 2)
        draw.rectangle(swatch, fill=entry.color, outline=(60, 60, 60))
        draw.text((left + 2 * size, middle), entry.name, fill=(25, 25, 25), font=font, anchor="lm")
    return np.concatenate([rgb, np.asarray(strip)])


def _border(labels: NDArray[np.uint8], has_color: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The pixels at most `width` steps from another class; what has no colour makes no border."""
    is_border = np.zeros(labels.shape, bool)
    for step in range(1, width + 1):
        differs = (labels[step:] != labels[:-step]) & has_color[step:] & has_color[:-step]
        is_border[step:] |= differs
        is_border[:-step] |= differs
        differs = (labels[:, step:] != labels[:, :-step]) & has_color[:, step:] & has_color[:, :-step]
        is_border[:, step:] |= differs
        is_border[:, :-step] |= differs
    return is_border


def _check_size(name: str, labels: NDArray[np.uint8], rgb: Picture) -> None:
    if labels.shape != rgb.shape[:2]:
        raise ArgumentError(
            f"{name} has shape {labels.shape} but the picture is {rgb.shape[0]} x {rgb.shape[1]} pixels; "
            "give both at one size"
        )
