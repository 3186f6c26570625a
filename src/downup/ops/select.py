"""Operators that select: max pooling keeps one sample of each window, un-pooling puts it back where it was."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup.errors import ArgumentError
from downup.geometry import Padding
from downup.kernels import Window
from downup.ops import _composed
from downup.ops import _select_adaptive as _registered  # noqa: F401
from downup.ops._arguments import check_image
from downup.ops._forms import packed
from downup.ops._native import is_native, is_transformed
from downup.ops._select_arguments import (
    ArgumentPair,
    Plan,
    adaptive_plan,
    is_compact,
    pool_plan,
    unpool_plan,
)
from downup.ops._select_eager import adaptive, pool, pool_alone, sliding, unpool, unpooling
from downup.ops._select_registered import flat_arguments
from downup.ops.resample import blur_pool2d


def max_pool2d(
    input: Tensor,
    kernel_size: ArgumentPair,
    stride: ArgumentPair | None = None,
    padding: Padding = 0,
    dilation: ArgumentPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Keep the largest sample of each window: `out = floor((in + padding - extent) / stride) + 1` along each axis.

    Convention: padding counts as minus infinity. Of equal samples the first, row by row, is taken; NaN is larger than
    everything, and the last NaN is taken.

    Args:
        input: [batch, channel, height, width] or [channel, height, width], any real type.
        kernel_size: window in samples, at least 1; a number or (rows, columns), like the three that follow.
        stride: samples from one window to the next, at least 1; the kernel size when left out.
        padding: at most half the window's extent; also ((top, bottom), (left, right)), "valid", "same", "same_lower".
        dilation: distance of neighbouring taps, at least 1.
        ceil_mode: also keep a last window that reaches beyond the padding, when it starts before it.
        return_indices: also return where each sample was, as `row * width + column` in its plane (int64), or -1 for a window
            that saw only padding.

    Returns:
        [batch, channel, out_height, out_width] of the type and layout of `input`; with `return_indices` a pair.

    Raises:
        ArgumentError: an argument outside its range, or a window larger than the padded input.

    Gradient: each sample's goes where it was taken; sums run in the order of the outputs, in float32 for bfloat16.
    Source: Ranzato et al., "Unsupervised Learning of Invariant Feature Hierarchies", CVPR 2007.

    >>> max_pool2d(torch.tensor([[[1., 5., 2., 0.], [3., 4., 8., 6.]]]), 2, return_indices=True)
    (tensor([[[5., 8.]]]), tensor([[[1, 6]]]))
    """
    if input.dim() == 3:
        return _one_image(
            max_pool2d, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )
    if is_native(input):
        x, form = packed(input)
        pooling = sliding(form, kernel_size, stride, padding, dilation, ceil_mode)
        return pool(x, pooling, compact=False) if return_indices else pool_alone(x, pooling)
    check_image(input)
    plan = pool_plan(input.shape, kernel_size, stride, padding, dilation, ceil_mode)
    pooled, positions = _dispatch_pool(input, plan, compact=is_compact(plan[0]) and not return_indices)
    return (pooled, positions) if return_indices else pooled


def max_pool2d_with_offsets(
    input: Tensor,
    kernel_size: ArgumentPair,
    stride: ArgumentPair | None = None,
    padding: Padding = 0,
    dilation: ArgumentPair = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool2d` that remembers each position in one byte: which tap of the window it was, counted row by row.

    Eight times less memory than `return_indices`, and independent of the image's size. `max_unpool2d` takes either.

    Args:
        input, kernel_size, stride, padding, dilation, ceil_mode: as for `max_pool2d`; at most 256 taps.

    Returns:
        The pooled samples, and their offsets `tap_row * kernel_columns + tap_column` (uint8), of the same shape.

    Raises:
        ArgumentError: as for `max_pool2d`; or a window of more than 256 taps.

    >>> max_pool2d_with_offsets(torch.tensor([[[1., 5., 2., 0.], [3., 4., 8., 6.]]]), 2)
    (tensor([[[5., 8.]]]), tensor([[[1, 2]]], dtype=torch.uint8))
    """
    arguments = (kernel_size, stride, padding, dilation, ceil_mode)
    if input.dim() == 3:
        return _one_image(max_pool2d_with_offsets, input, *arguments)  # type: ignore[no-any-return]
    if is_native(input):
        x, form = packed(input)
        pooling = sliding(form, *arguments)
        if not pooling.is_compact:
            raise _too_many_taps(pooling.window)
        return pool(x, pooling, compact=True)
    check_image(input)
    plan = pool_plan(input.shape, *arguments)
    if not is_compact(plan[0]):
        raise _too_many_taps(plan[0])
    return _dispatch_pool(input, plan, compact=True)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Keep the largest sample of each of so many windows that share the image evenly.

    Convention: window i spans samples floor(i * n / out) up to ceil((i + 1) * n / out), so that neighbours may overlap by a
    sample. Of equal samples the first, row by row, is taken; NaN is larger than everything, and the last NaN is taken.

    Args:
        input: [batch, channel, height, width] or [channel, height, width].
        output_size: windows along each axis, at least 1; a number or (rows, columns), None to keep a size.
        return_indices: also return where each sample was, as `row * width + column` in its plane (int64).

    Returns:
        [batch, channel, *output_size] of the type and layout of `input`; with `return_indices` a pair.

    Raises:
        ArgumentError: an output size below 1, or an image without channels, rows or columns.

    Gradient: each sample's goes where it was taken; sums run in the order of the outputs, in float32 for bfloat16.
    Source: He et al., "Spatial Pyramid Pooling in Deep Convolutional Networks", ECCV 2014.

    >>> adaptive_max_pool2d(torch.tensor([[[1., 5., 2., 0., 3.]]]), (1, 2), return_indices=True)
    (tensor([[[5., 3.]]]), tensor([[[1, 4]]]))
    """
    if input.dim() == 3:
        return _one_image(adaptive_max_pool2d, input, output_size, return_indices)
    if is_native(input):
        x, form = packed(input)
        pooling = adaptive(form, output_size)
        return pool(x, pooling, compact=False) if return_indices else pool_alone(x, pooling)
    check_image(input)
    plan = adaptive_plan(input.shape, output_size)
    pooled, positions = _dispatch_pool(input, plan, compact=is_compact(plan[0]) and not return_indices)
    return (pooled, positions) if return_indices else pooled


def global_max_pool2d(input: Tensor) -> Tensor:
    """Keep the largest sample of each channel: `adaptive_max_pool2d` with one window.

    Args:
        input: [batch, channel, height, width] or [channel, height, width].

    Returns:
        [batch, channel, 1, 1] of the type and layout of `input`.

    Raises:
        ArgumentError: an image without channels, rows or columns.

    Gradient: goes to the sample that was taken.

    >>> global_max_pool2d(torch.tensor([[[1., 5.], [3., 4.]]]))
    tensor([[[5.]]])
    """
    pooled: Tensor = adaptive_max_pool2d(input, 1)
    return pooled


def max_blur_pool2d(
    input: Tensor,
    kernel_size: ArgumentPair = 2,
    *,
    taps: int = 3,
    stride: int = 2,
    edge: str = "reflect",
) -> Tensor:
    """Max pooling that moves with the image: the largest sample around every place, smoothed, then every `stride`-th.

    Convention: `max_pool2d` of stride 1 with padding "same", then `blur_pool2d`.

    Args:
        input: [batch, channel, height, width] or [channel, height, width], floating.
        kernel_size: window of the maximum, a number or (rows, columns), at least 1.
        taps, stride, edge: as for `blur_pool2d`.

    Returns:
        [batch, channel, ceil(height / stride), ceil(width / stride)], of the type of `input`.

    Raises:
        ArgumentError: as for `max_pool2d` and `blur_pool2d`.

    Gradient: that of the one after that of the other.
    Source: Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019.

    >>> max_blur_pool2d(torch.tensor([[[[0., 4., 0., 0.]]]]), (1, 2))
    tensor([[[[4., 1.]]]])
    """
    largest: Tensor = max_pool2d(input, kernel_size, 1, "same")
    return blur_pool2d(largest, taps=taps, stride=stride, edge=edge)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: ArgumentPair,
    stride: ArgumentPair | None = None,
    padding: Padding = 0,
    output_size: Any = None,
    *,
    dilation: ArgumentPair = 1,
) -> Tensor:
    """Put each sample back where `max_pool2d` took it, in an image of zeros.

    Convention: where several samples have one position, the last of them, row by row, is kept.

    Args:
        input: [batch, channel, height, width] or [channel, height, width], the pooled samples.
        indices: their positions, of the same shape: int64 in the plane, or uint8 offsets in the window.
        kernel_size, stride, padding, dilation: as they were given to the pooling; "same" needs `output_size`.
        output_size: (height, width) of the result, or a whole shape that ends so; by default
            `(in - 1) * stride + extent - padding`.

    Returns:
        [batch, channel, *output_size] of the type of `input`.

    Raises:
        ArgumentError: shapes that disagree, a size further than a stride from the default one, or a position outside
            the result.

    Gradient: each sample gets that of its place; one that a later sample replaced gets zero (in torch it gets it too).
    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.

    >>> max_unpool2d(torch.tensor([[[5., 8.]]]), torch.tensor([[[1, 6]]]), 2)
    tensor([[[0., 5., 0., 0.],
             [0., 0., 8., 0.]]])
    """
    if input.dim() == 3 and indices.dim() == 3:
        check_image(input)
        batch = input.unsqueeze(0), indices.unsqueeze(0)
        return max_unpool2d(*batch, kernel_size, stride, padding, output_size, dilation=dilation)[0]
    _check_indices(input, indices)
    arguments = (kernel_size, stride, padding, dilation, output_size)
    if is_native(input) and is_native_positions(indices):
        x, form = packed(input)
        return unpool(x, indices, unpooling(form, *arguments))
    check_image(input)
    window, out_size = unpool_plan(input.shape, *arguments)
    if is_transformed(input):
        return _composed.max_unpool2d(input, indices, window, out_size)
    return torch.ops.downup.max_unpool2d(input, indices, out_size, *flat_arguments(window))  # type: ignore[no-any-return]


def _check_indices(x: Tensor, indices: Tensor) -> None:
    if indices.shape != x.shape:
        raise ArgumentError(
            f"indices have shape {tuple(indices.shape)} but input has {tuple(x.shape)}; give both one shape"
        )
    if indices.dtype not in (torch.int64, torch.uint8):
        raise ArgumentError(
            f"indices have dtype {indices.dtype}; use int64 (in the plane) or uint8 (in the window)"
        )
    if indices.device != x.device:
        raise ArgumentError(f"indices are on {indices.device} but input is on {x.device}; move one of them")


def is_native_positions(positions: Tensor) -> bool:
    """Whether the kernels may read `positions` directly, given that they may read the tensor they belong to."""
    return positions.is_cpu and positions.layout is torch.strided and type(positions) is Tensor


def _too_many_taps(window: Window) -> ArgumentError:
    return ArgumentError(
        f"kernel_size is {window.size}: more than 256 taps do not fit one byte; "
        "use a smaller window, or max_pool2d(..., return_indices=True)"
    )


def _dispatch_pool(x: Tensor, plan: Plan, compact: bool) -> tuple[Tensor, Tensor]:
    """The pooling of tensors that are traced, transformed, or elsewhere."""
    window, out_size = plan
    if is_transformed(x):
        composed = _composed.adaptive_max_pool2d if window.adaptive else _composed.max_pool2d
        return composed(x, window, out_size, compact)
    if window.adaptive:
        return torch.ops.downup.adaptive_max_pool2d(x, out_size, compact)  # type: ignore[no-any-return]
    return torch.ops.downup.max_pool2d(x, *flat_arguments(window), compact)  # type: ignore[no-any-return]


def _one_image(function: Any, image: Tensor, *arguments: Any) -> Any:
    """The function of an image without a batch."""
    check_image(image)
    result = function(image.unsqueeze(0), *arguments)
    return (result[0][0], result[1][0]) if isinstance(result, tuple) else result[0]
