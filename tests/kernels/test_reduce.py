"""Sums, means and maxima along axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from downup import kernels
from downup.errors import ArgumentError
from downup.kernels import lib, reference
from kernels.arrays import LAYOUTS, empty, laid_out, view

OPERATIONS = (lib.DU_SUM, lib.DU_MEAN, lib.DU_LARGEST)


def reduced(x, shape, operation, layout="channels first", threads=1):
    out = empty(shape, layout)
    kernels.check(lib.du_reduce(view(x), view(out), operation, threads))
    return np.ascontiguousarray(out)


def test_a_worked_example():
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 2, 2, 2)
    assert reduced(x, (1, 2, 1, 1), lib.DU_MEAN).ravel().tolist() == [2.5, 6.5]
    assert reduced(x, (1, 1, 2, 2), lib.DU_SUM).ravel().tolist() == [6, 8, 10, 12]
    assert reduced(x, (1, 1, 1, 1), lib.DU_LARGEST).ravel().tolist() == [8]


@pytest.mark.parametrize("isa", kernels.available_isas())
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 5, 3, 7), (1, 70, 9, 4), (3, 33, 1, 2)])
def test_every_choice_of_axes_agrees_with_the_reference_in_every_layout(isa, shape):
    kernels.select_isa(isa)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for operation, flat in itertools.product(OPERATIONS, range(16)):
        small = tuple(1 if flat >> axis & 1 else size for axis, size in enumerate(shape))
        expected = reference.reduce(x, small, operation).astype(np.float32)
        found = [
            reduced(laid_out(x, layout), small, operation, other, threads)
            for layout, other, threads in zip(LAYOUTS, (*LAYOUTS[1:], LAYOUTS[0]), (1, 2, 2), strict=True)
        ]
        np.testing.assert_allclose(found[0], expected, rtol=1e-6, atol=1e-7)
        assert all(np.array_equal(found[0], other) for other in found[1:])
    kernels.select_isa(kernels.available_isas()[0])


def test_nan_is_the_largest_and_spoils_sums_of_its_own_channel_alone():
    x = np.zeros((1, 40, 3, 3), np.float32)
    x[0, 7, 1, 1] = np.nan
    for operation in OPERATIONS:
        found = reduced(laid_out(x, "channels last"), (1, 40, 1, 1), operation).ravel()
        assert np.flatnonzero(np.isnan(found)).tolist() == [7]


def test_wrong_arguments_are_refused_by_name():
    x, out = np.zeros((1, 4, 3, 3), np.float32), np.zeros((1, 4, 2, 3), np.float32)
    one, few = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 4, 1, 1), np.float32)
    for code, message in (
        (lambda: lib.du_reduce(view(x), view(out), 0, 1), "out has 2 in its row size; 3 fits"),
        (lambda: lib.du_reduce(view(x), view(x[:, :, :1]), 0, 1), "out and in share memory"),
        (
            lambda: lib.du_reduce(view(x), view(few), 3, 1),
            "operation is 3; use 0 to 2",
        ),
        (lambda: lib.du_reduce(view(x.astype(np.float64)), view(out), 0, 1), "in has type 1"),
        (
            lambda: lib.du_reduce(view(x[:0]), view(one), 0, 1),
            "out has 1 in its batch|no element",
        ),
    ):
        with pytest.raises(ArgumentError, match=message):
            kernels.check(code())
