"""What a network must be to label pictures, how pixels become its input, and its outputs labels of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def is_pixels(x: object) -> bool:
    """Whether that is one picture as it is read, not what a network takes: uint8 [row, column, channel]."""
    return isinstance(x, np.ndarray) and x.ndim == 3 and x.dtype == np.uint8


def as_labels(found: Mapping[str, Array], is_one: bool) -> Array:
    """[batch, row, column] of what a plan for labels gives; [row, column] if `is_one`."""
    labels = found["labels"][:, 0]
    labels = labels if labels.dtype == np.uint8 else labels.astype(np.uint16)
    return labels[0] if is_one else labels


def as_probabilities(found: Mapping[str, Array], classes: Sequence[int] | None, is_one: bool) -> Array:
    """[batch, row, column, class] of what a plan for probabilities gives, of all classes if None are named."""
    shares = found["probabilities"]
    chosen = range(shares.shape[1]) if classes is None else classes
    wrong = [label for label in chosen if not 0 <= label < shares.shape[1]]
    if wrong:
        raise ArgumentError(f"classes names {wrong[0]}; use numbers from 0 to {shares.shape[1] - 1}")
    shares = np.ascontiguousarray(shares[:, list(chosen)].transpose(0, 2, 3, 1))
    return shares[0] if is_one else shares
