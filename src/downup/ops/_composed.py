"""The selecting operators in torch's own functions, for devices and types that the kernels do not know.

The same values, positions and gradients as the kernels give, at torch's speed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from downup.errors import ArgumentError
from downup.kernels import Window
from downup.ops._native import is_transformed

_pool = torch.ops.aten.max_pool2d_with_indices.default
_adaptive_pool = torch.ops.aten.adaptive_max_pool2d.default
_pad = torch.ops.aten.constant_pad_nd.default


def max_pool2d(x: Tensor, window: Window, out_size: tuple[int, int], compact: bool) -> tuple[Tensor, Tensor]:
    """Values [n, c, *out_size] and their positions, offsets when `compact`."""
    rows, columns = x.shape[2:]
    # Padded so that exactly these windows fit, whatever the sides and the rounding.
    extra = []
    for i in (1, 0):
        reach = (out_size[i] - 1) * window.stride[i] + window.dilation[i] * (window.size[i] - 1) + 1
        extra += [window.pad_before[i], reach - window.pad_before[i] - x.shape[2 + i]]
    lowest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    # torch counts the samples of an image in the type of its samples: 16 bits and fewer are too few for that.
    is_short = not x.is_floating_point() and x.dtype.itemsize < 4
    padded = _pad(x.int() if is_short else x, extra, lowest)
    pooled, flat = _pool(padded, window.size, window.stride, 0, window.dilation)
    y = torch.div(flat, padded.shape[3], rounding_mode="floor") - window.pad_before[0]
    at = flat % padded.shape[3] - window.pad_before[1]
    # Where all is as low as the padding, torch may point into the padding: the first tap on the plane is meant.
    first_y, first_x = (_first_tap(window, i, out_size[i], x.shape[2 + i], x.device) for i in (0, 1))
    first_y = first_y.view(-1, 1).expand_as(y)
    first_x = first_x.expand_as(at)
    is_outside = (y < 0) | (y >= rows) | (at < 0) | (at >= columns)
    y, at = torch.where(is_outside, first_y, y), torch.where(is_outside, first_x, at)
    is_empty = (first_y >= rows) | (first_x >= columns)
    layout = torch._prims_common.suggest_memory_format(x)
    if compact:
        start_y, start_x = (_starts(window, i, out_size[i], x.shape[2 + i], x.device) for i in (0, 1))
        tap_y = torch.div(y - start_y.view(-1, 1), window.dilation[0], rounding_mode="floor")
        tap_x = torch.div(at - start_x, window.dilation[1], rounding_mode="floor")
        positions = (tap_y * window.size[1] + tap_x).masked_fill(is_empty, 0).to(torch.uint8)
    else:
        positions = (y * columns + at).masked_fill(is_empty, -1)
    pooled = pooled.to(x.dtype)
    return pooled.contiguous(memory_format=layout), positions.contiguous(memory_format=layout)


def adaptive_max_pool2d(
    x: Tensor, window: Window, out_size: tuple[int, int], compact: bool
) -> tuple[Tensor, Tensor]:
    """The same of windows that share the image evenly."""
    pooled, positions = _adaptive_pool(x, out_size)
    if compact:
        start_y, start_x = (_starts(window, i, out_size[i], x.shape[2 + i], x.device) for i in (0, 1))
        tap_y = torch.div(positions, x.shape[3], rounding_mode="floor") - start_y.view(-1, 1)
        positions = (tap_y * window.size[1] + positions % x.shape[3] - start_x).to(torch.uint8)
    layout = torch._prims_common.suggest_memory_format(x)
    return pooled.contiguous(memory_format=layout), positions.contiguous(memory_format=layout)


def _starts(window: Window, axis: int, count: Any, in_size: Any, device: torch.device) -> Tensor:
    windows = torch.arange(count, device=device)
    if window.adaptive:
        return torch.div(windows * in_size, count, rounding_mode="floor")
    return windows * window.stride[axis] - window.pad_before[axis]


def _last_taps(window: Window, axis: int, count: Any, in_size: Any, device: torch.device) -> Tensor:
    """How many taps each window has, less one."""
    if window.adaptive:
        windows = torch.arange(1, count + 1, device=device)
        ends = torch.div(windows * in_size + count - 1, count, rounding_mode="floor")
        return ends - _starts(window, axis, count, in_size, device) - 1
    return torch.full((count,), window.size[axis] - 1, device=device)


def _first_tap(window: Window, axis: int, count: Any, in_size: Any, device: torch.device) -> Tensor:
    start, dilation = _starts(window, axis, count, in_size, device), window.dilation[axis]
    before = torch.div(-start + dilation - 1, dilation, rounding_mode="floor").clamp(min=0)
    return start + before * dilation


def _places(positions: Tensor, window: Window, size: Any, *, is_pooling: bool) -> tuple[Tensor, Tensor]:
    """Flat place of each position in a plane of `size`, and whether it has one: a window of padding alone has none."""
    rows, columns = ((window, i, positions.shape[2 + i], size[i], positions.device) for i in (0, 1))
    has_place = torch.ones_like(positions, dtype=torch.bool)
    if is_pooling:
        has_place &= (_first_tap(*rows).view(-1, 1) < size[0]) & (_first_tap(*columns) < size[1])
    start_y, start_x = _starts(*rows).view(-1, 1), _starts(*columns)
    last_y, last_x = _last_taps(*rows).view(-1, 1), _last_taps(*columns)
    if positions.dtype == torch.uint8:
        offsets = positions.long()
        tap_y, tap_x = torch.div(offsets, window.size[1], rounding_mode="floor"), offsets % window.size[1]
        y, x = start_y + tap_y * window.dilation[0], start_x + tap_x * window.dilation[1]
        is_bad = (tap_y > last_y) | (tap_x > last_x) | (y < 0) | (y >= size[0]) | (x < 0) | (x >= size[1])
        flat = y * size[1] + x
    else:
        flat = positions
        is_bad = (flat < 0) | (flat >= size[0] * size[1])
        if is_pooling:
            y, x = torch.div(flat, size[1], rounding_mode="floor"), flat % size[1]
            for way, last, i in ((y - start_y, last_y, 0), (x - start_x, last_x, 1)):
                is_bad |= (way < 0) | (way % window.dilation[i] != 0) | (way > last * window.dilation[i])
    # Nothing can be asked of many positions at once (vmap); scatter and gather then refuse those outside the plane.
    if not is_transformed(positions) and bool((is_bad & has_place).any()):
        where = "their windows in the plane" if is_pooling else "the plane"
        raise ArgumentError(
            f"{int((is_bad & has_place).sum())} of {is_bad.numel()} positions lie outside {where} of "
            f"{size[0]} x {size[1]}; use the positions and the size of the pooling that is undone"
        )
    return flat.masked_fill(~has_place, 0), has_place


def _lined(planes: Tensor) -> Tensor:
    """[n, c, rows * columns]; not by `flatten`, which batched gradients do not know."""
    return planes.reshape(*planes.shape[:2], planes.shape[2] * planes.shape[3])


def _put(values: Tensor, flat: Tensor, size: Any, like: Tensor) -> Tensor:
    """Values added at their places in a plane of zeros, in the layout of `like`."""
    plane = values.new_zeros((*values.shape[:2], size[0] * size[1]))
    plane = plane.scatter_add(2, _lined(flat), _lined(values)).view(*values.shape[:2], *size)
    return plane.contiguous(memory_format=torch._prims_common.suggest_memory_format(like))


def _get(plane: Tensor, flat: Tensor, is_used: Tensor) -> Tensor:
    """The values at these places, zero where not used, in the layout of `plane`."""
    values = _lined(plane).gather(2, _lined(flat)).view(flat.shape).masked_fill(~is_used, 0)
    return values.contiguous(memory_format=torch._prims_common.suggest_memory_format(plane))


def _is_kept(flat: Tensor, size: Any) -> Tensor:
    """Whether no later position of the plane is the same."""
    places = _lined(flat)
    order = torch.arange(places.shape[2], device=flat.device).expand(places.shape)
    last = torch.full((*flat.shape[:2], size[0] * size[1]), -1, device=flat.device)
    last = last.scatter_reduce(2, places, order, "amax")
    return (last.gather(2, places) == order).view(flat.shape)


def max_pool2d_backward(grad: Tensor, positions: Tensor, window: Window, in_size: Any) -> Tensor:
    """Each gradient added where its sample was taken."""
    flat, has_place = _places(positions, window, in_size, is_pooling=True)
    return _put(grad.masked_fill(~has_place, 0), flat, in_size, grad)


def max_pool2d_take(values: Tensor, positions: Tensor, window: Window) -> Tensor:
    """The value at each position, zero for a window of padding only."""
    flat, has_place = _places(positions, window, values.shape[2:], is_pooling=True)
    return _get(values, flat, has_place)


def max_unpool2d(x: Tensor, positions: Tensor, window: Window, out_size: Any) -> Tensor:
    """Each sample at its position in a plane of zeros; the last of several is kept."""
    flat, _ = _places(positions, window, out_size, is_pooling=False)
    return _put(x.masked_fill(~_is_kept(flat, out_size), 0), flat, out_size, x)


def max_unpool2d_backward(grad: Tensor, positions: Tensor, window: Window) -> Tensor:
    """The gradient at each position, zero for a sample that a later one replaced."""
    flat, _ = _places(positions, window, grad.shape[2:], is_pooling=False)
    return _get(grad, flat, _is_kept(flat, grad.shape[2:]))
