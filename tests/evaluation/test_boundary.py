"""The boundary F-score: by literal numbers, against an obvious count, against a distance transform."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from downup.errors import ArgumentError
from downup.evaluation import BoundaryCounts, Scores, boundary_counts

Labels = NDArray[np.uint8]


def slow_counts(truth: Labels, prediction: Labels, classes: int, tolerance: float) -> BoundaryCounts:
    """The definition, pixel by pixel."""
    rows, columns = truth.shape
    pixels = [(y, x) for y in range(rows) for x in range(columns)]
    ignored = {at for at in pixels if truth[at] == 255}

    def boundary(labels: Labels) -> dict[tuple[int, int], int]:
        found = {}
        for y, x in pixels:
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            around = [at for at in around if 0 <= at[0] < rows and 0 <= at[1] < columns and at not in ignored]
            if (y, x) not in ignored and any(labels[at] != labels[y, x] for at in around):
                found[y, x] = int(labels[y, x])
        return found

    def is_close(one: tuple[int, int], other: tuple[int, int]) -> bool:
        return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 <= tolerance**2

    counts = np.zeros((4, classes), int)
    sides = boundary(truth), boundary(prediction)
    for side in (0, 1):
        for at, k in sides[side].items():
            if any(is_close(at, hidden) for hidden in ignored):
                continue
            counts[2 * side, k] += 1
            counts[2 * side + 1, k] += any(
                label == k and is_close(at, other) for other, label in sides[1 - side].items()
            )
    return BoundaryCounts(*(tuple(row) for row in counts.tolist()))


def test_a_border_one_pixel_off_counts_by_hand():
    #  truth       prediction
    #  0 0 1 1     0 1 1 1
    #  0 0 1 1     0 1 1 1
    truth = np.array([[0, 0, 1, 1]] * 2)
    prediction = np.array([[0, 1, 1, 1]] * 2)
    exact = boundary_counts(truth, prediction, 2, tolerance=0)
    # Boundary of class 0: column 1 in the truth, column 0 in the prediction; of class 1: columns 2 and 1.
    assert exact == BoundaryCounts((2, 2), (0, 0), (2, 2), (0, 0))
    assert exact.f_scores == (0.0, 0.0)
    assert boundary_counts(truth, prediction, 2, tolerance=1).f_scores == (1.0, 1.0)


def test_precision_and_recall_are_weighed_by_hand():
    truth = np.zeros((1, 12), np.uint8)
    truth[0, 2:4] = 1
    prediction = truth.copy()
    prediction[0, 8:10] = 1
    counts = boundary_counts(truth, prediction, 2, tolerance=1)
    # Class 1: both true pixels found, two of four predicted ones right: P 1/2, R 1, F 2/3.
    assert counts.truth == (2, 2)
    assert counts.truth_matched == (2, 2)
    assert counts.prediction == (4, 4)
    assert counts.prediction_matched == (2, 2)
    assert counts.f_scores == pytest.approx((2 / 3, 2 / 3))


def test_a_class_without_boundary_has_no_score_and_one_on_one_side_has_zero():
    truth = np.array([[0, 0, 0, 0]])
    prediction = np.array([[0, 1, 1, 1]])
    f_scores = boundary_counts(truth, prediction, 3, tolerance=1).f_scores
    assert f_scores[:2] == (0.0, 0.0)
    assert math.isnan(f_scores[2])


def test_the_edge_of_an_ignored_region_is_no_boundary_and_hides_what_is_near():
    truth = np.array([[0, 0, 0, 0, 0, 1, 1, 1, 255, 255]])
    same = np.array([[0, 0, 0, 0, 0, 1, 1, 1, 0, 0]])
    # The prediction's change at the ignored pixels is not counted, the change at column 5 is.
    assert boundary_counts(truth, same, 2, tolerance=1) == BoundaryCounts((1, 1), (1, 1), (1, 1), (1, 1))
    # With tolerance 3, column 5 is 3 from column 8: its partner could be hidden. Column 4 is still counted.
    assert boundary_counts(truth, same, 2, tolerance=3) == BoundaryCounts((1, 0), (1, 0), (1, 0), (1, 0))


def test_the_default_tolerance_is_three_quarters_of_a_percent_of_the_diagonal_rounded_up():
    truth = np.zeros((300, 400), np.uint8)  # diagonal 500, so 3.75 pixels, so 4
    truth[:, 200:] = 1
    for shift, score in ((4, 1.0), (5, 0.0)):
        prediction = np.zeros_like(truth)
        prediction[:, 200 + shift :] = 1
        assert boundary_counts(truth, prediction, 2).f_scores == (score, score)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_counts_equal_the_slow_ones(data: st.DataObject):
    size = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    labels = st.integers(0, 2)
    pixels = st.lists(
        st.one_of(labels, labels, st.just(255)), min_size=size[0] * size[1], max_size=size[0] * size[1]
    )
    truth = np.array(data.draw(pixels), np.uint8).reshape(size)
    prediction = np.array(data.draw(pixels), np.uint8).reshape(size)
    prediction[prediction == 255] = 0
    tolerance = data.draw(st.sampled_from([0.0, 0.9, 1.0, 1.5, 2.0, math.sqrt(5), 3.0, 20.0]))
    assert boundary_counts(truth, prediction, 3, tolerance) == slow_counts(truth, prediction, 3, tolerance)


@pytest.mark.parametrize(("size", "tolerance"), [((97, 131), 1.0), ((97, 131), 5.0), ((64, 257), 2.9)])
def test_matches_equal_those_of_a_distance_transform(size: tuple[int, int], tolerance: float):
    random = np.random.default_rng(3)
    truth, prediction = (
        np.digitize(gaussian_filter(random.normal(size=size), 4), [-0.05, 0.05]).astype(np.uint8)
        for _ in range(2)
    )
    counts = boundary_counts(truth, prediction, 3, tolerance)
    for k in range(3):
        sides = [_inner_boundary(labels == k) for labels in (truth, prediction)]
        assert (counts.truth[k], counts.prediction[k]) == (sides[0].sum(), sides[1].sum())
        near_prediction = distance_transform_edt(~sides[1]) <= tolerance
        near_truth = distance_transform_edt(~sides[0]) <= tolerance
        assert counts.truth_matched[k] == (sides[0] & near_prediction).sum()
        assert counts.prediction_matched[k] == (sides[1] & near_truth).sum()


def _inner_boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1, mode="edge")
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def test_counts_of_pictures_add_up():
    one, other = BoundaryCounts((4,), (2,), (5,), (5,)), BoundaryCounts((4,), (4,), (5,), (0,))
    total = BoundaryCounts.zero(1) + one + other
    assert total == BoundaryCounts((8,), (6,), (10,), (5,))
    assert total.f_scores == pytest.approx((2 * 0.5 * 0.75 / 1.25,))
    scores = Scores.from_confusion(np.array([[1]]), total)
    assert scores.mean_boundary_f == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("truth", "options", "message"),
    [
        (np.zeros((2, 2, 1), int), {}, "give one picture as"),
        (np.zeros((2, 2), int), {"tolerance": -1.0}, "tolerance is -1.0"),
        (np.zeros((2, 2), int), {"tolerance": math.nan}, "tolerance is nan"),
        (np.array([[0, 7]]), {}, "a label is 7; with 2 classes use 0 to 1"),
    ],
)
def test_what_has_no_boundary_is_refused(truth: Labels, options: dict[str, float], message: str):
    with pytest.raises(ArgumentError, match=message):
        boundary_counts(truth, truth, 2, **options)


def test_counts_of_different_classes_are_not_added():
    with pytest.raises(ArgumentError, match="of 1 and of 2 classes"):
        BoundaryCounts.zero(1) + BoundaryCounts.zero(2)
