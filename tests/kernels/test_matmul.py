"""Products of matrices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from downup import kernels
from downup.errors import ArgumentError
from downup.kernels import lib, reference
from kernels.arrays import LAYOUTS, empty, laid_out, view

SIZES = ((1, 1, 1, 1, 1), (2, 3, 5, 7, 4), (1, 2, 6, 3, 33), (2, 1, 13, 40, 65), (1, 1, 1, 64, 31))


def product(left, right, layout="channels first", threads=1):
    shape = (
        max(left.shape[0], right.shape[0]),
        max(left.shape[1], right.shape[1]),
        left.shape[2],
        right.shape[3],
    )
    out = empty(shape, layout)
    kernels.check(lib.du_matmul(view(left), view(right), view(out), threads))
    return np.ascontiguousarray(out)


def test_a_worked_example():
    left = np.array([[1, 2], [3, 4]], np.float32).reshape(1, 1, 2, 2)
    assert product(left, left).reshape(2, 2).tolist() == [[7, 10], [15, 22]]


@pytest.mark.parametrize("isa", kernels.available_isas())
@pytest.mark.parametrize("sizes", SIZES)
def test_it_agrees_with_the_reference_in_every_layout_with_the_same_bits(isa, sizes):
    kernels.select_isa(isa)
    batch, groups, rows, inner, columns = sizes
    generator = np.random.default_rng(2)
    for shared in itertools.product((False, True), repeat=2):
        left = generator.standard_normal((batch, groups, rows, inner)).astype(np.float32)
        right = generator.standard_normal(
            (1 if shared[0] else batch, 1 if shared[1] else groups, inner, columns)
        ).astype(np.float32)
        found = [
            product(laid_out(left, a), laid_out(right, b), c, threads)
            for (a, b, c), threads in zip(itertools.permutations(LAYOUTS), (1, 2, 1, 2, 1, 2), strict=True)
        ]
        bound = 1e-6 * np.abs(left).astype(np.float64) @ np.abs(right)
        assert (np.abs(found[0] - reference.matmul(left, right)) <= bound + 1e-30).all()
        assert all(np.array_equal(found[0], other) for other in found[1:])
    kernels.select_isa(kernels.available_isas()[0])


def test_a_row_has_the_same_bits_among_any_others():
    generator = np.random.default_rng(3)
    left = generator.standard_normal((1, 1, 50, 90)).astype(np.float32)
    right = generator.standard_normal((1, 1, 90, 70)).astype(np.float32)
    whole = product(left, right)
    for first, last in ((0, 1), (7, 12), (44, 50)):
        np.testing.assert_array_equal(product(left[:, :, first:last], right), whole[:, :, first:last])
    np.testing.assert_array_equal(product(left, right[..., 11:40]), whole[..., 11:40])


@pytest.mark.parametrize("isa", kernels.available_isas())
def test_long_sums_round_little(isa):
    kernels.select_isa(isa)
    generator = np.random.default_rng(4)
    left = generator.standard_normal((1, 1, 7, 4096)).astype(np.float32)
    right = generator.standard_normal((1, 1, 4096, 33)).astype(np.float32)
    expected = left.astype(np.float64) @ right
    assert np.linalg.norm(product(left, right) - expected) < 3e-7 * np.linalg.norm(expected)
    kernels.select_isa(kernels.available_isas()[0])


def test_wrong_arguments_are_refused_by_name():
    left, right = np.zeros((1, 1, 3, 4), np.float32), np.zeros((1, 1, 5, 2), np.float32)
    out = np.zeros((1, 1, 3, 2), np.float32)
    for code, message in (
        (lambda: lib.du_matmul(view(left), view(right), view(out), 1), "right has 5 in its row size; 4 fits"),
        (lambda: lib.du_matmul(view(left), view(right[:, :, :4]), view(left), 1), "share memory"),
        (lambda: lib.du_matmul(view(left.astype(np.float64)), view(right), view(out), 1), "left has type 1"),
    ):
        with pytest.raises(ArgumentError, match=message):
            kernels.check(code())


@pytest.mark.parametrize("isa", kernels.available_isas())
def test_multiply_adds_are_counted_for_each_thread(isa):
    kernels.select_isa(isa)
    one = lib.du_multiply_adds(1600, 1)
    assert one > 1600
    assert lib.du_multiply_adds(3200, 3) == 6 * one
    kernels.select_isa(kernels.available_isas()[0])


@pytest.mark.parametrize("rounds", [0, -1, 2**32 + 1])
def test_rounds_out_of_range_are_refused(rounds):
    assert lib.du_multiply_adds(rounds, 1) == -1
    with pytest.raises(ArgumentError, match=f"rounds is {rounds}; use 1 to 4294967296 on each of 1 threads"):
        kernels.check(lib.du_last_code())


@pytest.mark.parametrize(
    ("rounds", "threads", "message"),
    [
        (2**31 + 1, 2, "rounds is 2147483649; use 1 to 2147483648 on each of 2 threads"),
        (1, 2**16 + 1, "threads is 65537; use 1 to 65536"),
        (1, 2**63 - 1, "threads is 9223372036854775807; use 1 to 65536"),
    ],
)
def test_rounds_of_all_threads_together_that_nobody_could_wait_for_are_refused(rounds, threads, message):
    assert lib.du_multiply_adds(rounds, threads) == -1
    with pytest.raises(ArgumentError, match=message):
        kernels.check(lib.du_last_code())
