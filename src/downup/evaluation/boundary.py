"""How well the borders between classes are met, whatever the areas they enclose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downup.data import IGNORED
from downup.errors import ArgumentError
from downup.evaluation.labels import as_label_maps, check_class_count

# Csurka et al. found 0.75 % of the diagonal to be about the disagreement between two people who draw the same
# object.
_TOLERANCE_FRACTION = 0.0075

_Mask = NDArray[np.bool_]
_Positions = NDArray[np.intp]


@dataclass(frozen=True)
class BoundaryCounts:
    """Boundary pixels per class, and how many of them found a partner; sums over pictures with `+`.

    Attributes:
        truth: boundary pixels of the truth, one number per class.
        truth_matched: those with a predicted boundary pixel of the class within the tolerance.
        prediction: boundary pixels of the prediction, one number per class.
        prediction_matched: those with a true boundary pixel of the class within the tolerance.
    """

    truth: tuple[int, ...]
    truth_matched: tuple[int, ...]
    prediction: tuple[int, ...]
    prediction_matched: tuple[int, ...]

    @classmethod
    def zero(cls, classes: int) -> BoundaryCounts:
        """The counts before the first picture."""
        nothing = (0,) * classes
        return cls(nothing, nothing, nothing, nothing)

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        if len(self.truth) != len(other.truth):
            raise ArgumentError(
                f"boundary counts of {len(self.truth)} and of {len(other.truth)} classes cannot be added"
            )
        return BoundaryCounts(
            _sums(self.truth, other.truth),
            _sums(self.truth_matched, other.truth_matched),
            _sums(self.prediction, other.prediction),
            _sums(self.prediction_matched, other.prediction_matched),
        )

    @property
    def f_scores(self) -> tuple[float, ...]:
        """Boundary F-score per class: `2 P R / (P + R)`, nan for a class without any boundary.

        P is the matched share of the predicted boundary, R that of the true one. A class with a boundary on
        one side only scores 0.
        """
        columns = zip(self.truth, self.truth_matched, self.prediction, self.prediction_matched, strict=True)
        return tuple(_f_score(*column) for column in columns)


def boundary_counts(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    classes: int,
    tolerance: float | None = None,
    ignore: int = IGNORED,
) -> BoundaryCounts:
    """Count, per class, the boundary pixels of truth and prediction and those that meet within a tolerance.

    A boundary pixel of class k is a pixel of class k with at least one of its four neighbours in another
    class. It is matched if a boundary pixel of class k in the other map lies within `tolerance`, centre to
    centre, in a straight line.

    Convention: the edge of the picture is no boundary, nor is the edge of an ignored region: what lies behind
    is unknown. For the same reason a boundary pixel within `tolerance` of an ignored pixel is not counted,
    since its partner may be hidden there; it may still be the partner of another. Pixels are ignored by the
    truth, in both maps.

    Args:
        truth: [rows, columns], class numbers below `classes`, or `ignore`.
        prediction: [rows, columns], class numbers below `classes`.
        classes: number of classes, 1 to 255.
        tolerance: in pixels, at least 0; by default 0.75 % of the diagonal, rounded up.
        ignore: the label in `truth` of pixels that do not count.

    Returns:
        the counts of this picture; add those of others, then read `f_scores`.

    Raises:
        ArgumentError: the maps are no two-dimensional label maps of one size, or `tolerance` is negative.

    Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013; the
    rounding is that of the DAVIS benchmark. They average over pictures; here the pixels of all pictures are
    pooled, so that a picture with a short boundary weighs little.

    >>> truth = np.array([[0, 0, 1, 1, 1, 1]])
    >>> prediction = np.array([[0, 0, 0, 0, 1, 1]])
    >>> boundary_counts(truth, prediction, classes=2, tolerance=1).f_scores
    (0.0, 0.0)
    >>> boundary_counts(truth, prediction, classes=2, tolerance=2).f_scores
    (1.0, 1.0)
    """
    true_labels, predicted_labels = as_label_maps(truth, prediction)
    check_class_count(classes)
    if true_labels.ndim != 2:
        raise ArgumentError(f"truth has shape {true_labels.shape}; give one picture as [rows, columns]")
    if tolerance is None:
        tolerance = math.ceil(_TOLERANCE_FRACTION * math.hypot(*true_labels.shape))
    if not 0 <= tolerance < math.inf:
        raise ArgumentError(f"tolerance is {tolerance}; give pixels, at least 0")

    is_valid = true_labels != ignore
    near_ignored = None if is_valid.all() else _row_sums(~is_valid)
    sides = []
    for labels in (true_labels, predicted_labels):
        rows, columns = np.nonzero(_boundary(labels, is_valid))
        is_counted = np.ones(rows.size, bool)
        if near_ignored is not None:
            is_counted = ~_is_near(rows, columns, near_ignored, tolerance)
        sides.append((rows, columns, labels[rows, columns], is_counted))

    counts = np.zeros((4, classes), np.int64)
    for k in np.union1d(sides[0][2], sides[1][2]):
        if k >= classes:
            raise ArgumentError(
                f"a label is {k}; with {classes} classes use 0 to {classes - 1}, or {ignore} for ignored"
            )
        points = [(rows[at == k], columns[at == k], counted[at == k]) for rows, columns, at, counted in sides]
        for side, (rows, columns, is_counted) in enumerate(points):
            rows, columns = rows[is_counted], columns[is_counted]
            counts[2 * side, k] = rows.size
            other_rows, other_columns, _ = points[1 - side]
            if rows.size and other_rows.size:
                target = np.zeros(true_labels.shape, bool)
                target[other_rows, other_columns] = True
                counts[2 * side + 1, k] = np.count_nonzero(
                    _is_near(rows, columns, _row_sums(target), tolerance)
                )
    return BoundaryCounts(*(tuple(row) for row in counts.tolist()))


def _boundary(labels: NDArray[np.uint8], is_valid: _Mask) -> _Mask:
    """Where a valid pixel has a valid neighbour above, below, left or right in another class."""
    is_boundary = np.zeros(labels.shape, bool)
    differs = (labels[1:] != labels[:-1]) & is_valid[1:] & is_valid[:-1]
    is_boundary[1:] |= differs
    is_boundary[:-1] |= differs
    differs = (labels[:, 1:] != labels[:, :-1]) & is_valid[:, 1:] & is_valid[:, :-1]
    is_boundary[:, 1:] |= differs
    is_boundary[:, :-1] |= differs
    return is_boundary


def _row_sums(target: _Mask) -> NDArray[np.int32]:
    """[rows, columns + 1]: how many pixels of `target` stand before each column of a row."""
    sums = np.zeros((target.shape[0], target.shape[1] + 1), np.int32)
    np.cumsum(target, axis=1, out=sums[:, 1:])
    return sums


def _is_near(rows: _Positions, columns: _Positions, row_sums: NDArray[np.int32], tolerance: float) -> _Mask:
    """Which of the points lie within `tolerance` of a pixel of the target behind `row_sums`.

    The disc around a point is read row by row, nearest rows first, and a point that is settled drops out.
    Points are few and most have a partner close by, so this takes a tenth of the time of a distance transform
    of the whole picture.
    """
    is_near = np.zeros(rows.size, bool)
    is_open = np.arange(rows.size)
    last_row, last_column = row_sums.shape[0] - 1, row_sums.shape[1] - 1
    # Squared distances between pixels are whole numbers, so the comparison is exact.
    limit = math.floor(tolerance * tolerance)
    radius = math.isqrt(limit)
    for offset in sorted(range(-radius, radius + 1), key=abs):
        reach = math.isqrt(limit - offset * offset)
        # Beyond the edge, the edge row is read again: it is nearer than asked, so what is found there counts.
        at = np.clip(rows[is_open] + offset, 0, last_row)
        left = np.maximum(columns[is_open] - reach, 0)
        right = np.minimum(columns[is_open] + reach + 1, last_column)
        is_hit = row_sums[at, right] > row_sums[at, left]
        is_near[is_open[is_hit]] = True
        is_open = is_open[~is_hit]
        if not is_open.size:
            break
    return is_near


def _sums(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _f_score(truth: int, truth_matched: int, prediction: int, prediction_matched: int) -> float:
    if truth == 0 and prediction == 0:
        return math.nan
    if truth_matched == 0 or prediction_matched == 0:
        return 0.0
    precision, recall = prediction_matched / prediction, truth_matched / truth
    return 2 * precision * recall / (precision + recall)
