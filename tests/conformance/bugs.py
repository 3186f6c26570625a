"""Bugs that implementations of these operators have had, as a table: what is wrong, where, and the call made instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from conformance.planted import Arguments, Bug, instead, of_positions, of_result
from downup.geometry import pair, pool_padding


def _swapped(name: str) -> Callable[[Arguments], Any]:
    def swap(arguments: Arguments) -> Any:
        value = arguments[name] if arguments[name] is not None else arguments["kernel_size"]
        return tuple(reversed(pair(name, value)))

    return swap


def _window(arguments: Arguments) -> Any:
    """kernel, stride, dilation, and the padding ((top, bottom), (left, right)) of a call."""
    kernel = pair("kernel_size", arguments["kernel_size"])
    step = pair("stride", arguments["stride"]) if arguments["stride"] else kernel
    apart = pair("dilation", arguments["dilation"])
    size = tuple(arguments["input"].shape[-2:])
    return kernel, step, apart, pool_padding(arguments["padding"], size, kernel, step, apart)


def _taps(arguments: Arguments, out_size: Any) -> tuple[Tensor, Tensor]:
    """[rows * columns, taps]: each window's flat places on the plane, row by row, and which of them it has."""
    size = arguments["input"].shape[-2:]
    kernel, step, apart, sides = _window(arguments)
    axes = [
        torch.arange(out_size[i])[:, None] * step[i] - sides[i][0] + torch.arange(kernel[i]) * apart[i]
        for i in (0, 1)
    ]
    y, x = axes[0][:, None, :, None], axes[1][None, :, None, :]
    is_inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    flat = (y.clamp(0, size[0] - 1) * size[1] + x.clamp(0, size[1] - 1)).expand(is_inside.shape)
    count = kernel[0] * kernel[1]
    return flat.reshape(-1, count), is_inside.reshape(-1, count)


def _windows(x: Tensor, arguments: Arguments, out_size: Any) -> tuple[Tensor, Tensor]:
    """[..., windows, taps]: the samples of each window, minus infinity outside; and their places."""
    flat, is_inside = _taps(arguments, out_size)
    return x.flatten(-2)[..., flat].masked_fill(~is_inside, -torch.inf), flat


def last_tie(right: Callable[..., Any], arguments: Arguments) -> Any:
    result = right(**arguments)
    if not isinstance(result, tuple) or not arguments["input"].is_floating_point():
        return result
    samples, flat = _windows(arguments["input"].detach(), arguments, result[0].shape[-2:])
    tap = samples.shape[-1] - 1 - samples.flip(-1).argmax(-1)
    places = flat.expand(samples.shape).gather(-1, tap[..., None])[..., 0]
    return result[0], places.view(result[1].shape)


def gradient_to_the_first_tap(right: Callable[..., Any], arguments: Arguments) -> Any:
    x = arguments["input"]
    if not x.is_floating_point():
        return right(**arguments)
    result = right(**(arguments | {"input": x.detach()}))
    pooled = result[0] if isinstance(result, tuple) else result
    samples, _ = _windows(torch.zeros_like(x) + x - x.detach(), arguments, pooled.shape[-2:])
    first = samples.masked_fill(samples.isinf(), 0)[..., 0].view(pooled.shape)
    pooled = pooled + (first - first.detach())
    return (pooled, *result[1:]) if isinstance(result, tuple) else pooled


def one_window_too_many(pooled: Tensor, arguments: Arguments) -> Tensor:
    if not arguments["ceil_mode"]:
        return pooled
    kernel, step, apart, sides = _window(arguments)
    rows, columns = (
        -(-(n + sum(sides[i]) - apart[i] * (kernel[i] - 1) - 1) // step[i]) + 1
        for i, n in enumerate(arguments["input"].shape[-2:])
    )
    extra = (0, max(columns - pooled.shape[-1], 0), 0, max(rows - pooled.shape[-2], 0))
    return F.pad(pooled.float(), extra).to(pooled.dtype) if any(extra) else pooled


def zero_padding(right: Callable[..., Any], arguments: Arguments) -> Any:
    result = right(**arguments)
    if not arguments["input"].is_floating_point():
        return result
    pooled = result[0] if isinstance(result, tuple) else result
    _, is_inside = _taps(arguments, pooled.shape[-2:])
    touches = ~is_inside.all(-1).view(pooled.shape[-2:])
    pooled = torch.where(touches, pooled.clamp(min=0), pooled)
    return (pooled, *result[1:]) if isinstance(result, tuple) else pooled


def first_of_repeated_positions(right: Callable[..., Any], arguments: Arguments) -> Any:
    """Samples and positions from the last to the first: what is written last then stood first."""
    turned = {name: arguments[name].flip((-1, -2)) for name in ("input", "indices")}
    return right(**(arguments | turned))


def sums_in_bfloat16(right: Callable[..., Any], arguments: Arguments) -> Any:
    x = arguments["input"]
    if x.dtype is not torch.bfloat16 or arguments["divisor_override"] is not None:
        return right(**arguments)
    exact = right(**(arguments | {"divisor_override": 1}))
    scale = right(**arguments)
    # A sum rounded once more than it should be, before it is divided.
    return torch.where(exact == 0, scale, exact * (scale / exact))


def unnormalised_at_edges(resized: Tensor, arguments: Arguments) -> Tensor:
    """What is left of a triangle filter that reaches beyond the image, not divided by its sum."""
    if not (arguments["antialias"] and arguments["mode"] == "bilinear") or resized.dtype is torch.uint8:
        return resized
    out = resized
    for axis in (-2, -1):
        n, new = arguments["input"].shape[axis], resized.shape[axis]
        scale = max(n / new, 1.0)
        centre = (torch.arange(new) + 0.5) * n / new - 0.5
        share = (1 - (torch.arange(n) - centre[:, None]).abs() / scale).clamp(min=0).sum(1) / scale
        out = out * (share[:, None] if axis == -2 else share).clamp(max=1).to(out.dtype)
    return out


def without_the_last_column(right: Callable[..., Any], arguments: Arguments) -> Any:
    """Its gradient is lost."""
    x = arguments["input"]
    return right(**(arguments | {"input": torch.cat([x[..., :-1], x[..., -1:].detach()], -1)}))


def strides_ignored(right: Callable[..., Any], arguments: Arguments) -> Any:
    x = arguments["input"]
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last) or min(x.stride()) < 0:
        return right(**arguments)
    return right(**(arguments | {"input": x.as_strided(x.shape, torch.empty(x.shape).stride())}))


def in_float32(right: Callable[..., Any], arguments: Arguments) -> Any:
    x = arguments["input"]
    is_double = x.dtype is torch.float64
    return right(**(arguments | {"input": x.float()})).double() if is_double else right(**arguments)


def dcr_for_crd(right: Callable[..., Any], arguments: Arguments) -> Any:
    x, r = arguments["input"], arguments["upscale_factor"]
    channels = x.shape[-3] // (r * r)
    moved = x.unflatten(-3, (r * r, channels)).transpose(-3, -4).flatten(-4, -3)
    return right(**(arguments | {"input": moved}))


def floored_ends(right: Callable[..., Any], arguments: Arguments) -> Any:
    """Adaptive windows that end where the next begins."""
    x = arguments["input"]
    pooled = right(**arguments)
    if x.dim() != 4 or x.dtype in (torch.float16, torch.bfloat16):
        return pooled
    (rows, columns), (new_rows, new_columns) = x.shape[-2:], pooled.shape[-2:]

    def edges(n: int, new: int) -> list[tuple[int, int]]:
        return [(i * n // new, max((i + 1) * n // new, i * n // new + 1)) for i in range(new)]

    lines = [
        torch.stack([x[..., t:b, lo:hi].mean((-1, -2)) for lo, hi in edges(columns, new_columns)], -1)
        for t, b in edges(rows, new_rows)
    ]
    return torch.stack(lines, -2)


def extra_column_first(out: Tensor, arguments: Arguments) -> Tensor:
    return out if pair("output_padding", arguments["output_padding"])[1] == 0 else out.roll(1, -1)


def other_groups(arguments: Arguments) -> Tensor:
    weight, groups = arguments["weight"], arguments["groups"]
    return weight.roll(weight.shape[0] // groups, 0) if groups > 1 else weight


BUGS = (
    Bug("dilation ignored", "max_pool2d", instead(dilation=1)),
    Bug("zero instead of minus infinity in the padding", "max_pool2d", zero_padding),
    Bug("the last of equal samples instead of the first", "max_pool2d", last_tie),
    Bug(
        "NaN not propagated",
        "max_pool2d",
        instead(
            input=lambda a: a["input"].nan_to_num(-3e38) if a["input"].is_floating_point() else a["input"]
        ),
    ),
    Bug("ceil_mode ignored", "max_pool2d", instead(ceil_mode=False)),
    Bug("the window that starts beyond the image not dropped", "max_pool2d", of_result(one_window_too_many)),
    Bug(
        "positions down the columns",
        "max_pool2d",
        of_positions(
            lambda p, a: p % a["input"].shape[-1] * a["input"].shape[-2] + p // a["input"].shape[-1]
        ),
    ),
    Bug(
        "positions in the padded plane",
        "max_pool2d",
        of_positions(lambda p, a: p + p // a["input"].shape[-1] * sum(_window(a)[3][1])),
    ),
    Bug("kernel rows and columns swapped", "max_pool2d", instead(kernel_size=_swapped("kernel_size"))),
    Bug("stride rows and columns swapped", "max_pool2d", instead(stride=_swapped("stride"))),
    Bug("gradient sent to the first tap", "max_pool2d", gradient_to_the_first_tap),
    Bug("strides of memory ignored", "max_pool2d", strides_ignored),
    Bug("the first of repeated positions kept", "max_unpool2d", first_of_repeated_positions),
    Bug("output_size ignored", "max_unpool2d", instead(output_size=None)),
    Bug("count_include_pad ignored", "avg_pool2d", instead(count_include_pad=True)),
    Bug("divisor_override ignored", "avg_pool2d", instead(divisor_override=None)),
    Bug("bfloat16 sums rounded to bfloat16", "avg_pool2d", sums_in_bfloat16),
    Bug("float64 computed in float32", "avg_pool2d", in_float32),
    Bug("the gradient of the last column lost", "avg_pool2d", without_the_last_column),
    Bug("windows end where the next begins", "adaptive_avg_pool2d", floored_ends),
    Bug("align_corners ignored", "interpolate", instead(align_corners=None)),
    Bug(
        "no shift by half a pixel",
        "interpolate",
        instead(
            coordinates=lambda a: (
                "asymmetric"
                if a["mode"] in ("bilinear", "bicubic") and not a["antialias"]
                else a["coordinates"]
            ),
            align_corners=lambda a: (
                None if a["mode"] in ("bilinear", "bicubic") and not a["antialias"] else a["align_corners"]
            ),
        ),
    ),
    Bug(
        "nearest rounds instead of flooring",
        "interpolate",
        instead(mode=lambda a: "nearest-exact" if a["mode"] == "nearest" else a["mode"]),
    ),
    Bug(
        "antialias ignored",
        "interpolate",
        instead(antialias=lambda a: a["mode"] == "lanczos"),
    ),
    Bug("weights not normalised at the edges", "interpolate", of_result(unnormalised_at_edges)),
    Bug(
        "another cubic coefficient",
        "interpolate",
        instead(cubic_coefficient=lambda a: -0.6 if a["mode"] == "bicubic" else None),
    ),
    Bug(
        "scale_factor replaced by the ratio of the sizes",
        "interpolate",
        instead(recompute_scale_factor=lambda a: True if a["scale_factor"] is not None else None),
    ),
    Bug("the gradient of the last column lost", "interpolate", without_the_last_column),
    Bug("channels in the order of TensorFlow", "pixel_shuffle", dcr_for_crd),
    Bug(
        "the odd pixel of same padding first",
        "conv2d",
        instead(padding=lambda a: "same_lower" if a["padding"] == "same" else a["padding"]),
    ),
    Bug("the extra column of output_padding at the left", "conv_transpose2d", of_result(extra_column_first)),
    Bug("groups given each other's filters", "conv_transpose2d", instead(weight=other_groups)),
)
