"""Down and up with fixed weights: averages, binomial smoothing, and interpolation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Bound here, not looked up in torch.nn.functional at run time: see the package's docstring.
from torch import constant_pad_nd as _zero_pad
from torch import conv2d as _conv2d
from torch._C._nn import avg_pool2d as _avg_pool2d
from torch.nn.functional import interpolate as _interpolate

from downup.errors import ArgumentError
from downup.geometry import Padding, pair, pool_padding, upsample_shape, window_out_size

_reflection_pad2d = torch.ops.aten.reflection_pad2d.default
_replication_pad2d = torch.ops.aten.replication_pad2d.default


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Average each window of each channel.

    out = floor((n + before + after - kernel) / stride) + 1 along each axis.

    Convention: zeros outside the image, counted in the average if `count_include_pad`. With "same" and
    "same_lower" padding is never counted, as in TensorFlow and Keras: a constant image stays constant.

    Args:
        input: [batch, channels, rows, columns] or [channels, rows, columns], floating.
        kernel_size: a number or (rows, columns), at least 1.
        stride: the same; `kernel_size` unless given.
        padding: a number, (rows, columns), ((top, bottom), (left, right)), "valid", "same" or "same_lower";
            at most half the window on each side.
        ceil_mode: round the number of windows up, but let none start in the padding after the image.
        count_include_pad: whether padding counts as samples of value zero.
        divisor_override: divides the sums instead of the number of samples.

    Returns:
        [batch, channels, new_rows, new_columns], dtype of `input`.

    Raises:
        ArgumentError: a window larger than the padded image, or padding above half the window.

    Gradient: each window's gradient, divided as its sum was, spread over the window.

    >>> avg_pool2d(torch.tensor([[[[1., 3., 5.]]]]), (1, 2), padding="same")
    tensor([[[[2., 5.]]]])
    """
    if input.dim() not in (3, 4):
        raise ArgumentError(
            f"input has shape {tuple(input.shape)}; use [batch, channels, rows, columns] "
            f"or [channels, rows, columns]"
        )
    if divisor_override is not None and divisor_override == 0:
        raise ArgumentError("divisor_override is 0; use any other number, or None")
    kernel = pair("kernel_size", kernel_size, 1)
    step = kernel if stride is None or stride == () or stride == [] else pair("stride", stride, 1)
    size = input.shape[-2], input.shape[-1]
    sides = pool_padding(padding, size, kernel, step)
    rows = window_out_size(size[0], kernel[0], step[0], sides[0], 1, ceil_mode, axis="rows")
    columns = window_out_size(size[1], kernel[1], step[1], sides[1], 1, ceil_mode, axis="columns")
    is_same = isinstance(padding, str) and padding != "valid"
    (top, bottom), (left, right) = sides
    if not is_same and top == bottom and left == right:
        return _avg_pool2d(input, kernel, step, (top, left), ceil_mode, count_include_pad, divisor_override)
    # Half types are summed in float32 and rounded once, as torch does inside its own kernel.
    exact = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
    padded = _zero_pad(exact, [left, right, top, bottom])
    if divisor_override is not None or (count_include_pad and not is_same):
        out = _avg_pool2d(padded, kernel, step, (0, 0), ceil_mode, True, divisor_override)
        # A window that starts in the padding after the image does not count.
        return out[..., :rows, :columns].to(input.dtype)
    out = _avg_pool2d(padded, kernel, step, (0, 0), ceil_mode, True, 1)[..., :rows, :columns]
    counts = _counts(size[0], kernel[0], step[0], top, rows, input.device)[:, None]
    counts = counts * _counts(size[1], kernel[1], step[1], left, columns, input.device)
    return (out / counts).to(input.dtype)


def _counts(
    in_size: int, kernel_size: int, stride: int, before: int, out_size: int, device: torch.device
) -> Tensor:
    """[out_size]: how many samples of each window lie inside the image."""
    start = torch.arange(out_size, device=device) * stride - before
    return (start + kernel_size).clamp(max=in_size) - start.clamp(min=0)


def blur_pool2d(input: Tensor, *, taps: int = 3, stride: int = 2) -> Tensor:
    """Smooth each channel with a binomial filter, then keep every `stride`-th sample.

    Convention: an odd filter centres output sample i on input sample i * stride, an even one half a sample
    later; edges are reflected, and repeated where the image is too short to reflect.

    Args:
        input: [batch, channels, rows, columns] or [channels, rows, columns], floating, any size from 1 pixel.
        taps: filter length in samples, at least 1.
        stride: input samples per output sample, at least 1.

    Returns:
        [batch, channels, ceil(rows / stride), ceil(columns / stride)], dtype of `input`.

    Raises:
        ArgumentError: `taps` or `stride` is below 1, or the image has no pixel.

    Gradient: the transpose of the same filter and edges.
    Source: Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019.

    >>> blur_pool2d(torch.ones(1, 1, 4, 4)).flatten()
    tensor([1., 1., 1., 1.])
    """
    pair("taps", taps, 1)
    step = pair("stride", stride, 1)
    if input.dim() not in (3, 4) or input.shape[-1] < 1 or input.shape[-2] < 1:
        raise ArgumentError(
            f"input has shape {tuple(input.shape)}; use [batch, channels, rows, columns], one pixel or more"
        )
    # Devices without autocast, such as meta, may not even be asked.
    device = input.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return _blur(input, taps, step)
    with torch.autocast(device, enabled=False):  # the answer keeps the dtype of its input
        return _blur(input, taps, step)


def _blur(input: Tensor, taps: int, stride: tuple[int, int]) -> Tensor:
    before, after = (taps - 1) // 2, taps // 2
    padded = input
    if after > 0:
        rows, columns = [0, 0, before, after], [before, after, 0, 0]
        padded = (_reflection_pad2d if input.shape[-2] > after else _replication_pad2d)(padded, rows)
        padded = (_reflection_pad2d if input.shape[-1] > after else _replication_pad2d)(padded, columns)
    channels = input.shape[-3]
    line = _binomial(taps, input)
    # Both axes in one depthwise pass: for the usual 3 taps it is faster than an axis at a time.
    weight = (line[:, None] * line).expand(channels, 1, taps, taps)
    return _conv2d(padded, weight, None, stride, (0, 0), (1, 1), channels)


def _binomial(taps: int, like: Tensor) -> Tensor:
    """[taps]: a row of Pascal's triangle that sums to 1, rounded once from double."""
    row = [1.0]
    for _ in range(taps - 1):
        row = [(a + b) / 2 for a, b in zip([0.0, *row], [*row, 0.0], strict=True)]
    return torch.tensor(row, dtype=like.dtype, device=like.device)


_SMOOTH = ("linear", "bilinear", "bicubic", "trilinear")
_MODES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize an image, up or down, by reading between its samples.

    out = `size`, or floor(n * scale_factor).

    Convention: pixels are squares, so output i lies at (i + 0.5) * n / out - 0.5 of the input; with
    `align_corners` at i * (n - 1) / (out - 1). Edges are repeated. "nearest" takes sample floor(i * n / out),
    "nearest-exact" the nearest centre. With a `scale_factor` that is not whole, 1 / scale_factor stands for
    n / out unless `recompute_scale_factor`.

    Args:
        input: [batch, channels, rows, columns], floating (or uint8 where torch takes it).
        size: (rows, columns), or a number for both.
        scale_factor: output samples per input sample, a number or (rows, columns), instead of `size`.
        mode: "nearest", "nearest-exact", "bilinear", "bicubic" or "area" (averages, for the way down).
        align_corners: whether the centres of the corner pixels coincide; for bilinear and bicubic.
        recompute_scale_factor: place the samples by the rounded output size rather than by `scale_factor`.
        antialias: widen the filter on the way down; for bilinear and bicubic.

    Returns:
        [batch, channels, new_rows, new_columns], dtype of `input`.

    Raises:
        ArgumentError: not exactly one of `size` and `scale_factor`, an unknown mode, or an idle option.

    Gradient: the transpose of the same weights.

    >>> interpolate(torch.tensor([[[[0., 4.]]]]), size=(1, 4), mode="bilinear")
    tensor([[[[0., 1., 3., 4.]]]])
    """
    if input.dim() == 4:
        if mode not in _MODES:
            raise ArgumentError(f"mode is {mode!r}; use one of {', '.join(_MODES)}")
        upsample_shape(input.shape, size, scale_factor)
    elif input.dim() not in (3, 5):
        raise ArgumentError(f"input has shape {tuple(input.shape)}; use [batch, channels, rows, columns]")
    if align_corners is not None and mode not in _SMOOTH:
        raise ArgumentError(
            f"align_corners is {align_corners} but mode {mode!r} has no use for it; leave it None"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError(f"antialias is True but mode is {mode!r}; use bilinear or bicubic")
    return _interpolate(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
