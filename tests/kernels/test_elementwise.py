"""Activations, operations of two arrays, and affine maps: against the reference, in every layout and instruction set."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from downup import kernels
from downup.errors import ArgumentError
from downup.kernels import lib, reference
from kernels.arrays import LAYOUTS, activation, empty, laid_out, pointer, view

NAMES = "identity relu leaky_relu prelu clip sigmoid silu hard_sigmoid hard_swish gelu gelu_tanh elu tanh exp erf sqrt abs"
KINDS = {name: getattr(lib, f"DU_{name.upper()}") for name in NAMES.split(" ")}
OPERATIONS = {
    name: getattr(lib, f"DU_{name.upper()}")
    for name in ("add", "subtract", "multiply", "divide", "minimum", "maximum")
}
SHAPES = ((1, 1, 1, 1), (2, 3, 5, 7), (1, 17, 3, 2), (2, 64, 4, 33))


@pytest.fixture(params=kernels.available_isas(), autouse=True)
def isa(request):
    before = kernels.active_isa()
    kernels.select_isa(request.param)
    yield request.param
    kernels.select_isa(before)


def numbers(seed, shape):
    return np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)


def activate(x, given, layout="channels first", threads=1):
    out = empty(x.shape, layout)
    kernels.check(lib.du_activate(view(x), view(out), given, threads))
    return out


def test_a_worked_example():
    x = np.array([-4.0, -1.0, 0.0, 2.0], np.float32).reshape(1, 1, 1, 4)
    for kind, alpha, beta, expected in (
        ("relu", 0, 0, [0, 0, 0, 2]),
        ("leaky_relu", 0.25, 0, [-1, -0.25, 0, 2]),
        ("clip", -2, 1, [-2, -1, 0, 1]),
        ("hard_sigmoid", 0.25, 0.5, [0, 0.25, 0.5, 1]),
        ("hard_swish", 0, 0, [0, -1 / 3, 0, 5 / 3]),
        ("abs", 0, 0, [4, 1, 0, 2]),
    ):
        found = activate(x, activation(KINDS[kind], alpha, beta)).ravel()
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_activations_agree_with_the_reference(kind, layout):
    for seed, shape in enumerate(SHAPES):
        x, slopes = numbers(seed, shape), numbers(99, shape[1])
        given = activation(KINDS[kind], 0.3, 0.7, slopes)
        found = activate(laid_out(x, layout), given, LAYOUTS[seed % 3], 1 + seed % 2)
        expected = reference.activate(x, KINDS[kind], 0.3, 0.7, slopes)
        np.testing.assert_allclose(found, expected, rtol=3e-6, atol=4e-7)


# Largest error in units in the last place of the answer, on the range where the answer is a normal float; the two that are
# sums of numbers near one have an absolute one.
ULPS = {"exp": 1.3, "sigmoid": 2.5, "tanh": 3.0, "silu": 3.0}
ABSOLUTE = {"erf": 1.4e-7, "gelu": 5e-7, "gelu_tanh": 6e-7, "elu": 1.3e-7}


@pytest.mark.parametrize("kind", [*ULPS, *ABSOLUTE])
def test_the_stated_error_holds(kind, is_long):
    count = 4_000_001 if is_long else 60_001
    bound = 86 if kind in ULPS else 12
    x = np.linspace(-bound, bound, count, dtype=np.float32).reshape(1, 1, 1, -1)
    found = activate(x, activation(KINDS[kind], 1.0)).astype(np.float64).ravel()
    from scipy import special

    t = x.astype(np.float64).ravel()
    expected = {
        "exp": lambda: np.exp(t),
        "sigmoid": lambda: special.expit(t),
        "tanh": lambda: np.tanh(t),
        "silu": lambda: t * special.expit(t),
        "erf": lambda: special.erf(t),
        "gelu": lambda: t * special.ndtr(t),
        "gelu_tanh": lambda: t / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (t + 0.044715 * t**3))),
        "elu": lambda: np.where(t < 0, np.expm1(t), t),
    }[kind]()
    error = np.abs(found - expected)
    if kind in ULPS:
        unit = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
        assert (error / np.maximum(unit, 2.0**-149)).max() < ULPS[kind]
    else:
        assert error.max() < ABSOLUTE[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_infinities_and_nan_pass_through(kind):
    x = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0], np.float32).reshape(1, 1, 1, -1)
    x = np.tile(x, 5)
    found = activate(x, activation(KINDS[kind], 0.5, 0.75, np.ones(1, np.float32)))
    assert np.isnan(found[..., 0::7]).all()
    limits = {
        "exp": (np.inf, 0),
        "sigmoid": (1, 0),
        "tanh": (1, -1),
        "erf": (1, -1),
        "relu": (np.inf, 0),
        "clip": (0.75, 0.5),
        "elu": (np.inf, -0.5),
        "hard_sigmoid": (1, 0),
    }
    if kind in limits:
        assert (found[..., 1::7] == limits[kind][0]).all()
        assert (found[..., 2::7] == limits[kind][1]).all()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_agree_with_the_reference(operation):
    generator = np.random.default_rng(7)
    for seed, shape in enumerate(SHAPES):
        for side, flat in itertools.product((0, 1), range(0, 16, 3)):
            small = tuple(1 if flat >> axis & 1 else size for axis, size in enumerate(shape))
            pair = [numbers(seed, shape), numbers(seed + 50, small)]
            a, b = pair[side], pair[1 - side]
            layouts = generator.choice(LAYOUTS, 3)
            given = [laid_out(array, layout) for array, layout in zip((a, b), layouts, strict=False)]
            out = empty(shape, layouts[2])
            kernels.check(
                lib.du_combine(
                    *map(view, given), view(out), OPERATIONS[operation], activation(lib.DU_RELU), 2
                )
            )
            expected = np.maximum(reference.combine(a, b, OPERATIONS[operation]), 0)
            np.testing.assert_allclose(out, expected, rtol=2e-7)


def test_minimum_and_maximum_keep_a_nan_of_either_side():
    a = np.array([np.nan, 1, 1], np.float32).reshape(1, 1, 1, 3)
    b = np.array([1, np.nan, 2], np.float32).reshape(1, 1, 1, 3)
    for operation, last in (("minimum", 1), ("maximum", 2)):
        out = np.zeros_like(a)
        kernels.check(lib.du_combine(view(a), view(b), view(out), OPERATIONS[operation], kernels.ffi.NULL, 1))
        assert np.isnan(out[..., :2]).all()
        assert out[..., 2] == last


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_affine_map_has_a_scale_and_a_shift_for_each_channel(layout):
    for seed, shape in enumerate(SHAPES):
        x, scale, shift = numbers(seed, shape), numbers(1, shape[1]), numbers(2, shape[1])
        out = empty(shape, layout)
        given = laid_out(x, layout)
        kernels.check(
            lib.du_affine(view(given), view(out), pointer(scale), pointer(shift), kernels.ffi.NULL, 2)
        )
        np.testing.assert_allclose(out, reference.affine(x, scale, shift), rtol=1e-5, atol=1e-5)


def test_every_instruction_set_layout_and_thread_count_gives_the_same_bits():
    x, slopes = numbers(3, (2, 37, 19, 23)), numbers(4, 37)
    for kind in KINDS.values():
        found = []
        for isa, layout, threads in itertools.product(kernels.available_isas(), LAYOUTS, (1, 2)):
            kernels.select_isa(isa)
            given = activation(kind, 0.3, 0.7, slopes)
            found.append(np.ascontiguousarray(activate(laid_out(x, layout), given, layout, threads)))
        # The sign of a NaN says nothing.
        bits = [np.where(np.isnan(f), 0, f.view(np.int32)) for f in found]
        assert all(np.array_equal(bits[0], other) for other in bits[1:])


def test_an_output_may_be_an_input_itself_but_not_overlap_it_otherwise():
    x = numbers(5, (1, 8, 6, 6))
    expected = x + x
    kernels.check(lib.du_combine(view(x), view(x), view(x), lib.DU_ADD, kernels.ffi.NULL, 1))
    np.testing.assert_array_equal(x, expected)
    with pytest.raises(ArgumentError, match="out and in share memory"):
        kernels.check(lib.du_activate(view(x[:, :, 1:]), view(x[:, :, :-1]), kernels.ffi.NULL, 1))


def test_wrong_arguments_are_refused_by_name():
    x = numbers(6, (1, 4, 3, 3))
    out, double = np.zeros_like(x), x.astype(np.float64)
    other = np.zeros((1, 4, 3, 2), np.float32)
    null = kernels.ffi.NULL
    for code, message in (
        (lambda: lib.du_activate(view(double), view(out), null, 1), "in has type 1; use DU_FLOAT32"),
        (lambda: lib.du_activate(view(x), view(out), activation(99), 1), "activation is of kind 99"),
        (
            lambda: lib.du_activate(view(x), view(out), activation(lib.DU_PRELU), 1),
            "slopes of DU_PRELU are NULL",
        ),
        (lambda: lib.du_activate(view(x), view(other), null, 1), "in has 3 in its column size; 2 fits"),
        (lambda: lib.du_activate(view(x), view(out), null, 0), "threads is 0"),
        (lambda: lib.du_combine(view(x), view(other), view(out), 0, null, 1), "b has 2 in its column size"),
        (lambda: lib.du_combine(view(x), view(x), view(out), 6, null, 1), "operation is 6; use 0 to 5"),
        (lambda: lib.du_affine(view(x), view(out), null, pointer(x), null, 1), "scale is NULL"),
    ):
        with pytest.raises(ArgumentError, match=message):
            kernels.check(code())
