"""Scores a session on pictures whose labels are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from downup.data.colors import ClassInfo
from downup.errors import ArgumentError, DataError
from downup.evaluation import BoundaryCounts, Example, Scores, boundary_counts, confusion_matrix
from downup.prediction.labelling import Progress
from downup.prediction.loop import check_classes, label_picture
from downup.prediction.session import Session


class LabelledPicture(Protocol):
    """A picture and its mask, read when they are asked for."""

    @property
    def stem(self) -> str:
        """The name without folder and suffix."""
        ...

    def read_image(self, channels: Literal["rgb", "grey"]) -> NDArray[np.uint8]:
        """The picture, uint8 [rows, columns, 3 or 1]."""
        ...

    def read_mask(self) -> NDArray[np.uint8]:
        """The truth, uint8 [rows, columns]; 255 is ignored."""
        ...


@dataclass(frozen=True)
class PictureScore:
    """How well one picture is labelled; nan where none of its pixels counts.

    Attributes:
        stem: the name of the picture.
        mean_iou: mean IoU over the classes in its truth or prediction.
        pixel_accuracy: share of its counted pixels that are right.
    """

    stem: str
    mean_iou: float
    pixel_accuracy: float


@dataclass(frozen=True)
class DatasetScores:
    """The scores of many pictures.

    Attributes:
        scores: over the pixels of all pictures together.
        pictures: of each picture, in their order.
        best: the pictures with the highest mean IoU, the highest first.
        worst: those with the lowest, the lowest first; none is in both.
    """

    scores: Scores
    pictures: tuple[PictureScore, ...]
    best: tuple[Example, ...]
    worst: tuple[Example, ...]


def score_dataset(
    session: Session,
    samples: Sequence[LabelledPicture],
    classes: Sequence[ClassInfo],
    channels: Literal["rgb", "grey"],
    *,
    keep: int = 3,
    window: int | None = None,
    progress: Progress | None = None,
) -> DatasetScores:
    """Label pictures and compare the labels with the truth.

    Args:
        session: what labels a picture.
        samples: at least one picture with its mask.
        classes: name and colour of each class, as many as `session` knows.
        channels: what the session wants to see.
        keep: so many of the best and of the worst pictures are kept in memory, to be shown.
        window: as in `label_picture`.
        progress: called after each picture with (pictures done, pictures, its stem).

    Raises:
        ArgumentError: there are no samples, or the classes are not those of the session.
        DataError: a picture or mask cannot be read, they differ in size, or the mask holds an unknown label.
    """
    check_classes(session, classes)
    if not samples:
        raise ArgumentError("samples is empty; give at least one picture with its mask")
    if keep < 0:
        raise ArgumentError(f"keep is {keep}; use keep >= 0")
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    boundary = BoundaryCounts.zero(len(classes))
    pictures: list[PictureScore] = []
    ranked: list[Example] = []
    for number, sample in enumerate(samples, start=1):
        picture, truth = sample.read_image(channels), sample.read_mask()
        if picture.shape[:2] != truth.shape:
            raise DataError(
                f"{sample.stem}: the picture is {picture.shape[0]} x {picture.shape[1]} pixels but its mask "
                f"{' x '.join(str(side) for side in truth.shape)}; run downup check on the data"
            )
        labels = label_picture(session, picture, window)
        try:
            own = confusion_matrix(truth, labels, len(classes))
        except ArgumentError as error:
            raise DataError(f"{sample.stem}: {error}; run downup check on the data") from error
        confusion += own
        boundary += boundary_counts(truth, labels, len(classes))
        scores = Scores.from_confusion(own)
        pictures.append(PictureScore(sample.stem, scores.mean_iou, scores.pixel_accuracy))
        if not math.isnan(scores.mean_iou):
            ranked = _ranked([*ranked, Example(sample.stem, picture, truth, labels, scores.mean_iou)], keep)
        if progress is not None:
            progress(number, len(samples), sample.stem)
    best = min(keep, -(-len(ranked) // 2))
    worst = min(keep, len(ranked) - best)
    return DatasetScores(
        Scores.from_confusion(confusion, boundary),
        tuple(pictures),
        tuple(ranked[:best]),
        tuple(ranked[len(ranked) - worst :][::-1]),
    )


def _ranked(examples: list[Example], keep: int) -> list[Example]:
    """The examples from best to worst, without those that are in the middle whatever comes next."""
    examples = sorted(examples, key=lambda example: example.mean_iou, reverse=True)
    return examples if len(examples) <= 2 * keep else examples[:keep] + examples[len(examples) - keep :]
