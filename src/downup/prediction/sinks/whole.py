"""Writes labels where other programs read them, each file whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from downup.data.colors import ClassInfo, flat_palette
from downup.evaluation import overlay
from downup.files import replace_file


def labels_path(out: Path, picture: Path, suffix: str = ".png") -> Path:
    """Where the labels of a picture go: its stem, as PNG or what the suffix says."""
    return out / f"{picture.stem}{suffix}"


def overlay_path(out: Path, picture: Path) -> Path:
    """Where the picture with its labels laid over it goes."""
    return out / f"{picture.stem}_overlay.jpg"


def write_labels(path: Path, labels: NDArray[np.uint8], classes: Sequence[ClassInfo]) -> None:
    """Write labels as a PNG with a palette: the pixels are the class numbers, seen in the colours of the
    classes.

    Args:
        path: what to write; an old file there stays whole until the new one takes its place.
        labels: uint8 [rows, columns].
        classes: name and colour of each class; other labels are grey.

    Raises:
        OSError: the file cannot be written.
    """
    image = Image.fromarray(labels)
    # All 256 entries, not only those in use: with 16 or fewer, Pillow packs several pixels in a byte, and
    # some readers then give colours or scaled values for class numbers.
    image.putpalette(flat_palette(classes))
    replace_file(path, lambda beside: image.save(beside, format="PNG"))


def write_overlay(
    path: Path, picture: NDArray[np.uint8], labels: NDArray[np.uint8], classes: Sequence[ClassInfo]
) -> None:
    """Write a picture with its labels laid over it, as JPEG.

    Raises:
        OSError: the file cannot be written.
    """
    drawn = Image.fromarray(overlay(picture, labels, [entry.color for entry in classes]))
    # At full colour resolution: the default halves it, and borders one pixel wide run.
    replace_file(path, lambda beside: drawn.save(beside, format="JPEG", quality=90, subsampling=0))
