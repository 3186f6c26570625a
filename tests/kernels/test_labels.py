"""Softmax and labels of scores, also of scores that are resampled on the way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from downup import kernels, taps
from downup.errors import ArgumentError
from downup.kernels import lib, reference
from kernels.arrays import LAYOUTS, empty, laid_out, view

SHAPES = ((1, 1, 1, 1), (2, 3, 5, 7), (1, 16, 4, 33), (2, 21, 3, 18), (1, 150, 5, 2))


@pytest.fixture(params=kernels.available_isas(), autouse=True)
def isa(request):
    before = kernels.active_isa()
    kernels.select_isa(request.param)
    yield request.param
    kernels.select_isa(before)


def scores(seed, shape, coarse=False):
    made = np.random.default_rng(seed).normal(0, 3, shape)
    return (np.round(made) if coarse else made).astype(np.float32)


def softmax(x, layout="channels first", threads=1):
    out = empty(x.shape, layout)
    kernels.check(lib.du_softmax(view(x), view(out), threads))
    return np.ascontiguousarray(out)


def argmax(x, dtype=np.uint8, layout="channels first", threads=1):
    out = empty((x.shape[0], 1, *x.shape[2:]), layout, dtype)
    kernels.check(lib.du_argmax(view(x), view(out), threads))
    return np.ascontiguousarray(out)


def resample_argmax(x, rows, columns, dtype=np.uint8, layout="channels first", threads=1):
    out = empty((x.shape[0], 1, rows.out_size, columns.out_size), layout, dtype)
    kernels.check(lib.du_resample_argmax(view(x), view(out), rows.native, columns.native, threads))
    return np.ascontiguousarray(out)


def resampled(x, rows, columns):
    out = np.empty((*x.shape[:2], rows.out_size, columns.out_size), np.float32)
    kernels.check(lib.du_resample2d(view(x), view(out), rows.native, columns.native, 1))
    return out


@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_agrees_with_the_reference_with_the_same_bits_in_every_layout(shape):
    x = scores(1, shape)
    found = [softmax(laid_out(x, a), b, 2) for a, b in itertools.product(LAYOUTS, LAYOUTS)]
    np.testing.assert_allclose(found[0], reference.softmax(x), rtol=2e-6)
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_softmax_of_large_scores_neither_overflows_nor_loses_the_smallest():
    x = np.array([1e30, 1e30, -1e30, 1e30], np.float32).reshape(1, 4, 1, 1)
    np.testing.assert_allclose(softmax(x).ravel(), [1 / 3, 1 / 3, 0, 1 / 3], rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_are_the_first_of_the_largest_scores_in_every_layout(shape):
    # Whole numbers: many are equal.
    x = scores(2, shape, coarse=True)
    x[np.random.default_rng(3).random(shape) < 0.02] = np.nan
    expected = reference.argmax(x)
    np.testing.assert_array_equal(expected, np.argmax(x, axis=1, keepdims=True))
    for (a, b), dtype in itertools.product(itertools.product(LAYOUTS, LAYOUTS), (np.uint8, np.int64)):
        np.testing.assert_array_equal(argmax(laid_out(x, a), dtype, b, 2), expected)


def tables(seed, size):
    """Tables of any kind that begin with `size` samples."""
    generator = np.random.default_rng(seed)
    new = int(generator.integers(1, 5 * size))
    start = np.concatenate([[0], np.cumsum(generator.integers(0, 4, new))])
    custom = taps.custom_taps(
        size, start, generator.integers(0, size, start[-1]), generator.normal(size=start[-1])
    )
    return (
        taps.sampled_taps(size, new, "linear"),
        taps.sampled_taps(size, new, "nearest"),
        taps.sampled_taps(size, new, "cubic", coordinates="align_corners"),
        taps.adaptive_taps(size, new),
        custom,
    )


@pytest.mark.parametrize("shape", [*SHAPES, (1, 5, 40, 70), (1, 300, 3, 41)])
def test_labels_of_resampled_scores_are_exactly_those_of_the_two_steps(shape):
    for seed, layout in enumerate(LAYOUTS):
        x = scores(seed, shape)
        given = laid_out(x, layout)
        for number, (rows, columns) in enumerate(
            zip(tables(seed, shape[2]), tables(seed + 10, shape[3]), strict=True)
        ):
            dtype = np.int64 if shape[1] > 256 or number % 2 else np.uint8
            expected = argmax(resampled(x, rows, columns), np.int64)
            found = resample_argmax(given, rows, columns, dtype, LAYOUTS[number % 3], 1 + number % 2)
            np.testing.assert_array_equal(found, expected)


def test_labels_of_resampled_scores_agree_with_the_reference():
    x = scores(4, (2, 4, 3, 5))
    rows, columns = taps.sampled_taps(3, 7, "linear"), taps.sampled_taps(5, 11, "linear")
    np.testing.assert_array_equal(
        resample_argmax(x, rows, columns), reference.resample_argmax(x, rows, columns)
    )


def test_a_row_too_long_for_a_line_is_labelled_tap_by_tap():
    x = scores(5, (1, 3, 2, 20_000))
    rows = taps.sampled_taps(2, 3, "linear")
    # The first output reads both ends of the row.
    columns = taps.custom_taps(20_000, [0, 2, 3, 5], [0, 19_999, 7, 10_000, 3], [0.5, 0.25, 1.0, -1.0, 2.0])
    expected = argmax(resampled(x, rows, columns), np.int64)
    for layout in LAYOUTS:
        np.testing.assert_array_equal(resample_argmax(laid_out(x, layout), rows, columns), expected)


def test_wrong_arguments_are_refused_by_name():
    x, many = np.zeros((1, 4, 3, 3), np.float32), np.zeros((1, 257, 3, 3), np.float32)
    out, wide = np.zeros((1, 1, 3, 3), np.uint8), np.zeros((1, 1, 3, 3), np.int64)
    table = taps.sampled_taps(3, 3, "nearest")
    null = kernels.ffi.NULL
    for code, message in (
        (lambda: lib.du_softmax(view(x), view(x), 1), "share memory"),
        (lambda: lib.du_softmax(view(x), view(wide), 1), "out has type 4; use DU_FLOAT32"),
        (lambda: lib.du_argmax(view(x), view(x[:, :1]), 1), "out has type 0; use DU_UINT8 or DU_INT64"),
        (lambda: lib.du_argmax(view(many), view(out), 1), "in has 257 classes"),
        (lambda: lib.du_argmax(view(x), view(wide[:, :, :2]), 1), "out has 2 in its row size; 3 fits"),
        (lambda: lib.du_resample_argmax(view(x), view(out), null, table.native, 1), "rows is NULL"),
        (
            lambda: lib.du_resample_argmax(
                view(x), view(out), table.native, taps.adaptive_taps(3, 4).native, 1
            ),
            "out has 3 in its column size; 4 fits",
        ),
    ):
        with pytest.raises(ArgumentError, match=message):
            kernels.check(code())
