"""Numbers that say how well a prediction meets the truth, all from one confusion matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downup.data import IGNORED
from downup.errors import ArgumentError
from downup.evaluation.boundary import BoundaryCounts
from downup.evaluation.labels import as_label_maps, check_class_count

# Small enough that the pairs of one chunk, 8 bytes each once counted, stay in the cache and use no memory to
# speak of.
_CHUNK_PIXELS = 1 << 18


def confusion_matrix(
    truth: NDArray[Any], prediction: NDArray[Any], classes: int, ignore: int = IGNORED
) -> NDArray[np.int64]:
    """Count how often each class was taken for each class.

    Matrices of several pictures are added.

    Args:
        truth: class numbers below `classes`, or `ignore`; any shape.
        prediction: class numbers below `classes`, the shape of `truth`; free where the truth is ignored.
        classes: number of classes, 1 to 255.
        ignore: the label in `truth` of pixels that do not count, 0 to 255.

    Returns:
        int64 [classes, classes]; row: class in the truth, column: class in the prediction.

    Raises:
        ArgumentError: shapes differ, or a label that counts is not below `classes`.

    >>> confusion_matrix(np.array([0, 0, 1, 255]), np.array([0, 1, 1, 0]), classes=2)
    array([[1, 1],
           [0, 1]])
    """
    true_labels, predicted_labels = as_label_maps(truth, prediction)
    check_class_count(classes)
    if not 0 <= ignore <= 255:
        raise ArgumentError(f"ignore is {ignore}; labels go from 0 to 255")
    true_labels, predicted_labels = true_labels.reshape(-1), predicted_labels.reshape(-1)
    # All 256 x 256 pairs are counted, so that a label out of range shows up in the table and costs no pass of
    # its own.
    pairs_seen = np.zeros(1 << 16, np.int64)
    for start in range(0, true_labels.size, _CHUNK_PIXELS):
        chunk = slice(start, start + _CHUNK_PIXELS)
        pairs = (true_labels[chunk].astype(np.uint16) << 8) | predicted_labels[chunk]
        pairs_seen += np.bincount(pairs, minlength=1 << 16)
    table = pairs_seen.reshape(256, 256)
    table[ignore] = 0
    _refuse_outside("truth", table.sum(axis=1), classes, f", or {ignore} for ignored")
    _refuse_outside("prediction", table.sum(axis=0), classes, "")
    return table[:classes, :classes].copy()


@dataclass(frozen=True)
class Scores:
    """What a confusion matrix says, per class and on average.

    A class that is in neither truth nor prediction has the score nan, is listed in `absent` and left out of
    the means.

    Attributes:
        confusion: counted pixels; outer index: class in the truth, inner: class in the prediction.
        iou: per class, `both / (truth + prediction - both)`.
        dice: per class, `2 both / (truth + prediction)`, the F-score of its pixels.
        boundary_f: per class, the F-score of its boundary pixels; nan where there are none, or where they
            were not counted.
        pixel_accuracy: share of the counted pixels that are right.
        mean_iou, mean_dice, mean_boundary_f: means over the classes that have the score.
        absent: the classes left out of `mean_iou`.
    """

    confusion: tuple[tuple[int, ...], ...]
    iou: tuple[float, ...]
    dice: tuple[float, ...]
    boundary_f: tuple[float, ...]
    pixel_accuracy: float
    mean_iou: float
    mean_dice: float
    mean_boundary_f: float
    absent: tuple[int, ...]

    @classmethod
    def from_confusion(cls, matrix: NDArray[Any], boundary: BoundaryCounts | None = None) -> Scores:
        """Score a confusion matrix, and the boundary counts of the same pictures if there are any.

        Raises:
            ArgumentError: `matrix` is not square, or `boundary` counts another number of classes.

        >>> scores = Scores.from_confusion(np.array([[3, 1], [0, 4]]))
        >>> scores.iou, scores.pixel_accuracy
        ((0.75, 0.8), 0.875)
        """
        matrix = np.asarray(matrix)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
            raise ArgumentError(f"matrix has shape {matrix.shape}; a confusion matrix is [classes, classes]")
        classes = matrix.shape[0]
        if boundary is not None and len(boundary.truth) != classes:
            raise ArgumentError(
                f"boundary counts {len(boundary.truth)} classes but the confusion matrix has {classes}"
            )
        counts: list[list[int]] = matrix.astype(np.int64).tolist()
        both = [counts[k][k] for k in range(classes)]
        in_truth = [sum(counts[k]) for k in range(classes)]
        in_prediction = [sum(counts[i][k] for i in range(classes)) for k in range(classes)]
        iou = tuple(_ratio(b, t + p - b) for b, t, p in zip(both, in_truth, in_prediction, strict=True))
        dice = tuple(_ratio(2 * b, t + p) for b, t, p in zip(both, in_truth, in_prediction, strict=True))
        boundary_f = boundary.f_scores if boundary is not None else (math.nan,) * classes
        return cls(
            confusion=tuple(tuple(row) for row in counts),
            iou=iou,
            dice=dice,
            boundary_f=boundary_f,
            pixel_accuracy=_ratio(sum(both), sum(in_truth)),
            mean_iou=_mean(iou),
            mean_dice=_mean(dice),
            mean_boundary_f=_mean(boundary_f),
            absent=tuple(k for k in range(classes) if math.isnan(iou[k])),
        )

    @property
    def pixels(self) -> int:
        """How many pixels were counted; ignored ones were not."""
        return sum(sum(row) for row in self.confusion)

    def to_dict(self) -> dict[str, Any]:
        """The scores as JSON takes them: lists for tuples, None for nan."""
        return {
            "mean_iou": _json(self.mean_iou),
            "pixel_accuracy": _json(self.pixel_accuracy),
            "mean_dice": _json(self.mean_dice),
            "mean_boundary_f": _json(self.mean_boundary_f),
            "pixels": self.pixels,
            "iou": [_json(value) for value in self.iou],
            "dice": [_json(value) for value in self.dice],
            "boundary_f": [_json(value) for value in self.boundary_f],
            "absent": list(self.absent),
            "confusion": [list(row) for row in self.confusion],
        }


def _refuse_outside(name: str, pixels_of_label: NDArray[np.int64], classes: int, otherwise: str) -> None:
    outside = np.nonzero(pixels_of_label[classes:])[0]
    if outside.size:
        label = classes + int(outside[0])
        raise ArgumentError(
            f"{name} holds label {label} ({pixels_of_label[label]} pixels); with {classes} classes "
            f"use 0 to {classes - 1}{otherwise}"
        )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _mean(values: tuple[float, ...]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _json(value: float) -> float | None:
    return None if math.isnan(value) else value
