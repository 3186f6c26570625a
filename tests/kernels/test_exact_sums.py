"""Sums without rounding: of any parts, in any order, the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from downup import kernels
from downup.errors import ArgumentError
from downup.kernels import lib, reference
from kernels.arrays import LAYOUTS, empty, laid_out, view


def sums_of(x, threads=1):
    sums = np.full((*x.shape[:2], 1, lib.DU_EXACT_WORDS), 99, np.int64)
    kernels.check(lib.du_sum_exactly(view(x), view(sums), threads))
    return sums


def means_of(sums, count, layout="channels first"):
    out = empty((*sums.shape[:2], 1, 1), layout)
    kernels.check(lib.du_mean_exactly(view(sums), view(out), count, 1))
    return np.ascontiguousarray(out)


def awkward(random, shape):
    """Numbers of all sizes, many of them zeros, and some that cancel one another."""
    x = random.standard_normal(shape) * 2.0 ** random.integers(-149, 100, shape)
    x *= random.random(shape) < 0.7
    x[..., ::3] = -x[..., :1]
    return x.astype(np.float32)


def test_a_worked_example_that_doubles_cannot_sum():
    x = np.array([1e30, 1, -1e30, 2.0**-149], np.float32).reshape(1, 1, 2, 2)
    assert means_of(sums_of(x), 1).item() == 1
    x[0, 0, 0, 1] = 0
    assert means_of(sums_of(x), 1).item() == np.float32(2.0**-149)
    assert means_of(sums_of(-x), 1).item() == -np.float32(2.0**-149)
    assert means_of(sums_of(np.ones((1, 1, 3, 5), np.float32)), 15).item() == 1


@pytest.mark.parametrize("isa", kernels.available_isas())
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (2, 5, 3, 7), (1, 70, 9, 4), (1, 33, 70, 65), (3, 8, 1, 200)]
)
def test_sums_are_exact_in_every_layout_and_whatever_the_parts(isa, shape):
    kernels.select_isa(isa)
    random = np.random.default_rng(sum(shape))
    plain = random.standard_normal(shape).astype(np.float32)
    for x in (plain, awkward(random, shape)):
        count = shape[2] * shape[3]
        expected = reference.mean_exactly(x, count)
        found = [
            sums_of(laid_out(x, layout), threads) for layout, threads in zip(LAYOUTS, (1, 2, 2), strict=True)
        ]
        for layout, sums in zip(LAYOUTS, found, strict=True):
            np.testing.assert_array_equal(means_of(sums, count, layout), expected)
        row, column = int(random.integers(shape[2])), int(random.integers(shape[3]))
        parts = [x[:, :, :row], x[:, :, row:, :column], x[:, :, row:, column:]]
        parted = sum(sums_of(part) for part in parts if part.size)
        np.testing.assert_array_equal(means_of(parted, count), expected)
    kernels.select_isa(kernels.available_isas()[0])


def test_infinities_and_nan_are_what_a_sum_of_them_is():
    x = np.zeros((1, 40, 3, 3), np.float32)
    x[0, :4, 0, 0] = np.inf, -np.inf, np.nan, np.inf
    x[0, 3, 2, 2] = -np.inf
    found = means_of(sums_of(laid_out(x, "channels last")) + sums_of(x), 9).ravel()
    np.testing.assert_array_equal(found[:5], [np.inf, -np.inf, np.nan, np.nan, 0])


def test_the_largest_numbers_overflow_in_the_sum_alone():
    x = np.full((1, 1, 40, 40), np.finfo(np.float32).max, np.float32)
    assert means_of(sums_of(x), 1600).item() == np.finfo(np.float32).max
    assert means_of(sums_of(x), 1).item() == np.inf


def test_sums_of_more_numbers_than_anybody_has_are_rounded_once_and_do_not_wrap_around():
    sums = np.zeros((1, 3, 1, lib.DU_EXACT_WORDS), np.int64)
    # Half of the last place of a float32, and a little more that lies in the word below.
    sums[0, 0, 0, 8:10] = 2**31, 2**45 + 2**21
    sums[0, 1, 0, 8:10] = -(2**31), -(2**45) - 2**21
    # The last word has no room for what the one before it carries.
    sums[0, 2, 0, 8:10] = 2**63 - 1
    found = means_of(sums, 2**62).ravel()
    nearest = np.float32((2**23 + 1) * 2.0 ** (22 + 288 - 149 - 62))
    np.testing.assert_array_equal(found, [nearest, -nearest, np.inf])


def test_what_does_not_fit_is_refused():
    x, sums = np.ones((1, 2, 3, 3), np.float32), np.zeros((1, 2, 1, 12), np.int64)
    out = np.ones((1, 2, 1, 1), np.float32)
    for call, words in [
        (lambda: lib.du_sum_exactly(view(x.astype(np.float64)), view(sums), 1), "in has type 1"),
        (
            lambda: lib.du_sum_exactly(view(x), view(sums[..., :11]), 1),
            "sums has 11 in its column size; 12 fits",
        ),
        (lambda: lib.du_sum_exactly(view(x), view(x), 1), "sums has type 0"),
        (lambda: lib.du_mean_exactly(view(sums), view(out), 0, 1), "count is 0"),
        (lambda: lib.du_mean_exactly(view(sums), view(x), 1, 1), "out has 3 in its row size; 1 fits"),
    ]:
        with pytest.raises(ArgumentError, match=words):
            kernels.check(call())
