"""Pooling and interpolation in torch's own functions, for devices and types that the kernel does not know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Bound here, not looked up in torch.nn.functional at run time: see the package's docstring.
from torch import constant_pad_nd as _zero_pad
from torch import conv2d as _conv2d
from torch._C._nn import avg_pool2d as _avg_pool2d

from downup.kernels import Window
from downup.ops._resample_plan import AxisPlan, make_taps
from downup.ops._resample_run import compose_resample

_reflection_pad2d = torch.ops.aten.reflection_pad2d.default
_replication_pad2d = torch.ops.aten.replication_pad2d.default


def average(x: Tensor, window: Window, out_size: Any, divisor: int | str) -> Tensor:
    """`avg_pool2d` by a window; `divisor` is a number, "padded" or "inside"."""
    (top, left), (bottom, right) = window.pad_before, window.pad_after
    is_plain = window.dilation == (1, 1) and (top, left) == (bottom, right)
    if is_plain:
        given = None if isinstance(divisor, str) else divisor
        counts_padding = divisor == "padded"
        return _avg_pool2d(
            x, window.size, window.stride, (top, left), window.ceil_mode, counts_padding, given
        )
    # Half types are summed in float32 and rounded once, as torch does inside its own kernel.
    exact = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    # Padded so that exactly these windows fit, whatever the sides and the rounding.
    extra = []
    for i in (1, 0):
        reach = (out_size[i] - 1) * window.stride[i] + window.dilation[i] * (window.size[i] - 1) + 1
        extra += [window.pad_before[i], reach - window.pad_before[i] - x.shape[2 + i]]
    weight = x.new_ones((x.shape[1], 1, *window.size), dtype=exact.dtype)
    padded = _zero_pad(exact, extra)
    sums = _conv2d(padded, weight, None, window.stride, (0, 0), window.dilation, x.shape[1])
    if not isinstance(divisor, str):
        return (sums / divisor).to(x.dtype)
    rows, columns = (_counts(x, window, i, out_size[i], divisor) for i in (0, 1))
    return (sums / (rows[:, None] * columns)).to(x.dtype)


def _counts(x: Tensor, window: Window, axis: int, out_size: Any, counted: str) -> Tensor:
    """[out_size]: how many taps of each window count."""
    begin = 0 if counted == "inside" else -window.pad_before[axis]
    end = x.shape[2 + axis] + (0 if counted == "inside" else window.pad_after[axis])
    start = torch.arange(out_size, device=x.device) * window.stride[axis] - window.pad_before[axis]
    taps = start[:, None] + torch.arange(window.size[axis], device=x.device) * window.dilation[axis]
    return ((taps >= begin) & (taps < end)).sum(1).clamp(min=1)


def blur(x: Tensor, taps: int, stride: tuple[int, int], edge: str) -> Tensor:
    """`blur_pool2d` in one depthwise convolution."""
    before, after = (taps - 1) // 2, taps // 2
    for size, sides in ((x.shape[-2], [0, 0, before, after]), (x.shape[-1], [before, after, 0, 0])):
        if edge == "zero":
            x = _zero_pad(x, sides)
        else:
            mirrors = edge == "reflect" and size > after
            x = (_reflection_pad2d if mirrors else _replication_pad2d)(x, sides) if after else x
    row = [1.0]
    for _ in range(taps - 1):
        row = [(a + b) / 2 for a, b in zip([0.0, *row], [*row, 0.0], strict=True)]
    line = torch.tensor(row, dtype=x.dtype, device=x.device)
    channels = x.shape[-3]
    weight = (line[:, None] * line).expand(channels, 1, taps, taps)
    return _conv2d(x, weight, None, stride, (0, 0), (1, 1), channels)


def by_matrices(x: Tensor, rows: AxisPlan, columns: AxisPlan) -> Tensor:
    """What torch has no function for."""
    return compose_resample(x, make_taps(rows), make_taps(columns))
