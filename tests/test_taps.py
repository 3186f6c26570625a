"""The tables behind every linear resampling: what each planner makes, and what can be done with it."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downup import taps
from downup.errors import ArgumentError
from downup.kernels import Window
from downup.taps import Taps

sizes = st.integers(1, 40)
filters = st.sampled_from(taps.FILTERS)


@st.composite
def tables(draw: st.DrawFn) -> Taps:
    size = draw(sizes)
    kind = draw(st.sampled_from(["window", "adaptive", "binomial", "sampled"]))
    if kind == "adaptive":
        return taps.adaptive_taps(size, draw(sizes))
    if kind == "binomial":
        edge = draw(st.sampled_from(taps.EDGES))
        return taps.binomial_taps(size, draw(st.integers(1, 9)), draw(st.integers(1, 4)), edge)
    if kind == "sampled":
        antialias, exclude = draw(st.booleans()), draw(st.booleans())
        return taps.sampled_taps(
            size,
            draw(sizes),
            draw(filters),
            coordinates=draw(st.sampled_from(taps.COORDINATES)),
            rounding=draw(st.sampled_from(taps.ROUNDINGS)),
            antialias=antialias,
            exclude_outside=exclude,
        )
    stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    kernel = draw(st.integers(1, 1 + (size - 1) // dilation))
    window = Window((1, kernel), (1, stride), dilation=(1, dilation), ceil_mode=draw(st.booleans()))
    return taps.window_taps(size, window, 1, draw(st.sampled_from(["padded", "inside", -2.5])))


@given(tables())
def test_the_transposed_table_is_the_transposed_matrix(table: Taps) -> None:
    np.testing.assert_allclose(table.transposed.dense(), table.dense().T, rtol=1e-15, atol=0)


@given(tables(), st.data())
def test_one_table_after_another_is_the_product_of_their_matrices(table: Taps, data: st.DataObject) -> None:
    other = taps.sampled_taps(table.out_size, data.draw(sizes), data.draw(filters))
    np.testing.assert_allclose(table.then(other).dense(), other.dense() @ table.dense(), atol=1e-15)


@given(sizes, sizes, filters, st.booleans())
def test_weights_sum_to_one(size: int, new: int, name: taps.Filter, antialias: bool) -> None:
    table = taps.sampled_taps(size, new, name, antialias=antialias, exclude_outside=antialias)
    # Lanczos' own weights sum to one only when they are made to.
    if not name.startswith("lanczos") or antialias:
        np.testing.assert_allclose(table.dense().sum(1), 1, rtol=0, atol=1e-14)


@given(tables())
def test_a_pickled_table_is_the_same_table(table: Taps) -> None:
    np.testing.assert_allclose(pickle.loads(pickle.dumps(table)).dense(), table.dense(), rtol=1e-15, atol=0)


def test_weights_of_zero_are_left_out() -> None:
    table = taps.sampled_taps(4, 4, "cubic")
    assert table.count == 4
    assert np.array_equal(table.dense(), np.eye(4))
    assert taps.sampled_taps(8, 8, "lanczos", antialias=True, exclude_outside=True).count == 8


def test_cubic_and_lanczos_by_their_formulas() -> None:
    # Output sample 1 of 8 lies at 0.25 of 4 samples.
    row = taps.sampled_taps(4, 8, "cubic").dense()[1]
    a = -0.75
    inner = [((a + 2) * x - (a + 3)) * x * x + 1 for x in (0.25, 0.75)]
    outer = [((x - 5) * x + 8) * x * a - 4 * a for x in (1.25, 1.75)]
    np.testing.assert_allclose(row, [inner[0] + outer[0], inner[1], outer[1], 0], atol=1e-15)
    row = taps.sampled_taps(8, 16, "lanczos").dense()[9]
    weights = [np.sinc(x) * np.sinc(x / 3) for x in (k - 4.25 for k in range(2, 8))]
    np.testing.assert_allclose(row, [0, 0, *weights], atol=1e-15)
    row = taps.sampled_taps(12, 24, "lanczos5").dense()[13]
    weights = [np.sinc(x) * np.sinc(x / 5) for x in (k - 6.25 for k in range(2, 12))]
    np.testing.assert_allclose(row, [0, 0, *weights], atol=1e-15)


def test_a_table_says_what_it_is() -> None:
    assert repr(taps.adaptive_taps(6, 3)) == "Taps(6 -> 3, 6 taps)"


def test_wrong_arguments_are_refused_with_the_way_out() -> None:
    with pytest.raises(ArgumentError, match="filter is 'square'; use one of nearest, linear"):
        taps.sampled_taps(3, 3, "square")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="in_size is 0; use in_size >= 1"):
        taps.adaptive_taps(0, 3)
    with pytest.raises(ArgumentError, match="ratio is nan"):
        taps.sampled_taps(3, 3, "linear", ratio=math.nan)
    with pytest.raises(ArgumentError, match="divisor is 0"):
        taps.window_taps(3, Window((1, 2), (1, 2)), 1, 0)
    with pytest.raises(ArgumentError, match="reads sample 3; use 0 to 2"):
        taps.custom_taps(3, [0, 1], [3], [1.0])
    with pytest.raises(ArgumentError, match="go from 0 to 2; use rising numbers from 0 to 1"):
        taps.custom_taps(3, [0, 2], [1], [1.0])
    with pytest.raises(ArgumentError, match="rising numbers"):
        taps.custom_taps(3, [1, 0], [1], [1.0])
    with pytest.raises(ArgumentError, match="use whole numbers"):
        taps.custom_taps(3, [0, 1], [0.7], [1.0])
    with pytest.raises(ArgumentError, match="in_size is"):
        taps.adaptive_taps(3.5, 2)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="have shapes"):
        taps.custom_taps(3, [0, 2], [1, 2], [1.0])
    with pytest.raises(ArgumentError, match="other reads 5 samples but this makes 3"):
        taps.adaptive_taps(6, 3).then(taps.adaptive_taps(5, 2))
    with pytest.raises(ArgumentError, match="need more than"):
        taps.window_taps(2**20, Window((2**20, 1), (1, 1), (2**19, 0), (2**19, 0)), 0, "inside")
