"""Drawing labels: by the values of single pixels."""

from __future__ import annotations

import numpy as np
import pytest

from downup.data.colors import ClassInfo
from downup.errors import ArgumentError
from downup.evaluation import error_map, overlay, with_legend
from downup.evaluation.overlay import UNCOUNTED_COLOR, WRONG_COLOR

RED, BLUE = (200, 0, 0), (0, 0, 200)


def test_colours_are_mixed_inside_and_full_at_borders():
    picture = np.full((1, 6, 3), 100, np.uint8)
    labels = np.array([[0, 0, 0, 1, 1, 1]])
    drawn = overlay(picture, labels, [RED, BLUE], opacity=0.25)
    assert drawn[0].tolist() == [[125, 75, 75], [125, 75, 75], [*RED], [*BLUE], [75, 75, 125], [75, 75, 125]]


@pytest.mark.parametrize(("opacity", "expected"), [(0, [[9, 9, 9]]), (1, [[200, 0, 0]])])
def test_opacity_goes_from_the_picture_alone_to_the_colours_alone(opacity: float, expected: list[list[int]]):
    picture = np.full((1, 1, 1), 9, np.uint8)
    assert overlay(picture, np.zeros((1, 1), int), [RED], opacity).tolist() == [expected]


def test_labels_without_a_class_show_the_picture_and_make_no_border():
    picture = np.full((3, 3), 50, np.uint8)
    labels = np.full((3, 3), 255, np.uint8)
    labels[1] = 0
    drawn = overlay(picture, labels, [RED], opacity=0.5)
    assert drawn[0].tolist() == [[50, 50, 50]] * 3
    assert drawn[1].tolist() == [[125, 25, 25]] * 3


def test_borders_are_wider_on_a_large_picture():
    labels = np.zeros((1, 2500), np.uint8)
    labels[:, 1000:] = 1
    drawn = overlay(np.zeros((1, 2500, 3), np.uint8), labels, [RED, BLUE], opacity=0)
    assert np.nonzero(drawn.any(axis=2)[0])[0].tolist() == [998, 999, 1000, 1001]
    plain = overlay(np.zeros((1, 2500, 3), np.uint8), labels, [RED, BLUE], opacity=0, border=0)
    assert not plain.any()


def test_the_error_map_marks_wrong_and_uncounted_pixels_on_pale_grey():
    picture = np.array([[0, 100, 255, 0]], np.uint8)
    drawn = error_map(picture, np.array([[0, 1, 1, 255]]), np.array([[0, 1, 0, 0]]))
    assert drawn[0, 0].tolist() == [128] * 3
    assert drawn[0, 1].tolist() == [178] * 3
    assert drawn[0, 2].tolist() == list(WRONG_COLOR)
    assert drawn[0, 3].tolist() == [64 + level // 2 for level in UNCOUNTED_COLOR]


def test_a_legend_is_put_below_and_holds_each_colour():
    classes = [ClassInfo("water", BLUE), ClassInfo("land with a long name", RED)]
    picture = np.full((20, 300, 3), 7, np.uint8)
    drawn = with_legend(picture, classes)
    np.testing.assert_array_equal(drawn[:20], picture)
    assert drawn.shape[1:] == (300, 3)
    for color in (RED, BLUE):
        assert (drawn[20:] == color).all(axis=2).sum() > 50
    # In half the width the second entry goes on a line of its own.
    assert with_legend(picture[:, :150], classes).shape[0] > drawn.shape[0]


@pytest.mark.parametrize(
    ("picture", "labels", "opacity", "message"),
    [
        (
            np.zeros((2, 2, 3), np.uint8),
            np.zeros((2, 3), int),
            0.5,
            "labels has shape .2, 3. but the picture is 2 x 2",
        ),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), int), 1.5, "opacity is 1.5"),
        (np.zeros((2, 2, 3)), np.zeros((2, 2), int), 0.5, "dtype float64"),
        (np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2), int), 0.5, r"shape \(2, 2, 4\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(picture, labels, opacity: float, message: str):
    with pytest.raises(ArgumentError, match=message):
        overlay(picture, labels, [RED], opacity)
