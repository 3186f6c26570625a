"""Convolutions whose products are in bfloat16: close to float64 on the rounded numbers, and plain where there are none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from downup import kernels
from downup.errors import ArgumentError
from downup.kernels import Window
from downup.kernels.convolve import Convolution, ConvolutionSpec, channels_last, empty_channels_last
from kernels.test_convolve import cut, error_of, judge, make, random_input, random_spec

HAS_PRODUCTS = "avx512" in kernels.available_isas() and " avx512_bf16" in Path("/proc/cpuinfo").read_text()
POINTWISE = ConvolutionSpec(20, 40, Window((1, 1), (1, 1)), precision="bfloat16")


@pytest.fixture(params=kernels.available_isas())
def has_products(request):
    """On each instruction set: whether it multiplies bfloat16."""
    before = kernels.active_isa()
    kernels.select_isa(request.param)
    yield HAS_PRODUCTS and request.param == "avx512"
    kernels.select_isa(before)


def rounded(array):
    """To the nearest bfloat16, ties to even."""
    bits = array.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def asked(spec, has_products):
    """The spec, with products in bfloat16 even where it has too few of them to choose these by itself."""
    return dataclasses.replace(
        spec, precision="bfloat16", algorithm="direct_bfloat16" if has_products else "auto"
    )


def test_it_is_chosen_where_winograd_is_not_and_the_processor_has_it(has_products):
    direct = "direct_bfloat16" if has_products else "direct"
    for spec, algorithm in (
        (POINTWISE, direct),
        (dataclasses.replace(POINTWISE, out_channels=21), "direct"),  # too little to be worth rounding
        (ConvolutionSpec(3, 64, Window((7, 7), (2, 2))), "direct"),
        (ConvolutionSpec(32, 32, Window((3, 3), (2, 2))), direct),
        (ConvolutionSpec(32, 32, Window((2, 2), (2, 2)), transposed=True), direct),
        (ConvolutionSpec(32, 32, Window((3, 3), (1, 1))), "winograd"),
        (ConvolutionSpec(32, 32, Window((3, 3), (1, 1)), groups=32), "depthwise"),
    ):
        spec = dataclasses.replace(spec, precision="bfloat16")
        assert make(spec, np.random.default_rng(0))[0].algorithm == algorithm


def test_without_such_products_it_is_fast_bit_by_bit_and_cannot_be_asked_for(has_products):
    random = np.random.default_rng(1)
    spec = dataclasses.replace(POINTWISE, in_channels=40)
    convolution, weight, bias = make(spec, random)
    x = channels_last(random.standard_normal((1, 40, 9, 7)))
    fast = Convolution(dataclasses.replace(spec, precision="fast"), weight, bias)
    assert np.array_equal(convolution.run(x), fast.run(x)) != has_products
    asked = dataclasses.replace(spec, algorithm="direct_bfloat16")
    if has_products:
        assert np.array_equal(Convolution(asked, weight, bias).run(x), convolution.run(x))
    else:
        with pytest.raises(
            ArgumentError, match="algorithm 6 is only for processors with AVX-512 and its bfloat16"
        ):
            Convolution(asked, weight, bias)


def test_a_worked_example():
    # 1 + 2^-8 lies between 1 and 1 + 2^-7: ties go to the even one, which is 1.
    x = channels_last(np.array([[[[1 + 2**-8, 1 + 3 * 2**-8, 3]]]]))
    weight = np.array([[[[2 + 2**-6]]]], np.float32)
    spec = asked(dataclasses.replace(POINTWISE, in_channels=1), HAS_PRODUCTS)
    found = Convolution(spec, np.tile(weight, (40, 1, 1, 1))).run(x)
    if HAS_PRODUCTS:
        assert found[0, 7].tolist() == [[2 + 2**-6, (1 + 2**-6) * (2 + 2**-6), 3 * (2 + 2**-6)]]
    else:
        assert found[0, 7].tolist() == [[float(n) * (2 + 2**-6) for n in x.ravel()]]


def test_random_convolutions_equal_float64_on_rounded_inputs_and_weights(has_products, is_long):
    random = np.random.default_rng(2)
    judged = 0
    while judged < (1000 if is_long else 100):
        spec = asked(dataclasses.replace(random_spec(random), upsample=(1, 1)), has_products)
        x = random_input(spec, random)
        if x is None:
            continue
        convolution, weight, bias = make(spec, random)
        found = convolution.run(x, threads=int(random.integers(1, 4)))
        if convolution.algorithm == "direct_bfloat16":
            x, weight = rounded(x), rounded(weight)
        bound = 5e-6 if convolution.algorithm == "winograd" else 1e-6
        assert error_of(found, judge(x, weight, bias, spec)) < bound, spec
        judged += 1


def test_weights_that_meet_one_pixel_are_summed_before_they_are_rounded(has_products):
    random = np.random.default_rng(3)
    spec = asked(ConvolutionSpec(5, 9, Window((3, 3), (1, 1), (1, 1), (1, 1)), upsample=(4, 3)), has_products)
    convolution, weight, bias = make(spec, random)
    x = channels_last(random.standard_normal((1, 5, 6, 7)))
    assert (3e-4 if has_products else 0) <= error_of(convolution.run(x), judge(x, weight, bias, spec)) < 4e-3


def test_cut_into_parts_on_any_threads_or_in_a_larger_picture_the_bits_are_the_same(has_products):
    random = np.random.default_rng(4)
    judged = 0
    while judged < 30:
        spec = asked(random_spec(random), has_products)
        x = random_input(spec, random)
        if x is None:
            continue
        convolution, _, _ = make(spec, random)
        whole = convolution.run(x)
        # Around the parts lie numbers that are none.
        assert np.array_equal(whole, convolution.run(cut(x, random), threads=int(random.integers(2, 4)))), (
            spec
        )
        (in_y, in_x), (out_y, out_x) = convolution.steps
        large = channels_last(
            np.zeros((*x.shape[:2], x.shape[2] + in_y + 20, x.shape[3] + 2 * in_x + 20), np.float32)
        )
        large[:, :, in_y : in_y + x.shape[2], 2 * in_x : 2 * in_x + x.shape[3]] = x
        moved = convolution.run(large, threads=2)[:, :, out_y:, 2 * out_x :]
        moved = moved[:, :, : whole.shape[2], : whole.shape[3]]
        assert np.array_equal(whole[:, :, : moved.shape[2], : moved.shape[3]], moved), spec
        judged += 1


def test_what_is_no_number_reaches_its_own_pixel_alone_and_infinity_stays(has_products):
    x = empty_channels_last((1, 3, 4, 5))
    x[...] = 1
    x[0, 2, 1, 2], x[0, 0, 3, 3] = np.nan, np.inf
    weight = np.ones((40, 3, 1, 1), np.float32)
    spec = asked(dataclasses.replace(POINTWISE, in_channels=3), has_products)
    found = Convolution(spec, weight).run(x)
    expected = np.full((1, 40, 4, 5), 3, np.float32)
    expected[..., 1, 2], expected[..., 3, 3] = np.nan, np.inf
    assert np.array_equal(found, expected, equal_nan=True)


def test_denormal_numbers_count_as_zero():
    x = channels_last(np.full((1, 3, 1, 2), 1e-39))
    spec = asked(dataclasses.replace(POINTWISE, in_channels=3), HAS_PRODUCTS)
    found = Convolution(spec, np.full((40, 3, 1, 1), 1e3, np.float32)).run(x)
    assert (found == 0).all() if HAS_PRODUCTS else (found > 0).all()
