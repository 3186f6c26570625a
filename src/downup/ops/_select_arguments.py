"""What the arguments of the selecting operators mean: windows and sizes, worked out once for each shape."""

from __future__ import annotations

from typing import Any

from downup import geometry
from downup.errors import ArgumentError
from downup.kernels import Window

ArgumentPair = int | tuple[int, int]


# A window, and (rows, columns) of its result.
Plan = tuple[Window, tuple[int, int]]


def is_compact(window: Window) -> bool:
    """Whether a byte tells the taps apart."""
    return bool(window.size[0] * window.size[1] <= 256)


def pool_plan(shape: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Plan:
    """The plan of a pooling of [n, c, h, w]; sizes may be symbols."""
    size = geometry.pair("kernel_size", size, 1)
    stride = size if stride is None or stride == () or stride == [] else geometry.pair("stride", stride, 1)
    dilation = geometry.pair("dilation", dilation, 1)
    (top, bottom), (left, right) = geometry.pool_padding(
        padding, (shape[2], shape[3]), size, stride, dilation
    )
    # A symbolic padding, "same" of a symbolic size, is written as numbers so that both size rules read the same.
    before, after = (top, left), (bottom, right)
    rows = geometry.window_out_size(
        shape[2], size[0], stride[0], (top, bottom), dilation[0], ceil_mode, axis="rows"
    )
    columns = geometry.window_out_size(
        shape[3], size[1], stride[1], (left, right), dilation[1], ceil_mode, axis="columns"
    )
    window = Window(size, stride, before, after, dilation, bool(ceil_mode))
    return window, (rows, columns)


def adaptive_window(in_size: Any, out_size: Any) -> Window:
    """The window of an adaptive pooling: as large as the largest that one of its samples sees."""
    rows, columns = (geometry.adaptive_window_size(in_size[i], out_size[i]) for i in (0, 1))
    return Window((rows, columns), (1, 1), adaptive=True)


def adaptive_plan(shape: Any, output_size: Any) -> Plan:
    """The plan of an adaptive pooling of [n, c, h, w]; None in `output_size` keeps a size."""
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(wanted) != 2:
        raise ArgumentError(f"output_size is {output_size!r}; use one number, or a pair (rows, columns)")
    sizes = (
        shape[2 + i] if n is None else geometry.whole("output_size", n, 1, output_size)
        for i, n in enumerate(wanted)
    )
    rows, columns = sizes
    if any(isinstance(n, int) and n > 2**31 - 1 for n in (rows, columns)):
        raise ArgumentError(f"output_size is {output_size!r}; use at most 2**31 - 1")
    window = adaptive_window(shape[2:], (rows, columns))
    return window, (rows, columns)


def unpool_plan(shape: Any, size: Any, stride: Any, padding: Any, dilation: Any, output_size: Any) -> Plan:
    """The window of an un-pooling of [n, c, h, w], and the size that it goes back to."""
    size = geometry.pair("kernel_size", size, 1)
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
    return window, _unpooled_size((shape[2], shape[3]), window, wanted)


def _unpooled_size(in_size: Any, window: Window, wanted: Any) -> tuple[int, int]:
    """(height, width) that the samples of a window go back to: as wanted, if that is near what the window says."""
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
