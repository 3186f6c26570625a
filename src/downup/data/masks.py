"""Mask files: one channel of class numbers, or colours that a list of classes explains."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from downup.data.class_files import Entry
from downup.data.colors import ClassInfo, Color
from downup.data.pictures import is_turned, open_image, upright
from downup.data.problems import FileError
from downup.data.samples import IGNORED, Pixels

_UNKNOWN = -1
_SHOWN = 5  # values named in one message


@dataclass(frozen=True)
class MaskCoding:
    """Which class each value, or each colour, of a dataset's masks stands for.

    Args:
        values: (value, label) pairs for masks of one channel.
        colors: (colour, label) pairs for RGB masks.
    """

    values: tuple[tuple[int, int], ...]
    colors: tuple[tuple[Color, int], ...] = ()

    @classmethod
    def of_classes(cls, classes: Sequence[ClassInfo]) -> MaskCoding:
        """Return the coding where class k has the value k and its own colour, and 255 is ignored."""
        values = (*((label, label) for label in range(len(classes))), (IGNORED, IGNORED))
        return cls(values, tuple((item.color, label) for label, item in enumerate(classes)))

    @classmethod
    def of_entries(cls, entries: Sequence[Entry]) -> MaskCoding:
        """Return the coding that a list of classes declares; 255 is ignored unless it says otherwise."""
        labelled = list(zip(entries, labels_of(entries), strict=True))
        values = {IGNORED: IGNORED} | {entry.value: label for entry, label in labelled}
        colors = tuple((entry.color, label) for entry, label in labelled if entry.color is not None)
        return cls(tuple(values.items()), colors)


def labels_of(entries: Sequence[Entry]) -> list[int]:
    """Number the classes that are learned, in their order; the others are 255."""
    labels, learned = [], 0
    for entry in entries:
        labels.append(IGNORED if entry.is_ignored else learned)
        learned += not entry.is_ignored
    return labels


def read_mask(path: Path | str, classes: Sequence[ClassInfo] | MaskCoding) -> Pixels:
    """Read a mask as labels.

    Args:
        path: a file of one channel (grey, black-and-white, or palette, whose colours do not count), or an RGB
            file in the classes' colours.
        classes: the classes in the order of their values; or a coding, where values differ from labels.

    Returns:
        uint8 [height, width]: the class of each pixel, or 255 for those to ignore.

    Raises:
        DataError: the file cannot be read, or holds a value or colour that has no class.
    """
    coding = classes if isinstance(classes, MaskCoding) else MaskCoding.of_classes(classes)
    path = Path(path)
    with open_image(path) as image:
        raw = raw_mask(image, path)
    return decode(raw, coding, path)


def raw_mask(image: Image.Image, path: Path) -> Pixels:
    """Return what an open mask file holds: values [height, width] or colours [height, width, 3]."""
    image = upright(image)
    match image.mode:
        case "L" | "P" | "RGB":
            return np.array(image)
        case "1":
            return np.array(image, dtype=np.uint8)
        case "LA" | "PA":
            return np.array(image.getchannel(0))
        case "RGBA" | "RGBX":
            return np.array(image.convert("RGB"))
        case mode if mode.startswith("I"):
            values: npt.NDArray[np.integer] = np.asarray(image)
            if values.size and (values.min() < 0 or values.max() > 255):
                what = f"holds values from {values.min()} to {values.max()}"
                raise FileError(path, what, "use class numbers from 0 to 254, and 255 for pixels to ignore")
            narrow: Pixels = values.astype(np.uint8)
            return narrow
        case mode:
            raise FileError(path, f"has pixels of kind {mode}", "save the mask as 8-bit grey, palette or RGB")


def decode(raw: Pixels, coding: MaskCoding, path: Path) -> Pixels:
    """Turn values or colours into labels; `path` is for the message.

    Raises:
        DataError: a value or colour has no class.
    """
    is_color = raw.ndim == 3
    keys: npt.NDArray[np.integer] = packed(raw) if is_color else raw
    labels = (_color_table if is_color else _value_table)(coding)[keys]
    if is_color and labels.min(initial=0) == _UNKNOWN and bool((raw == raw[..., :1]).all()):
        # One channel of values, saved three times over.
        is_color, keys = False, raw[..., 0]
        labels = _value_table(coding)[keys]
    unknown = labels == _UNKNOWN
    if unknown.any():
        values, counts = np.unique(keys[unknown], return_counts=True)
        counted = dict(zip(values.tolist(), counts.tolist(), strict=True))
        raise FileError(path, unknown_values(counted, is_color), unknown_cure(coding, is_color))
    decoded: Pixels = labels.astype(np.uint8)
    return decoded


def packed(colors: Pixels) -> npt.NDArray[np.int32]:
    """Return one number for each colour of [..., 3]: red << 16 | green << 8 | blue."""
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    keys: npt.NDArray[np.int32] = red << 16 | green << 8 | blue
    return keys


def unpacked(key: int) -> Color:
    """Undo `packed`.

    >>> unpacked(0x804000)
    (128, 64, 0)
    """
    return key >> 16, key >> 8 & 255, key & 255


@dataclass(frozen=True)
class MaskContent:
    """What a mask file holds, before it is known what its values mean.

    Args:
        size: (width, height), as a viewer shows it.
        counts: pixels of each value, or of each packed colour.
        is_color: whether the keys of `counts` are colours.
        palette: the colours of a palette mask, empty for others.
        is_lossy: whether the format blurs values (JPEG).
        is_turned: whether EXIF tells a viewer to turn it.
    """

    size: tuple[int, int]
    counts: dict[int, int]
    is_color: bool
    palette: tuple[Color, ...]
    is_lossy: bool
    is_turned: bool

    @property
    def is_grey(self) -> bool:
        """Whether the file has one channel, or three that are equal everywhere."""
        return not self.is_color or all(len(set(unpacked(key))) == 1 for key in self.counts)

    def values(self) -> dict[int, int]:
        """Return pixels by value, also where a single channel was saved as RGB."""
        return {key & 255: count for key, count in self.counts.items()}

    def tally(self, coding: MaskCoding) -> tuple[dict[int, int], dict[int, int], bool]:
        """Count pixels by label, and by key what has no class; the last tells whether these are colours."""
        counts, is_color = self.counts, self.is_color
        table: dict[int, int] = dict(coding.values)
        if is_color:
            table = {packed_color(color): label for color, label in coding.colors}
            if self.is_grey and not counts.keys() <= table.keys():
                counts, is_color, table = self.values(), False, dict(coding.values)
        known: dict[int, int] = {}
        for key, count in counts.items():
            if key in table:
                known[table[key]] = known.get(table[key], 0) + count
        return known, {key: count for key, count in counts.items() if key not in table}, is_color


def mask_content(path: Path) -> MaskContent:
    """Read a mask file and count its values.

    Raises:
        DataError: the file cannot be read.
    """
    with open_image(path) as image:
        palette = image.getpalette("RGB") if image.mode == "P" else None
        raw = raw_mask(image, path)
        is_lossy, turned = image.format in ("JPEG", "MPO"), is_turned(image)
    if raw.ndim == 3:
        keys, pixels = np.unique(packed(raw), return_counts=True)
        counts = dict(zip(keys.tolist(), pixels.tolist(), strict=True))
    else:
        counts = {value: count for value, count in enumerate(np.bincount(raw.ravel()).tolist()) if count}
    levels = palette or []
    return MaskContent(
        size=(raw.shape[1], raw.shape[0]),
        counts=counts,
        is_color=raw.ndim == 3,
        palette=tuple(zip(levels[::3], levels[1::3], levels[2::3], strict=True)),
        is_lossy=is_lossy,
        is_turned=turned,
    )


def packed_color(color: Color) -> int:
    """Return one number for a colour, as `packed` does for many."""
    red, green, blue = color
    return red << 16 | green << 8 | blue


def unknown_values(counts: dict[int, int], is_color: bool) -> str:
    """Say which values or colours have no class, the most frequent first.

    >>> unknown_values({7: 12, 9: 1}, is_color=False)
    'holds the values 7 and 9 in 13 pixels, which no class has'
    """
    what = "colour" if is_color else "value"
    shown = sorted(counts, key=lambda key: (-counts[key], key))[:_SHOWN]
    names = [str(unpacked(key) if is_color else key) for key in shown]
    if len(counts) > _SHOWN:
        names.append(f"{len(counts) - _SHOWN} more")
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    pixels = sum(counts.values())
    return (
        f"holds the {what}{'s' * (len(names) > 1)} {listed} in {pixels} pixel{'s' * (pixels > 1)}, "
        "which no class has"
    )


def unknown_cure(coding: MaskCoding, is_color: bool) -> str:
    """Say what to do about values or colours without a class."""
    if is_color and not coding.colors:
        return "give each class its colour in classes.json"
    if is_color:
        return "repaint them in a class's colour, or add them to the list of classes"
    known = sorted(value for value, _ in coding.values if value != IGNORED)
    is_run = known == list(range(len(known)))
    allowed = f"0 to {known[-1]}" if is_run and len(known) > 1 else ", ".join(map(str, known))
    return f"use {allowed}, or 255 for pixels to ignore; or add a class to the list of classes"


@functools.lru_cache(maxsize=8)
def _value_table(coding: MaskCoding) -> npt.NDArray[np.int16]:
    table = np.full(256, _UNKNOWN, np.int16)
    for value, label in coding.values:
        table[value] = label
    return table


@functools.lru_cache(maxsize=2)
def _color_table(coding: MaskCoding) -> npt.NDArray[np.int16]:
    # 32 MB, of which a mask touches a few cache lines: one look-up a pixel, whatever the number of classes.
    table = np.full(1 << 24, _UNKNOWN, np.int16)
    for color, label in coding.colors:
        table[packed_color(color)] = label
    return table
