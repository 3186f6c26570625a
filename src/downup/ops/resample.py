"""Down and up with fixed weights: averages, binomial smoothing, and interpolation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Bound here, not looked up in torch.nn.functional at run time: see the package's docstring.
from torch.nn.functional import adaptive_avg_pool2d as _adaptive_avg_pool2d
from torch.nn.functional import interpolate as _interpolate

from downup.errors import ArgumentError
from downup.geometry import Padding, pair, pool_padding
from downup.ops import _resample_composed as _composed
from downup.ops._resample_arguments import (
    adaptive_plans,
    average_plans,
    averaging,
    blur_plans,
    sampling_plans,
)
from downup.ops._resample_registered import resampling


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Any = 1,
) -> Tensor:
    """Average each window of each channel.

    out = floor((n + before + after - dilation * (kernel - 1) - 1) / stride) + 1 along each axis.

    Convention: zeros outside the image, counted in the average if `count_include_pad`. With "same" and
    "same_lower" padding is never counted, as in TensorFlow and Keras: a constant image stays constant.

    Args:
        input: [batch, channels, rows, columns] or [channels, rows, columns], floating or uint8.
        kernel_size: a number or (rows, columns), at least 1.
        stride: the same; `kernel_size` unless given.
        padding: a number, (rows, columns), ((top, bottom), (left, right)), "valid", "same" or "same_lower";
            at most half the window on each side.
        ceil_mode: round the number of windows up, but let none start in the padding after the image.
        count_include_pad: whether padding counts as samples of value zero.
        divisor_override: divides the sums instead of the number of samples.
        dilation: distance of neighbouring samples of a window, at least 1.

    Returns:
        [batch, channels, new_rows, new_columns], dtype of `input`; uint8 is rounded to the nearest, ties to even.

    Raises:
        ArgumentError: a window larger than the padded image, or padding above half the window.

    Gradient: each window's gradient, divided as its sum was, spread over the window.

    >>> avg_pool2d(torch.tensor([[[[1., 3., 5.]]]]), (1, 2), padding="same")
    tensor([[[[2., 5.]]]])
    """
    return _average(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
    )


def _composed_average(x: Tensor, *arguments: Any) -> Tensor:
    return _composed.average(x, *averaging(x.shape[2:], *arguments))


_average = resampling(average_plans, _composed_average)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
    *,
    padding: Padding = 0,
    dilation: Any = 1,
) -> Tensor:
    """The power average of each window: `sum(x ** norm_type) ** (1 / norm_type)`.

    Convention: as torch's, a window that reaches beyond the image (`ceil_mode`) is scaled up to its full number of
    samples, and an odd `norm_type` keeps the signs, so that a negative sum gives NaN.

    Args:
        input: [batch, channels, rows, columns] or [channels, rows, columns], floating.
        norm_type: the power, not 0; 1 sums, 2 takes the Euclidean norm.
        kernel_size, stride, padding, ceil_mode, dilation: as for `avg_pool2d`; padding counts as zeros, "same" too.

    Returns:
        [batch, channels, new_rows, new_columns], dtype of `input`.

    Raises:
        ArgumentError: as for `avg_pool2d`; or `norm_type` is 0.

    Source: Sermanet et al., "Convolutional Neural Networks Applied to House Numbers Digit Classification", ICPR 2012.

    >>> lp_pool2d(torch.tensor([[[[3., 4.]]]]), 2, (1, 2))
    tensor([[[[5.]]]])
    """
    if norm_type == 0:
        raise ArgumentError("norm_type is 0; use another power, such as 2")
    kernel, apart = pair("kernel_size", kernel_size, 1), pair("dilation", dilation, 1)
    step = kernel if stride is None or stride in ((), []) else pair("stride", stride, 1)
    # Written out, also "same" counts in the mean, so that it adds nothing to the sum.
    sides = pool_padding(padding, (input.shape[-2], input.shape[-1]), kernel, step, apart)
    mean = avg_pool2d(input.pow(norm_type), kernel, step, sides, ceil_mode, dilation=apart)
    return (mean * (kernel[0] * kernel[1])).pow(1.0 / norm_type)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Average into a given number of rows and columns.

    Convention: output i averages the samples from floor(i * n / out) up to ceil((i + 1) * n / out); windows overlap by
    at most one.

    Args:
        input: [batch, channels, rows, columns] or [channels, rows, columns], floating or uint8.
        output_size: a number or (rows, columns), at least 1; None keeps that of `input`.

    Returns:
        [batch, channels, *output_size], dtype of `input`.

    Raises:
        ArgumentError: `output_size` is below 1.

    Gradient: each output's, divided by its number of samples, for each of them.

    >>> adaptive_avg_pool2d(torch.tensor([[[[1., 3., 5.]]]]), (1, 2))
    tensor([[[[2., 4.]]]])
    """
    return _adaptive_average(input, output_size)


_adaptive_average = resampling(adaptive_plans, _adaptive_avg_pool2d)


def global_avg_pool2d(input: Tensor) -> Tensor:
    """Average each channel into one sample: `adaptive_avg_pool2d` to 1 x 1.

    Args:
        input: [batch, channels, rows, columns] or [channels, rows, columns], floating or uint8.

    Returns:
        [batch, channels, 1, 1], dtype of `input`.

    >>> global_avg_pool2d(torch.tensor([[[[1., 3.], [5., 7.]]]]))
    tensor([[[[4.]]]])
    """
    return adaptive_avg_pool2d(input, 1)


def global_lp_pool2d(input: Tensor, norm_type: float = 2) -> Tensor:
    """The power average of each channel: `lp_pool2d` with a window of the whole image.

    Args:
        input: [batch, channels, rows, columns] or [channels, rows, columns], floating.
        norm_type: the power, not 0.

    Returns:
        [batch, channels, 1, 1], dtype of `input`.

    >>> global_lp_pool2d(torch.tensor([[[[1., 1.], [1., 1.]]]]))
    tensor([[[[2.]]]])
    """
    return lp_pool2d(input, norm_type, tuple(input.shape[-2:]))


def blur_pool2d(input: Tensor, *, taps: int = 3, stride: int = 2, edge: str = "reflect") -> Tensor:
    """Smooth each channel with a binomial filter, then keep every `stride`-th sample.

    Convention: an odd filter centres output sample i on input sample i * stride, an even one half a sample
    later; reflected edges are repeated where the image is too short to reflect.

    Args:
        input: [batch, channels, rows, columns] or [channels, rows, columns], floating or uint8, any size from 1 pixel.
        taps: filter length in samples, 1 to 1024.
        stride: input samples per output sample, at least 1.
        edge: what lies outside the image: "reflect" it, "repeat" its edge, or "zero".

    Returns:
        [batch, channels, ceil(rows / stride), ceil(columns / stride)], dtype of `input`.

    Raises:
        ArgumentError: `taps`, `stride` or `edge` is out of range, or the image has no pixel.

    Gradient: the transpose of the same filter and edges.
    Source: Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019.

    >>> blur_pool2d(torch.ones(1, 1, 4, 4)).flatten()
    tensor([1., 1., 1., 1.])
    """
    return _blur(input, taps, stride, edge)


def _composed_blur(x: Tensor, taps: int, stride: int, edge: str) -> Tensor:
    blur_plans(x.shape[2:], taps, stride, edge)
    # The answer keeps the type of its input. Devices without autocast may not even be asked.
    device = x.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return _composed.blur(x, taps, pair("stride", stride, 1), edge)
    with torch.autocast(device, enabled=False):
        return _composed.blur(x, taps, pair("stride", stride, 1), edge)


_blur = resampling(blur_plans, _composed_blur)


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
    *,
    coordinates: str | None = None,
    rounding: str | None = None,
    cubic_coefficient: float | None = None,
    exclude_outside: bool | None = None,
) -> Tensor:
    """Resize an image, up or down, by reading between its samples.

    out = `size`, or floor(n * scale_factor).

    Convention: pixels are squares, so output i lies at (i + 0.5) * n / out - 0.5 of the input; with
    `align_corners` at i * (n - 1) / (out - 1). Edges are repeated. "nearest" takes sample floor(i * n / out),
    "nearest-exact" the nearest centre, both in float32 arithmetic. With a `scale_factor` that is not whole,
    1 / scale_factor stands for n / out unless `recompute_scale_factor`. The keyword-only arguments ask for the rules of
    other frameworks; docs/semantics.md tells which are whose.

    Args:
        input: [batch, channels, rows, columns], floating or uint8. One and three dimensions go to torch.
        size: (rows, columns), or a number for both.
        scale_factor: output samples per input sample, a number or (rows, columns), instead of `size`.
        mode: "nearest", "nearest-exact", "bilinear", "bicubic", "lanczos" or "lanczos5" (of three and five lobes,
            antialiased always) or "area" (averages, for the way down).
        align_corners: whether the centres of the corner pixels coincide; for bilinear and bicubic.
        recompute_scale_factor: place the samples by the rounded output size rather than by `scale_factor`.
        antialias: widen the filter on the way down; for bilinear, bicubic and lanczos.
        coordinates: where samples lie, instead of `align_corners`: "half_pixel", "half_pixel_symmetric",
            "pytorch_half_pixel", "align_corners" or "asymmetric".
        rounding: which sample the nearest modes take, exactly: "floor", "ceil", "prefer_floor" or "prefer_ceil".
        cubic_coefficient: of "bicubic"; -0.75, and -0.5 with `antialias`, unless given.
        exclude_outside: drop taps outside the image and let the others sum to one, instead of repeating the edge; so
            with `antialias`, unless given.

    Returns:
        [batch, channels, new_rows, new_columns], dtype of `input`; uint8 is rounded to the nearest, ties to even.

    Raises:
        ArgumentError: not exactly one of `size` and `scale_factor`, an unknown mode or rule, or an idle option.

    Gradient: the transpose of the same weights.
    Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981, for "bicubic".

    >>> interpolate(torch.tensor([[[[0., 4.]]]]), size=(1, 4), mode="bilinear")
    tensor([[[[0., 1., 3., 4.]]]])
    """
    rules = coordinates, rounding, cubic_coefficient, exclude_outside
    arguments = size, scale_factor, mode, align_corners, recompute_scale_factor, antialias
    if input.dim() in (3, 5):
        if rules != (None,) * 4:
            raise ArgumentError(
                f"input has shape {tuple(input.shape)}; with other frameworks' rules use [batch, channels, rows, columns]"
            )
        return _interpolate(input, *arguments)
    return _sample(input, *arguments, *rules)


def _composed_interpolate(x: Tensor, *arguments: Any) -> Tensor:
    rows, columns = sampling_plans(x.shape[2:], *arguments)
    # torch knows neither the rules of other frameworks nor, on the CPU, all modes for half types.
    is_known = (
        x.device.type != "cpu"
        or not x.dtype.is_floating_point
        or arguments[2] in ("nearest", "nearest-exact", "area")
    )
    if is_known and arguments[-4:] == (None,) * 4 and not arguments[2].startswith("lanczos"):
        return _interpolate(x, *arguments[:-4])
    return _composed.by_matrices(x, rows, columns)


_sample = resampling(sampling_plans, _composed_interpolate, may_be_single=False)
