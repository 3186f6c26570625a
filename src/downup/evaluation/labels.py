"""The one check that a label map passes before it is counted or drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from downup.errors import ArgumentError

Labels = NDArray[np.uint8]


def as_labels(name: str, labels: NDArray[Any]) -> Labels:
    """The label map as bytes, after its type and range are checked.

    Args:
        name: what the caller's user calls this argument; it stands in the error.
        labels: integers from 0 to 255, any shape.

    Returns:
        the same values, uint8; the same array where it was uint8 already.

    Raises:
        ArgumentError: `labels` holds no integers, or one outside 0 to 255.
    """
    labels = np.asarray(labels)
    if labels.dtype == np.uint8:
        return labels
    if labels.dtype == np.bool_:
        return labels.astype(np.uint8)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ArgumentError(f"{name} has dtype {labels.dtype}; class numbers are integers from 0 to 255")
    if labels.size and (labels.min() < 0 or labels.max() > 255):
        found = labels.min() if labels.min() < 0 else labels.max()
        raise ArgumentError(f"{name} holds {found}; class numbers go from 0 to 255")
    return labels.astype(np.uint8)


def as_label_maps(truth: NDArray[Any], prediction: NDArray[Any]) -> tuple[Labels, Labels]:
    """Truth and prediction as bytes, after they are found to have one shape.

    Raises:
        ArgumentError: the shapes differ, or one of the two is no label map.
    """
    true_labels, predicted_labels = as_labels("truth", truth), as_labels("prediction", prediction)
    if true_labels.shape != predicted_labels.shape:
        raise ArgumentError(
            f"truth has shape {true_labels.shape} but prediction has shape {predicted_labels.shape}; "
            "give both at the size of the picture"
        )
    return true_labels, predicted_labels


def check_class_count(classes: int) -> None:
    """Refuse a number of classes that does not fit in a byte next to the ignored label.

    Raises:
        ArgumentError: `classes` is outside 1 to 255.
    """
    if not 1 <= classes <= 255:
        raise ArgumentError(f"classes is {classes}; use a number of classes from 1 to 255")
