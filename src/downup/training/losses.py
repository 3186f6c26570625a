"""The loss: cross-entropy over the pixels that count, optionally with the Dice loss beside it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from downup.training.augmentation import IGNORE


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Return the mean over all counted pixels of `-log softmax(logits)[label]`, each weighed by its class.

    Unlike torch's own mean, a batch without any counted pixel gives 0 instead of nan.

    Args:
        logits: [batch, class, height, width], floating.
        labels: [batch, height, width], int64; 255 does not count.
        class_weights: [class]; None is 1 for every class.
    """
    total = functional.cross_entropy(logits, labels, class_weights, ignore_index=IGNORE, reduction="sum")
    is_counted = labels != IGNORE
    if class_weights is None:
        weight = is_counted.sum().to(total.dtype)
    else:
        weight = class_weights[labels.clamp(max=len(class_weights) - 1)].mul(is_counted).sum().to(total.dtype)
    return total / weight.clamp(min=torch.finfo(total.dtype).tiny)


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 minus the mean soft Dice coefficient of the classes that occur in `labels`.

    For class c with probabilities p and truth t over the counted pixels: `2 sum(p t) / (sum(p) + sum(t))`.

    Args:
        logits: [batch, class, height, width], floating.
        labels: [batch, height, width], int64; 255 does not count.

    Returns:
        A number from 0 (perfect) to 1; 0 where no pixel counts.

    Source: Milletari, Navab and Ahmadi, "V-Net", 3DV 2016, without the squares.
    """
    class_count = logits.shape[1]
    is_counted = (labels != IGNORE).unsqueeze(1)
    probabilities = logits.softmax(dim=1) * is_counted
    truth = functional.one_hot(labels.clamp(max=class_count - 1), class_count)
    truth = truth.permute(0, 3, 1, 2) * is_counted
    axes = (0, 2, 3)
    truth_size = truth.sum(axes)
    both = (probabilities * truth).sum(axes)
    coefficient = 2.0 * both / (probabilities.sum(axes) + truth_size).clamp(min=1.0)
    is_present = truth_size > 0
    return ((1.0 - coefficient) * is_present).sum() / is_present.sum().clamp(min=1)


def balanced_weights(counts: npt.NDArray[np.int64]) -> list[float]:
    """Weigh each class by the inverse of its share: `total / (classes present * count)`, and 0 if absent.

    >>> balanced_weights(np.array([30, 10, 0]))
    [0.6666666666666666, 2.0, 0.0]
    """
    present = counts > 0
    weights = counts.sum() / (max(1, present.sum()) * np.maximum(counts, 1))
    return [float(weight) for weight in weights * present]
