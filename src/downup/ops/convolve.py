"""Down and up with learned weights: the strided convolution, its transpose, and resize-then-convolve."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Bound here, not looked up in torch.nn.functional at run time: see the package's docstring.
from torch import constant_pad_nd as _pad
from torch import conv2d as _conv2d
from torch import conv_transpose2d as _conv_transpose2d
from torch.nn.functional import pad as _pad_with

from downup.errors import ArgumentError
from downup.geometry import (
    Padding,
    Sides,
    pair,
    resolve_padding,
    resolve_transposed_padding,
    window_out_size,
)
from downup.geometry.arguments import AXES
from downup.ops.resample import interpolate


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Padding = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
) -> Tensor:
    """Weigh each window of the image with learned filters; with a stride, a learned way down.

    out = floor((n + before + after - dilation * (kernel - 1) - 1) / stride) + 1 along each axis.

    Convention: outside the image are zeros, or what `padding_mode` says. "same" gives ceil(n / stride) samples
    at any stride, with the odd pixel of padding at the bottom and right ("same_lower": at the top and left).

    Args:
        input: [batch, in_channels, rows, columns] or [in_channels, rows, columns].
        weight: [filters, in_channels / groups, kernel_rows, kernel_columns].
        bias: [filters].
        stride, dilation: a number or (rows, columns), at least 1.
        padding: a number, (rows, columns), ((top, bottom), (left, right)), "valid", "same" or "same_lower".
        groups: channels are split into so many independent convolutions.
        padding_mode: what lies outside: "zeros", "reflect" (the image mirrored at its outermost samples; the
            padding must be smaller than the image), "replicate" (the outermost sample) or "circular" (the image
            again; the padding at most as large).

    Returns:
        [batch, filters, new_rows, new_columns], dtype of `input` (the lower one under autocast).

    Raises:
        ArgumentError: shapes that do not fit together, a window larger than the padded image, a bad padding.

    Gradient: `conv_transpose2d` with the same weight, for the input.
    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998.

    >>> conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3), stride=2, padding="same")
    tensor([[[[9., 6.],
              [6., 4.]]]])
    """
    step, apart = pair("stride", stride, 1), pair("dilation", dilation, 1)
    _check_dimensions("conv", input, weight)
    _check_weight(input, weight, bias, groups, in_channels=weight.shape[1] * groups, filters=weight.shape[0])
    size, kernel = (input.shape[-2], input.shape[-1]), (weight.shape[2], weight.shape[3])
    sides = resolve_padding(padding, size, kernel, step, apart)
    window_out_size(size[0], kernel[0], step[0], sides[0], apart[0], axis="rows")
    window_out_size(size[1], kernel[1], step[1], sides[1], apart[1], axis="columns")
    if padding_mode != "zeros":
        return _conv2d(_pad_outside(input, sides, padding_mode), weight, bias, step, (0, 0), apart, groups)
    if _is_half_on_cpu(input) and not _is_symbolic(size) and 0 not in size:
        input, sides, step = _steady(input, sides, kernel, step, apart)
    varies = padding in ("same", "same_lower") and step != (1, 1) and _is_symbolic(size)
    input, symmetric = _pad_uneven(input, sides, varies)
    return _conv2d(input, weight, bias, step, symmetric, apart, groups)


def _is_half_on_cpu(input: Tensor) -> bool:
    return input.dtype in (torch.bfloat16, torch.float16) and input.device.type == "cpu"


def _steady(
    input: Tensor, sides: Sides, kernel: tuple[int, int], step: tuple[int, int], apart: tuple[int, int]
) -> tuple[Tensor, Sides, tuple[int, int]]:
    """The same convolution, where PyTorch 2.13's own for half types would end the process or return what no one wrote.

    The first with padding of the image's size and more; the second with a stride along columns that make one sample.
    """
    (top, bottom), (left, right) = sides
    extents = [(n - 1) * d + 1 for n, d in zip(kernel, apart, strict=True)]
    is_one_column = step[1] > 1 and input.shape[-1] + left + right < extents[1] + step[1]
    if is_one_column or max(top, bottom) >= input.shape[-2] or max(left, right) >= input.shape[-1]:
        input, sides = _pad(input, [left, right, top, bottom]), ((0, 0), (0, 0))
    if is_one_column:
        input, step = input[..., : extents[1]], (step[0], 1)
    return input, sides, step


# How many samples fewer than the image has each mode can make of it; None: any number.
_SHORT_OF_IMAGE = {"reflect": 1, "replicate": None, "circular": 0}


def _pad_outside(input: Tensor, sides: Sides, padding_mode: str) -> Tensor:
    """The image with samples of its own around it."""
    if padding_mode not in _SHORT_OF_IMAGE:
        raise ArgumentError(
            f'padding_mode is {padding_mode!r}; use "zeros", "reflect", "replicate" or "circular"'
        )
    short = _SHORT_OF_IMAGE[padding_mode]
    for axis, length, around in zip(AXES, input.shape[-2:], sides, strict=True):
        if short is not None and isinstance(length, int) and max(around) > length - short:
            raise ArgumentError(
                f"padding is {around} along {length} {axis}, but padding_mode {padding_mode!r} can make at most "
                f'{length - short}; use less, or padding_mode "replicate"'
            )
    (top, bottom), (left, right) = sides
    images = input if input.dim() == 4 else input.unsqueeze(0)
    padded = _pad_with(images, [left, right, top, bottom], mode=padding_mode)
    return padded if input.dim() == 4 else padded[0]


def _is_symbolic(size: tuple[int, int]) -> bool:
    """Whether sizes may stand for other sizes later, so that a branch on them would tie a graph to them."""
    return torch.compiler.is_compiling() or not (isinstance(size[0], int) and isinstance(size[1], int))


def _pad_uneven(input: Tensor, sides: Sides, varies: bool) -> tuple[Tensor, tuple[int, int]]:
    """Pad with zeros what symmetric padding cannot say; the symmetric rest is for the convolution itself."""
    (top, bottom), (left, right) = sides
    if varies:
        return _pad(input, [left, right, top, bottom]), (0, 0)
    rows, columns = min(top, bottom), min(left, right)
    if top != bottom or left != right:
        input = _pad(input, [left - columns, right - columns, top - rows, bottom - rows])
    return input, (rows, columns)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Padding = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    output_size: Any = None,
) -> Tensor:
    """Spread each sample over a window with learned filters: the transpose of `conv2d`, a learned way up.

    out = stride * (n - 1) + dilation * (kernel - 1) + 1 - before - after + output_padding along each axis.

    Convention: "same" is the transpose of a "same" convolution: n * stride samples, or any `output_size` that
    the convolution would have brought to n.

    Args:
        input: [batch, in_channels, rows, columns] or [in_channels, rows, columns].
        weight: [in_channels, filters / groups, kernel_rows, kernel_columns].
        bias: [filters].
        stride, dilation: a number or (rows, columns), at least 1.
        padding: as in `conv2d`; takes samples away from the output.
        output_padding: samples added at the bottom and right, below the stride or the dilation.
        groups: channels are split into so many independent convolutions.
        output_size: (rows, columns) asked for, instead of `output_padding`.

    Returns:
        [batch, filters, new_rows, new_columns], dtype of `input` (the lower one under autocast).

    Raises:
        ArgumentError: shapes that do not fit together, or an `output_size` that cannot be had.

    Gradient: `conv2d` with the same weight, for the input.
    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015.

    >>> conv_transpose2d(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 3), stride=2)
    tensor([[[[1., 1., 2., 1., 1.]]]])
    """
    step, apart = pair("stride", stride, 1), pair("dilation", dilation, 1)
    _check_dimensions("conv_transpose", input, weight)
    _check_weight(input, weight, bias, groups, in_channels=weight.shape[0], filters=weight.shape[1] * groups)
    size, kernel = (input.shape[-2], input.shape[-1]), (weight.shape[2], weight.shape[3])
    sides, extra = resolve_transposed_padding(padding, size, kernel, step, apart, output_padding, output_size)
    (top, bottom), (left, right) = sides
    asked = None if output_size is None else pair("output_size", output_size, 1)
    if asked is not None and isinstance(padding, str) and _is_symbolic(asked):
        # What is cut off depends on the size: cut it all here, so that no branch ties a graph to one size.
        out = _conv_transpose2d(input, weight, bias, step, (0, 0), extra, groups, apart)
        return out.narrow(-2, top, asked[0]).narrow(-1, left, asked[1])
    rows, columns = min(top, bottom), min(left, right)
    out = _conv_transpose2d(input, weight, bias, step, (rows, columns), extra, groups, apart)
    # torch takes the same from both sides; what remains of the larger side is cut off here.
    if top != bottom:
        out = out.narrow(-2, top - rows, out.shape[-2] - abs(top - bottom))
    if left != right:
        out = out.narrow(-1, left - columns, out.shape[-1] - abs(left - right))
    return out


def resize_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    scale_factor: Any = 2,
    mode: str = "nearest",
    padding: Padding = "same",
    dilation: Any = 1,
    groups: int = 1,
    output_size: Any = None,
) -> Tensor:
    """Enlarge the image by interpolation, then convolve: a learned way up without checkerboard patterns.

    Convention: that of `interpolate` (corners not aligned), then that of `conv2d` at stride 1.

    Args:
        input: [batch, in_channels, rows, columns].
        weight: [filters, in_channels / groups, kernel_rows, kernel_columns].
        bias: [filters].
        scale_factor: output samples per input sample, a number or (rows, columns); unused with `output_size`.
        mode: "nearest", "bilinear" or any other of `interpolate`.
        padding, dilation, groups: as in `conv2d`.
        output_size: (rows, columns) to enlarge to, before the convolution.

    Returns:
        [batch, filters, rows * scale_factor, columns * scale_factor] with "same" padding, dtype of `input`.

    Raises:
        ArgumentError: as `interpolate` and `conv2d`.

    Gradient: that of `conv2d`, then that of `interpolate`.
    Source: Odena, Dumoulin and Olah, "Deconvolution and Checkerboard Artifacts", Distill 2016.

    >>> resize_conv2d(torch.tensor([[[[1., 2.]]]]), torch.ones(1, 1, 1, 1))
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """
    if output_size is None:
        larger_image = interpolate(input, scale_factor=scale_factor, mode=mode)
    else:
        larger_image = interpolate(input, size=pair("output_size", output_size, 1), mode=mode)
    return conv2d(larger_image, weight, bias, 1, padding, dilation, groups)


def _check_dimensions(name: str, images: Tensor, weight: Tensor) -> None:
    """Images and filters of two dimensions; for others, the function of torch that takes them."""
    if weight.dim() == 4 and images.dim() in (3, 4):
        return
    dimensions = weight.dim() - 2 if weight.dim() in (3, 5) else {2: 1, 5: 3}.get(images.dim())
    elsewhere = f"; torch.nn.functional.{name}{dimensions}d takes those of {dimensions}" if dimensions else ""
    if weight.dim() != 4:
        raise ArgumentError(
            f"weight has shape {tuple(weight.shape)}; {name}2d needs four dimensions{elsewhere}"
        )
    raise ArgumentError(
        f"input has shape {tuple(images.shape)}; use [batch, channels, rows, columns] or "
        f"[channels, rows, columns]{elsewhere}"
    )


def _check_weight(
    input: Tensor, weight: Tensor, bias: Tensor | None, groups: int, *, in_channels: int, filters: int
) -> None:
    if groups < 1 or filters % groups or in_channels % groups:
        raise ArgumentError(
            f"groups is {groups}; use a number that divides the {in_channels} input channels and "
            f"the {filters} output channels"
        )
    if input.shape[-3] != in_channels:
        raise ArgumentError(
            f"input has {input.shape[-3]} channels but weight of shape {tuple(weight.shape)} takes "
            f"{in_channels} with groups {groups}"
        )
    if bias is not None and tuple(bias.shape) != (filters,):
        raise ArgumentError(f"bias has shape {tuple(bias.shape)}; use ({filters},), one number per filter")
