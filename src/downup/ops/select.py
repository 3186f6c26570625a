"""Operators that select: max pooling keeps one sample of each window, un-pooling puts it back where it was."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from downup import geometry
from downup.errors import ArgumentError
from downup.geometry import Padding
from downup.kernels import Window
from downup.ops._native import is_native
from downup.ops._select_eager import apply_pool, apply_unpool
from downup.ops._select_registered import flat_arguments
from downup.ops._select_run import run_pool, run_unpool

_ArgumentPair = int | tuple[int, int]


def max_pool2d(
    input: Tensor,
    kernel_size: _ArgumentPair,
    stride: _ArgumentPair | None = None,
    padding: Padding = 0,
    dilation: _ArgumentPair = 1,
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
    # A window of more than 256 taps has no offsets; int64 positions then stand in for them.
    compact = not return_indices and _taps(kernel_size) <= 256
    pooled, positions = _pool(
        input, kernel_size, stride, padding, dilation, ceil_mode, compact, return_indices
    )
    return (pooled, positions) if return_indices else pooled


def max_pool2d_with_offsets(
    input: Tensor,
    kernel_size: _ArgumentPair,
    stride: _ArgumentPair | None = None,
    padding: Padding = 0,
    dilation: _ArgumentPair = 1,
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
    if _taps(kernel_size) > 256:
        raise ArgumentError(
            f"kernel_size is {kernel_size}: more than 256 taps do not fit one byte; "
            "use a smaller window, or max_pool2d(..., return_indices=True)"
        )
    pooled, offsets = _pool(input, kernel_size, stride, padding, dilation, ceil_mode, True, True)
    return pooled, offsets


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: _ArgumentPair,
    stride: _ArgumentPair | None = None,
    padding: Padding = 0,
    output_size: Any = None,
    *,
    dilation: _ArgumentPair = 1,
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
    x, indices, is_single = _batched(input, indices)
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
    size = geometry.pair("kernel_size", kernel_size, 1)
    step = size if stride is None else geometry.pair("stride", stride, 1)
    apart = geometry.pair("dilation", dilation, 1)
    wanted = None if output_size is None else tuple(output_size)[-2:]
    if wanted is not None and len(wanted) != 2:
        raise ArgumentError(f"output_size is {output_size!r}; use (height, width)")
    if wanted is None and padding in ("same", "same_lower"):
        raise ArgumentError(
            f"padding is {padding!r}, which depends on the size before pooling; give it as output_size"
        )
    sides = geometry.resolve_padding(padding, wanted or (0, 0), size, step, apart)
    window = Window(size, step, (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]), apart)
    out_size = _unpooled_size((x.shape[2], x.shape[3]), window, wanted)
    if is_native(x) and is_native_positions(indices):
        needs_graph = torch.is_grad_enabled() and x.requires_grad
        out = (
            apply_unpool(x, indices, window, out_size)
            if needs_graph
            else run_unpool(x, indices, window, out_size)
        )
    else:
        out = torch.ops.downup.max_unpool2d(x, indices, out_size, *flat_arguments(window))
    return out[0] if is_single else out


def _taps(kernel_size: Any) -> int:
    rows, columns = geometry.pair("kernel_size", kernel_size, 1)
    return rows * columns


def _batched(*tensors: Tensor) -> Any:
    """The tensors with a batch axis, and whether it was added here."""
    x = tensors[0]
    if x.dim() not in (3, 4):
        raise ArgumentError(
            f"input has shape {tuple(x.shape)}; use [batch, channel, height, width] or [channel, height, width]"
        )
    # A symbolic size is known to be positive.
    if any(isinstance(size, int) and size < 1 for size in x.shape[-3:]):
        raise ArgumentError(f"input has shape {tuple(x.shape)}; use at least 1 channel, row and column")
    if x.dim() == 4:
        return *tensors, False
    return *(t.unsqueeze(0) for t in tensors), True


@lru_cache(maxsize=4096)
def _cached_window(
    in_size: tuple[int, int], size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    return _new_window(in_size, size, stride, padding, dilation, ceil_mode)


def _new_window(in_size: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    size = geometry.pair("kernel_size", size, 1)
    stride = size if stride is None or stride == () or stride == [] else geometry.pair("stride", stride, 1)
    dilation = geometry.pair("dilation", dilation, 1)
    (top, bottom), (left, right) = geometry.pool_padding(padding, in_size, size, stride, dilation)
    # A symbolic padding, "same" of a symbolic size, is written as numbers so that both size rules read the same.
    before, after = (top, left), (bottom, right)
    rows = geometry.window_out_size(
        in_size[0], size[0], stride[0], (top, bottom), dilation[0], ceil_mode, axis="rows"
    )
    columns = geometry.window_out_size(
        in_size[1], size[1], stride[1], (left, right), dilation[1], ceil_mode, axis="columns"
    )
    return Window(size, stride, before, after, dilation, bool(ceil_mode)), (rows, columns)


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def _unpooled_size(in_size: Any, window: Window, wanted: Any) -> tuple[int, int]:
    default = tuple(
        (in_size[i] - 1) * window.stride[i]
        + geometry.extent(window.size[i], window.dilation[i])
        - window.pad_before[i]
        - window.pad_after[i]
        for i in (0, 1)
    )
    if wanted is None:
        if any(isinstance(size, int) and size < 1 for size in default):
            raise ArgumentError(f"the un-pooled image would be {default[0]} x {default[1]}; use less padding")
        return default[0], default[1]
    for i, axis in enumerate(("height", "width")):
        # The pooling forgot less than a stride on either side; further off, it was not this pooling's input.
        low, high = max(default[i] - window.stride[i], 0), default[i] + window.stride[i]
        if not low < wanted[i] < high:
            raise ArgumentError(
                f"output_size is {wanted} but this window makes a {axis} of {default[i]} from {in_size[i]}; "
                f"use {low + 1} to {high - 1}"
            )
    return wanted[0], wanted[1]


def is_native_positions(positions: Tensor) -> bool:
    """Whether the kernels may read `positions` directly, given that they may read the tensor they belong to."""
    return positions.is_cpu and positions.layout is torch.strided and type(positions) is Tensor


def _pool(
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    compact: bool,
    wants_positions: bool,
) -> Any:
    x, is_single = _batched(input)
    arguments = (_tuple(kernel_size), _tuple(stride), _tuple(padding), _tuple(dilation), ceil_mode)
    if is_native(x):
        window, out_size = _cached_window((x.shape[2], x.shape[3]), *arguments)
        if x.requires_grad and torch.is_grad_enabled():
            pooled, positions = apply_pool(x, window, out_size, compact)
        else:
            pooled, positions = run_pool(x, window, out_size, compact, wants_positions)
    else:
        window, _ = _new_window((x.shape[2], x.shape[3]), *arguments)
        pooled, positions = torch.ops.downup.max_pool2d(x, *flat_arguments(window), compact)
    if is_single:
        return pooled[0], positions[0] if positions is not None else positions
    return pooled, positions
