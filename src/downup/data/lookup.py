"""What brightness or colour alone can tell: the best table from pixel value to class, as a mark to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from downup.data.samples import IGNORED, Dataset, Pixels, Sample
from downup.errors import ArgumentError, DataError

_MOST_ROUNDS = 20

Counts = npt.NDArray[np.float64]
Table = npt.NDArray[np.int64]


def lookup_baseline(dataset: Dataset, channels: str) -> float:
    """Return the validation mean IoU of the best table from pixel value to class.

    The table is fitted to the training pixels: 256 levels of brightness, or 16 of each of red, green and
    blue. It begins with each value's most frequent class, or its most frequent one relative to how common the
    class is, and then changes entries one at a time while that raises the training mean IoU. What a network
    reaches beyond this, it owes to the surroundings of a pixel.

    Args:
        dataset: with the splits "train" and "val".
        channels: "rgb" or "grey", as the network sees the pictures.

    Returns:
        the mean over the classes that occur in the validation masks or in what the table makes of them.

    Raises:
        DataError: a split is missing, or its masks hold ignored pixels only.
    """
    if channels not in ("rgb", "grey"):
        raise ArgumentError(f"channels is {channels!r}; use 'rgb' or 'grey'")
    classes = len(dataset.classes)
    train, validation = (_counts(dataset, split, channels, classes) for split in ("train", "val"))
    prior = np.maximum(train.sum(axis=0), 1)
    starts = [(train / prior**power).argmax(axis=1) for power in (0.0, 0.5, 1.0)]
    tables = [_improved(table, train) for table in starts]
    best = max(tables, key=lambda table: _mean_iou(_confusion(table, train)))
    return _mean_iou(_confusion(best, validation))


def _counts(dataset: Dataset, split: str, channels: str, classes: int) -> Counts:
    # [value, class]: training pixels by value and class.
    samples: Sequence[Sample] = dataset.splits.get(split, ())
    if not samples:
        raise DataError(f"the dataset has no {split!r} split; a look-up is fitted to train and judged on val")
    values = 256 if channels == "grey" else 4096
    counts = np.zeros(values * classes, np.int64)
    for sample in samples:
        labels = sample.read_mask()
        keys = _keys(sample.read_image(channels))
        is_judged = labels != IGNORED
        pairs = keys[is_judged] * classes + labels[is_judged]
        counts += np.bincount(pairs, minlength=values * classes)
    if not counts.any():
        raise DataError(f"the masks of the {split!r} split hold ignored pixels only")
    return counts.reshape(values, classes).astype(np.float64)


def _keys(picture: Pixels) -> npt.NDArray[np.int64]:
    if picture.shape[2] == 1:
        return picture[..., 0].astype(np.int64)
    red, green, blue = np.moveaxis((picture >> 4).astype(np.int64), -1, 0)
    keys: npt.NDArray[np.int64] = red << 8 | green << 4 | blue
    return keys


def _confusion(table: Table, counts: Counts) -> Counts:
    # [truth, prediction]
    matrix = np.zeros((counts.shape[1], counts.shape[1]))
    np.add.at(matrix.T, table, counts)
    return matrix


def _ious(hits: Counts, truth: Counts, predicted: Counts) -> Counts:
    union = truth + predicted - hits
    ious: Counts = np.divide(hits, union, out=np.full(union.shape, np.nan), where=union > 0)
    return ious


def _mean_iou(matrix: Counts) -> float:
    return float(np.nanmean(_ious(np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0))))


def _improved(table: Table, counts: Counts) -> Table:
    """Move one value after the other to the class where the mean IoU is highest, until nothing moves."""
    table = table.copy()
    matrix = _confusion(table, counts)
    hits, truth, predicted = np.diag(matrix).copy(), matrix.sum(axis=1), matrix.sum(axis=0)
    totals = counts.sum(axis=1)
    used = np.flatnonzero(totals)
    for _ in range(_MOST_ROUNDS):
        has_moved = False
        for value in used:
            old = table[value]
            hits[old] -= counts[value, old]
            predicted[old] -= totals[value]
            # The value is now of no class: what each class would gain by it is all that differs.
            without = np.nan_to_num(_ious(hits, truth, predicted))
            gained = np.nan_to_num(_ious(hits + counts[value], truth, predicted + totals[value])) - without
            new = int(gained.argmax())
            if gained[new] <= gained[old] + 1e-12:
                new = int(old)
            has_moved |= new != old
            table[value] = new
            hits[new] += counts[value, new]
            predicted[new] += totals[value]
        if not has_moved:
            break
    return table
