"""Windows: by literal numbers, and the laws that make tiled labelling equal to whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from downup.errors import ArgumentError, DataError
from downup.prediction import label_picture, split, windows_of

LAW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIDES = st.integers(1, 60)


def test_windows_of_the_earth_are_of_about_one_size():
    windows = split(2700, 5400, window=1024, halo=200, stride=32)
    # 3 x 6 windows that keep at most 928 x 928 and read at most 1376: 928 + 2 * 200, out to multiples of 32.
    assert len(windows) == 18
    assert max(w.rows.last - w.rows.first for w in windows) == 928
    assert max(w.columns.stop - w.columns.start for w in windows) == 1376
    assert min(w.columns.last - w.columns.first for w in windows) == 5400 - 5 * 928


def test_a_picture_no_larger_than_a_window_with_its_halo_is_whole():
    (window,) = split(120, 110, window=104, halo=8, stride=8)
    assert (window.rows.start, window.rows.stop, window.rows.kept_of_read) == (0, 120, slice(0, 120))
    assert len(split(121, 110, window=104, halo=8, stride=8)) == 2


@LAW
@given(SIDES, SIDES, st.integers(1, 30), st.integers(0, 12), st.integers(1, 9))
def test_each_pixel_is_kept_once_and_read_with_its_halo(
    in_rows: int, in_columns: int, window: int, halo: int, stride: int
):
    kept = np.zeros((in_rows, in_columns), int)
    for part in split(in_rows, in_columns, window=window, halo=halo, stride=stride):
        kept[part.rows.first : part.rows.last, part.columns.first : part.columns.last] += 1
        for span, length in ((part.rows, in_rows), (part.columns, in_columns)):
            assert 0 <= span.start <= max(span.first - halo, 0)
            assert min(span.last + halo, length) <= span.stop <= length
            assert span.start % stride == 0
            # A read ends at a multiple of the stride too, or where the picture ends.
            assert span.stop % stride == 0 or span.stop == length
            # The promise about memory.
            assert span.stop - span.start <= max(window, stride) + 2 * (halo + stride)
    assert (kept == 1).all()


@LAW
@given(
    st.data(),
    st.tuples(SIDES, SIDES),
    st.integers(1, 30),
    st.integers(0, 12),
    st.integers(1, 9),
)
def test_labels_of_windows_equal_those_of_the_whole(
    make_session: Callable[..., Any],
    data: st.DataObject,
    size: tuple[int, int],
    window: int,
    halo: int,
    stride: int,
):
    session = make_session(halo=halo, stride=stride, class_count=data.draw(st.integers(1, 255)))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    picture = random.integers(0, 256, (*size, 2)).astype(np.uint8)
    np.testing.assert_array_equal(label_picture(session, picture, window), session.labels(picture))


def test_a_halo_one_too_small_shows(make_session: Callable[..., Any]):
    # The law above can fail: here the session sees further than it says.
    picture = np.zeros((1, 64, 1), np.uint8)
    picture[0, 40] = 1
    session = make_session(halo=5)
    whole = session.labels(picture)
    is_equal = []
    for window in range(1, 64):
        honest = make_session(halo=5)
        honest.labels, honest.halo = session.labels, 4
        is_equal.append(bool((label_picture(honest, picture, window) == whole).all()))
    assert not all(is_equal)


@pytest.mark.parametrize("name", ["in_rows", "in_columns", "window", "stride"])
def test_arguments_below_one_are_refused(name: str):
    arguments = {"in_rows": 5, "in_columns": 5, "window": 5, "halo": 0, "stride": 1, name: 0}
    with pytest.raises(ArgumentError, match=f"{name} is 0; use {name} >= 1"):
        split(**arguments)


def test_a_negative_halo_is_refused():
    with pytest.raises(ArgumentError, match="halo is -1"):
        split(5, 5, window=5, halo=-1, stride=1)


def test_pictures_of_no_multiple_are_whole_or_refused(make_session: Callable[..., Any]):
    session = make_session(halo=1, stride=4)
    session.multiple = 4
    assert len(windows_of(session, 40, 20, 8)) > 1
    # An axis that is not cut may have any length.
    assert len(windows_of(session, 40, 7, 8)) > 1
    assert len(windows_of(session, 41, 7, 41)) == 1
    with pytest.raises(
        DataError,
        match=r"the picture has 41 rows, but windows .* exact only .* multiple of 4; use a window of 41",
    ):
        windows_of(session, 41, 7, 8)


def test_a_whole_picture_needs_no_halo():
    class Unknowing:
        @property
        def halo(self) -> int:
            raise DataError("labels depend on the whole picture")

        stride = halo

    assert len(windows_of(Unknowing(), 30, 20, 30)) == 1  # type: ignore[arg-type]
    with pytest.raises(DataError, match="labels depend on the whole picture"):
        windows_of(Unknowing(), 30, 20, 29)  # type: ignore[arg-type]
