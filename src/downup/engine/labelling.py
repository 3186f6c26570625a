"""What a network must be to label pictures, and how pixels become its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from downup.engine.values import Array
from downup.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from downup.data import NetworkMetadata

Shape = tuple[int, ...]


def one_picture(shapes: Mapping[str, Shape], source: str) -> dict[str, Shape]:
    """The shapes of a network's inputs, if that is one picture.

    source: begins the message if not.
    """
    if [len(shape) for shape in shapes.values()] != [4]:
        raise DataError(f"{source}the inputs {list(shapes)} are not one picture; labels are of one")
    return dict(shapes)


def count_classes(scores: Shape, source: str) -> int:
    """How many classes scores of such a shape tell apart."""
    if len(scores) != 4:
        raise DataError(
            f"{source}the output has shape {list(scores)}; labels need scores [n, classes, rows, columns]"
        )
    return scores[1]


def normalised(picture: Array, about: NetworkMetadata) -> Array:
    """(pixel / 255 - mean) / deviation as one multiplication and one addition, [1, channel, row, column]."""
    mean, deviation = (np.array(numbers) for numbers in (about.mean, about.deviation))
    if picture.shape[2] != len(mean) or picture.size == 0:
        raise ArgumentError(
            f"picture has shape {list(picture.shape)}; use uint8 [rows, columns, {len(mean)}]"
        )
    scale, shift = (1 / (255 * deviation)).astype(np.float32), (-mean / deviation).astype(np.float32)
    pixels = np.multiply(picture, scale, dtype=np.float32)
    pixels += shift
    return pixels.transpose(2, 0, 1)[None]
