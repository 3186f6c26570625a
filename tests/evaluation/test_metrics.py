"""Scores: by literal numbers, and against scikit-learn."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from downup.errors import ArgumentError
from downup.evaluation import BoundaryCounts, Scores, confusion_matrix

TRUTH = np.array([[0, 0, 0, 1], [0, 1, 1, 255]], np.uint8)
PREDICTION = np.array([[0, 0, 1, 1], [0, 1, 2, 0]], np.uint8)


def test_confusion_matrix_has_the_truth_in_rows_and_leaves_out_ignored_pixels():
    assert confusion_matrix(TRUTH, PREDICTION, 3).tolist() == [[3, 1, 0], [0, 2, 1], [0, 0, 0]]


def test_scores_of_a_small_picture_by_hand():
    scores = Scores.from_confusion(confusion_matrix(TRUTH, PREDICTION, 4))
    # Class 2 is predicted once and never true: IoU 0. Class 3 is nowhere: nan, and no part of the mean.
    assert scores.iou[:3] == (3 / 4, 2 / 4, 0.0)
    assert scores.dice[:3] == (6 / 7, 4 / 6, 0.0)
    assert math.isnan(scores.iou[3])
    assert scores.absent == (3,)
    assert scores.mean_iou == pytest.approx((3 / 4 + 2 / 4) / 3)
    assert scores.pixel_accuracy == 5 / 7
    assert scores.pixels == 7


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (211, 1301)])
@pytest.mark.parametrize("classes", [2, 19, 255])
def test_scores_equal_those_of_scikit_learn(size: tuple[int, int], classes: int):
    random = np.random.default_rng(classes)
    truth = random.integers(0, classes, size).astype(np.uint8)
    # Half of the pixels right, so that no score is trivial; one class that may be in the prediction alone.
    prediction = np.where(random.random(size) < 0.5, truth, random.integers(0, classes, size)).astype(
        np.uint8
    )
    if classes > 2:
        truth[truth == 1] = 0
    if truth.size > 10 and classes < 255:
        truth.flat[:: max(2, truth.size // 9)] = 255
    counted = truth != 255
    true_pixels, predicted_pixels = truth[counted], prediction[counted]
    labels = list(range(classes))

    matrix = confusion_matrix(truth, prediction, classes)
    scores = Scores.from_confusion(matrix)

    np.testing.assert_array_equal(
        matrix, sklearn_metrics.confusion_matrix(true_pixels, predicted_pixels, labels=labels)
    )
    present = [k for k in labels if k not in scores.absent]
    options = {"labels": present, "average": None, "zero_division": 0}
    jaccard = sklearn_metrics.jaccard_score(true_pixels, predicted_pixels, **options)
    f1 = sklearn_metrics.f1_score(true_pixels, predicted_pixels, **options)
    np.testing.assert_allclose([scores.iou[k] for k in present], jaccard, rtol=1e-12)
    np.testing.assert_allclose([scores.dice[k] for k in present], f1, rtol=1e-12)
    assert scores.mean_iou == pytest.approx(jaccard.mean(), rel=1e-12)
    assert scores.mean_dice == pytest.approx(f1.mean(), rel=1e-12)
    assert scores.pixel_accuracy == pytest.approx(
        sklearn_metrics.accuracy_score(true_pixels, predicted_pixels), rel=1e-12
    )


def test_a_single_class_is_always_right():
    scores = Scores.from_confusion(confusion_matrix(np.zeros((2, 3), int), np.zeros((2, 3), int), 1))
    assert scores.confusion == ((6,),)
    assert (scores.mean_iou, scores.mean_dice, scores.pixel_accuracy) == (1.0, 1.0, 1.0)


def test_large_maps_are_counted_in_chunks_without_a_gap(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(0)
    truth, prediction = random.integers(0, 5, (2, 31, 37)).astype(np.uint8)
    whole = confusion_matrix(truth, prediction, 5)
    for pixels in (1, 10, 31 * 37 - 1, 31 * 37):
        monkeypatch.setattr("downup.evaluation.metrics._CHUNK_PIXELS", pixels)
        np.testing.assert_array_equal(confusion_matrix(truth, prediction, 5), whole)


def test_wider_integers_views_and_booleans_are_counted_alike():
    expected = confusion_matrix(TRUTH, PREDICTION, 3)
    np.testing.assert_array_equal(
        confusion_matrix(TRUTH.astype(np.int64), PREDICTION.astype(np.int16), 3), expected
    )
    np.testing.assert_array_equal(confusion_matrix(TRUTH.T[::-1], PREDICTION.T[::-1], 3), expected)
    assert confusion_matrix(np.array([True, False]), np.array([True, True]), 2).tolist() == [[0, 1], [0, 1]]


def test_another_label_can_be_ignored():
    assert confusion_matrix(np.array([0, 1, 2]), np.array([1, 1, 1]), 3, ignore=0).tolist() == [
        [0, 0, 0],
        [0, 1, 0],
        [0, 1, 0],
    ]


@pytest.mark.parametrize(
    ("truth", "prediction", "classes", "message"),
    [
        ([0, 1], [0, 1, 1], 2, r"truth has shape \(2,\) but prediction has shape \(3,\)"),
        ([0, 3], [0, 1], 2, "truth holds label 3 .1 pixels.; with 2 classes use 0 to 1, or 255 for ignored"),
        ([0, 1], [0, 255], 2, "prediction holds label 255"),
        ([0, -1], [0, 1], 2, "truth holds -1"),
        ([0, 1], [0, 256], 2, "prediction holds 256"),
        ([0.0, 1.0], [0, 1], 2, "truth has dtype float64"),
        ([0, 1], [0, 1], 0, "classes is 0"),
        ([0, 1], [0, 1], 256, "classes is 256"),
    ],
)
def test_what_cannot_be_counted_is_refused(truth, prediction, classes: int, message: str):
    with pytest.raises(ArgumentError, match=message):
        confusion_matrix(np.array(truth), np.array(prediction), classes)


def test_a_matrix_that_is_none_is_refused():
    with pytest.raises(ArgumentError, match=r"matrix has shape \(2, 3\)"):
        Scores.from_confusion(np.zeros((2, 3)))
    with pytest.raises(ArgumentError, match="boundary counts 3 classes"):
        Scores.from_confusion(np.zeros((2, 2)), BoundaryCounts.zero(3))


def test_scores_without_any_pixel_are_nan_and_become_null():
    scores = Scores.from_confusion(np.zeros((2, 2), np.int64))
    assert math.isnan(scores.mean_iou)
    assert math.isnan(scores.pixel_accuracy)
    text = json.dumps(scores.to_dict(), allow_nan=False)
    assert json.loads(text) == {
        "mean_iou": None,
        "pixel_accuracy": None,
        "mean_dice": None,
        "mean_boundary_f": None,
        "pixels": 0,
        "iou": [None, None],
        "dice": [None, None],
        "boundary_f": [None, None],
        "absent": [0, 1],
        "confusion": [[0, 0], [0, 0]],
    }
