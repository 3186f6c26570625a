"""Laws of the linear operators: transposes, inverses, constants, shifts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from downup import ops

sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
laws = settings(max_examples=60, deadline=None)


def _adjoint(down: Callable[[Tensor], Tensor], up: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> None:
    """<A x, y> = <x, At y>."""
    torch.testing.assert_close((down(x) * y).sum(), (x * up(y)).sum(), rtol=1e-9, atol=1e-9)


def _random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum((i + 1) * n for i, n in enumerate(shape)))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@given(sizes, pairs, pairs, st.sampled_from(["same", "same_lower"]))
@laws
def test_same_transposed_convolution_is_the_transpose_of_same_convolution(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: Any
) -> None:
    x, weight = _random(2, 3, *size), _random(4, 3, *kernel)
    y = _random(*ops.conv2d(x, weight, None, stride, padding).shape)
    _adjoint(
        lambda x: ops.conv2d(x, weight, None, stride, padding),
        lambda y: ops.conv_transpose2d(y, weight, None, stride, padding, output_size=size),
        x,
        y,
    )


@given(sizes, pairs, pairs, st.data())
@laws
def test_transposed_convolution_is_the_transpose_with_any_four_sides(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], data: st.DataObject
) -> None:
    side = st.integers(0, 3)
    sides = data.draw(st.tuples(st.tuples(side, side), st.tuples(side, side)))
    dilation = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = (size[0] + 6, size[1] + 6)
    x, weight = _random(1, 2, *size), _random(3, 2, *kernel)
    y = _random(*ops.conv2d(x, weight, None, stride, sides, dilation).shape)
    _adjoint(
        lambda x: ops.conv2d(x, weight, None, stride, sides, dilation),
        lambda y: ops.conv_transpose2d(y, weight, None, stride, sides, dilation=dilation, output_size=size),
        x,
        y,
    )


@given(pairs, st.integers(1, 20), st.integers(1, 5), st.sampled_from(["CRD", "DCR"]), st.booleans())
@laws
def test_shuffle_is_inverse_and_transpose_of_unshuffle(
    size: tuple[int, int], channels: int, factor: int, order: str, is_channels_last: bool
) -> None:
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    x = _random(2, channels, size[0] * factor, size[1] * factor).contiguous(memory_format=layout)
    y = _random(*ops.pixel_unshuffle(x, factor).shape).contiguous(memory_format=layout)
    assert torch.equal(ops.pixel_shuffle(ops.pixel_unshuffle(x, factor, order=order), factor, order=order), x)
    assert torch.equal(ops.pixel_unshuffle(ops.pixel_shuffle(y, factor, order=order), factor, order=order), y)
    _adjoint(
        lambda x: ops.pixel_unshuffle(x, factor, order=order),
        lambda y: ops.pixel_shuffle(y, factor, order=order),
        x,
        y,
    )


@given(sizes, pairs, st.integers(1, 4))
@laws
def test_enlarging_by_repetition_is_the_transpose_of_averaging_times_the_window(
    size: tuple[int, int], factors: tuple[int, int], channels: int
) -> None:
    y = _random(1, channels, *size)
    x = _random(1, channels, size[0] * factors[0], size[1] * factors[1])
    _adjoint(
        lambda x: ops.avg_pool2d(x, factors) * factors[0] * factors[1],
        lambda y: ops.interpolate(y, scale_factor=factors),
        x,
        y,
    )


_GRADIENTS: dict[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "avg_pool2d": lambda x, stride: ops.avg_pool2d(x, 3, stride, "same"),
    "blur_pool2d": lambda x, stride: ops.blur_pool2d(x, taps=3, stride=stride[0]),
    "nearest": lambda x, stride: ops.interpolate(x, scale_factor=stride),
    "bilinear": lambda x, stride: ops.interpolate(x, scale_factor=stride, mode="bilinear"),
    "bicubic": lambda x, stride: ops.interpolate(x, scale_factor=stride, mode="bicubic"),
}


@given(st.sampled_from(sorted(_GRADIENTS)), sizes, pairs)
@laws
def test_the_gradient_of_a_linear_operator_is_its_transpose(
    name: str, size: tuple[int, int], stride: tuple[int, int]
) -> None:
    x = _random(1, 2, *size).requires_grad_()
    out = _GRADIENTS[name](x, stride)
    y = _random(*out.shape)
    (gradient,) = torch.autograd.grad(out, x, y)
    other = _random(*x.shape) + 1
    torch.testing.assert_close((_GRADIENTS[name](other, stride) * y).sum(), (other * gradient).sum())


@given(st.sampled_from(sorted(_GRADIENTS)), sizes, pairs)
@laws
def test_a_constant_image_stays_constant(name: str, size: tuple[int, int], stride: tuple[int, int]) -> None:
    out = _GRADIENTS[name](torch.ones(1, 1, *size, dtype=torch.float64), stride)
    torch.testing.assert_close(out, torch.ones_like(out))


@given(sizes, st.integers(1, 3), st.integers(1, 3))
@laws
def test_shifting_by_a_stride_shifts_the_pooled_image_by_one(
    size: tuple[int, int], taps: int, stride: int
) -> None:
    x = _random(1, 1, size[0] + 12, size[1] + 12)
    inside = (..., slice(3, -4), slice(3, -4))
    moved = ops.blur_pool2d(x[..., stride:, stride:], taps=taps, stride=stride)
    still = ops.blur_pool2d(x, taps=taps, stride=stride)[..., 1:, 1:]
    torch.testing.assert_close(moved[inside], still[inside])
