"""Scoring a session: totals are those of all pixels together, examples are the telling ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from downup.data.colors import ClassInfo
from downup.errors import ArgumentError, DataError
from downup.evaluation import Scores, boundary_counts, confusion_matrix
from downup.prediction import score_dataset

Make = Callable[..., Any]


class Sample:
    """A picture whose truth differs from what `MaximumSession` says in its first `wrong` pixels."""

    def __init__(self, stem: str, wrong: int, ignored: int = 0, size: tuple[int, int] = (10, 10)) -> None:
        self.stem = stem
        values = np.random.default_rng(wrong).integers(0, 3, size).astype(np.uint8)
        self.picture = values[:, :, None]
        self.mask = values.copy()
        self.mask.flat[:wrong] = (self.mask.flat[:wrong] + 1) % 3
        if ignored:
            self.mask.flat[-ignored:] = 255

    def read_image(self, channels: str) -> np.ndarray[Any, Any]:
        assert channels == "grey"
        return self.picture

    def read_mask(self) -> np.ndarray[Any, Any]:
        return self.mask


def score(session: Any, samples: list[Sample], classes: list[ClassInfo], **options: Any) -> Any:
    return score_dataset(session, samples, classes, "grey", **options)


def test_totals_are_those_of_all_pixels_together(make_session: Make, classes: list[ClassInfo]):
    samples = [Sample("a", 3), Sample("b", 50, ignored=7, size=(9, 20)), Sample("c", 0, size=(1, 1))]
    said: list[tuple[int, int, str]] = []
    result = score(make_session(), samples, classes, progress=lambda *step: said.append(step))
    matrix = sum(confusion_matrix(sample.mask, sample.picture[:, :, 0], 3) for sample in samples)
    counts = [boundary_counts(sample.mask, sample.picture[:, :, 0], 3) for sample in samples]
    assert result.scores == Scores.from_confusion(matrix, counts[0] + counts[1] + counts[2])
    assert [picture.stem for picture in result.pictures] == ["a", "b", "c"]
    assert result.pictures[0].pixel_accuracy == 0.97
    assert said == [(1, 3, "a"), (2, 3, "b"), (3, 3, "c")]


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("keep", [0, 1, 3])
def test_best_and_worst_are_those_of_all_and_none_is_both(
    make_session: Make, classes: list[ClassInfo], count: int, keep: int
):
    wrong = [int(n) for n in np.random.default_rng(count).permutation(count) * 10]
    result = score(make_session(), [Sample(f"{n:02}", n) for n in wrong], classes, keep=keep)
    in_order = [f"{n:02}" for n in sorted(wrong)]
    best, worst = [[example.name for example in side] for side in (result.best, result.worst)]
    assert best == in_order[: len(best)]
    assert worst == in_order[::-1][: len(worst)]
    assert len(best) == min(keep, (count + 1) // 2)
    assert len(worst) == min(keep, count // 2)


def test_a_picture_that_is_ignored_altogether_has_no_score_and_is_not_shown(
    make_session: Make, classes: list[ClassInfo]
):
    result = score(make_session(), [Sample("a", 5), Sample("hidden", 0, ignored=100)], classes)
    assert math.isnan(result.pictures[1].mean_iou)
    assert [example.name for example in (*result.best, *result.worst)] == ["a"]


def test_data_that_does_not_fit_is_named(make_session: Make, classes: list[ClassInfo]):
    other = Sample("odd one", 0)
    other.mask = other.mask[:5]
    with pytest.raises(DataError, match="odd one: the picture is 10 x 10 pixels but its mask 5 x 10"):
        score(make_session(), [other], classes)
    unknown = Sample("strange", 0)
    unknown.mask[3, 3] = 77
    with pytest.raises(DataError, match="strange: truth holds label 77"):
        score(make_session(), [unknown], classes)
    with pytest.raises(ArgumentError, match="samples is empty"):
        score(make_session(), [], classes)
    with pytest.raises(ArgumentError, match="the network knows 4"):
        score(make_session(class_count=4), [other], classes)
