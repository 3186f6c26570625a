"""Random calls of every operator that torch has as well: a generator of each draws its arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ops.test_select import out_size, random_case, random_values

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
WHOLE = (torch.uint8, torch.int32, torch.int64)
KINDS = ("normal", "normal", "ties", "nan", "infinite")
LAYOUTS = ("contiguous", "channels-last", "turned", "stepped", "reversed", "unbatched")


@dataclass(frozen=True)
class Call:
    """`operator(x, *tensors, **arguments)`; `rule` as in `opinfo_calls.Suite`."""

    operator: str
    rule: str
    x: Tensor
    arguments: dict[str, Any]
    tensors: tuple[Any, ...] = ()
    traits: tuple[str, ...] = ()
    spoiled: str = ""

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        shapes = [None if t is None else tuple(t.shape) for t in self.tensors]
        kind = f"{str(self.x.dtype)[6:]} {tuple(self.x.shape)} of strides {self.x.stride()}"
        return f"{self.operator}({kind}, {shapes}, {arguments}) [{', '.join(self.traits)}] {self.spoiled}"


@dataclass(frozen=True)
class Dice:
    """One seed for the choices and for the contents."""

    numbers: np.random.Generator
    contents: torch.Generator = field(default_factory=torch.Generator)

    @classmethod
    def of(cls, seed: int) -> Dice:
        return cls(np.random.default_rng(seed), torch.Generator().manual_seed(seed))

    def one(self, *values: Any) -> Any:
        return values[int(self.numbers.integers(len(values)))]

    def whole(self, low: int, high: int) -> int:
        return int(self.numbers.integers(low, high + 1))

    def pair(self, low: int, high: int) -> tuple[int, int]:
        return self.whole(low, high), self.whole(low, high)

    def chance(self, share: float) -> bool:
        return bool(self.numbers.random() < share)

    def number_or_pair(self, low: int, high: int) -> Any:
        return self.whole(low, high) if self.chance(0.5) else self.pair(low, high)


def laid_out(x: Tensor, layout: str) -> Tensor:
    """The same values in another order of memory; "unbatched" drops the batch."""
    if layout == "channels-last":
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "turned":
        return x.transpose(2, 3).contiguous().transpose(2, 3)
    if layout == "stepped":
        wide = torch.zeros((*x.shape[:3], 2 * x.shape[3]), dtype=x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "reversed":
        return x.flip(1).contiguous(memory_format=torch.channels_last).flip(1)
    return x[0] if layout == "unbatched" else x


def image(dice: Dice, types: tuple[torch.dtype, ...], most: int = 30, kinds: tuple[str, ...] = KINDS) -> Any:
    """An image of odd sizes, and its traits."""
    shape = (dice.whole(1, 2), dice.whole(1, 19), *dice.pair(1, most))
    return content(dice, shape, dice.one(*types), kinds)


def content(dice: Dice, shape: tuple[int, ...], dtype: torch.dtype, kinds: tuple[str, ...] = KINDS) -> Any:
    layout = dice.one(*LAYOUTS)
    kind = dice.one(*kinds) if dtype.is_floating_point else "whole"
    if dtype.is_floating_point:
        case = {"content": kind, "dtype": torch.float64, "layout": torch.contiguous_format}
        x = random_values(case, shape, dice.contents)
    else:
        x = torch.randint(0, 200, shape, generator=dice.contents)
    return laid_out(x.to(dtype), layout), (str(dtype)[6:], layout, kind)


def _max_pool2d(dice: Dice) -> Call:
    case = random_case(dice.numbers)
    kernel, stride, padding, dilation, ceil_mode = case["arguments"]
    x, traits = content(dice, case["shape"], dice.one(*FLOATS, *FLOATS, *WHOLE))
    arguments = {
        "kernel_size": kernel[0] if kernel[0] == kernel[1] else kernel,
        "stride": None if stride == kernel else stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
        "return_indices": dice.chance(0.5),
    }
    return Call("max_pool2d", "exact", x, arguments, (), traits)


def _max_unpool2d(dice: Dice) -> Call:
    """The way back of a pool, with the positions it gave."""
    kernel, dtype = dice.pair(1, 4), dice.one(*FLOATS)
    stride = kernel if dice.chance(0.5) else dice.pair(1, 4)
    padding = tuple(dice.whole(0, k // 2) for k in kernel)
    size = tuple(dice.whole(k, 25) for k in kernel)
    x = random_values(
        {"content": "normal", "dtype": torch.float64, "layout": torch.contiguous_format},
        (dice.whole(1, 2), dice.whole(1, 19), *size),
        dice.contents,
    ).to(dtype)
    layout = dice.one(*LAYOUTS)
    pooled, positions = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
    arguments = {"kernel_size": kernel, "stride": stride, "padding": padding, "output_size": size}
    default = [
        (n - 1) * s - 2 * p + k for n, s, p, k in zip(pooled.shape[2:], stride, padding, kernel, strict=True)
    ]
    if list(size) == default and dice.chance(0.5):
        arguments["output_size"] = None
    traits = (str(dtype)[6:], layout, "normal")
    return Call(
        "max_unpool2d", "exact", laid_out(pooled, layout), arguments, (laid_out(positions, layout),), traits
    )


def _adaptive_size(dice: Dice) -> Any:
    rows, columns = dice.pair(1, 12)
    return dice.one(rows, (rows, columns), (None, columns), (rows, None))


def _adaptive_max_pool2d(dice: Dice) -> Call:
    x, traits = image(dice, FLOATS)
    arguments = {"output_size": _adaptive_size(dice), "return_indices": dice.chance(0.5)}
    return Call("adaptive_max_pool2d", "exact", x, arguments, (), traits)


def _adaptive_avg_pool2d(dice: Dice) -> Call:
    x, traits = image(dice, FLOATS)
    return Call("adaptive_avg_pool2d", "linear", x, {"output_size": _adaptive_size(dice)}, (), traits)


def _window(dice: Dice, most: int = 30) -> tuple[tuple[int, int], dict[str, Any]]:
    """An image's size and a window of which at least one fits."""
    while True:
        kernel, stride, size = dice.pair(1, 6), dice.pair(1, 4), dice.pair(1, most)
        padding = tuple(dice.whole(0, k // 2) for k in kernel)
        ceil_mode = dice.chance(0.4)
        if all(
            out_size(n, f, s, p, 1, ceil_mode) > 0
            for n, f, s, p in zip(size, kernel, stride, padding, strict=True)
        ):
            break
    arguments = {
        "kernel_size": kernel[0] if kernel[0] == kernel[1] else kernel,
        "stride": None if stride == kernel else stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
    }
    return size, arguments


def _avg_pool2d(dice: Dice) -> Call:
    size, arguments = _window(dice)
    x, traits = content(dice, (dice.whole(1, 2), dice.whole(1, 19), *size), dice.one(*FLOATS))
    arguments["count_include_pad"] = dice.chance(0.5)
    if dice.chance(0.3):
        arguments["divisor_override"] = dice.one(1, 3, 7, -2)
    return Call("avg_pool2d", "linear", x, arguments, (), traits)


def _lp_pool2d(dice: Dice) -> Call:
    """Of positive images: what torch does with an odd power of a negative sample is in `DIFFERENCES`."""
    size, arguments = _window(dice)
    if any(arguments.pop("padding")):
        return _lp_pool2d(dice)
    shape = (dice.whole(1, 2), dice.whole(1, 19), *size)
    dtype, layout = dice.one(*FLOATS), dice.one(*LAYOUTS)
    # Not near 0, where the powers of a short type vanish and the slope of the root is infinite.
    x = (torch.rand(shape, generator=dice.contents, dtype=torch.float64) + 0.25).to(dtype)
    arguments = {"norm_type": dice.one(1, 2, 2, 3, 1.5)} | arguments
    return Call("lp_pool2d", "norm", laid_out(x, layout), arguments, (), (str(dtype)[6:], layout, "positive"))


_MODES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area", "lanczos")


def _interpolate(dice: Dice) -> Call:
    mode = dice.one(*_MODES)
    is_nearest = mode.startswith("nearest")
    types = (*FLOATS, torch.uint8) if mode != "area" else FLOATS
    # Whether a tap of weight 0 brings a NaN along is nobody's promise.
    kinds = KINDS if is_nearest or mode == "area" else ("normal", "ties")
    while True:
        x, traits = image(dice, types, 22, kinds)
        if x.dim() == 4:
            break
    arguments: dict[str, Any] = {"mode": mode}
    if dice.chance(0.5):
        arguments["size"] = dice.number_or_pair(1, 40)
    else:
        factors = tuple(
            dice.one(2, 3, 0.5, 1.5, 1.02, round(math.exp(dice.numbers.normal(0, 0.6)), 3)) for _ in "rc"
        )
        factors = tuple(max(f, 1.01 / n) for f, n in zip(factors, x.shape[2:], strict=True))
        arguments["scale_factor"] = factors if dice.chance(0.5) or factors[0] != factors[1] else factors[0]
        arguments["recompute_scale_factor"] = dice.one(None, False, True)
    if mode in ("bilinear", "bicubic"):
        arguments["align_corners"] = dice.one(None, False, True)
        arguments["antialias"] = dice.chance(0.4)
    elif mode == "lanczos":
        arguments["antialias"] = True
    # One column, antialiased: torch reads its buffer askew (the answer changes with the number of columns).
    if arguments.get("antialias") and _columns_after(x, arguments) == 1:
        return _interpolate(dice)
    rule = "exact" if is_nearest else "linear"
    return Call("interpolate", rule, x, arguments, (), (*traits, mode))


def _columns_after(x: Tensor, arguments: dict[str, Any]) -> int:
    of_columns = arguments.get("size", arguments.get("scale_factor"))
    of_columns = of_columns[1] if isinstance(of_columns, tuple) else of_columns
    return of_columns if "size" in arguments else math.floor(x.shape[3] * of_columns)


def _shuffle(dice: Dice, up: bool) -> Call:
    r = dice.whole(1, 4)
    name, factor = ("pixel_shuffle", "upscale_factor") if up else ("pixel_unshuffle", "downscale_factor")
    channels, rows, columns = dice.whole(1, 6), dice.whole(1, 12), dice.whole(1, 12)
    shape = (channels * r * r, rows, columns) if up else (channels, rows * r, columns * r)
    x, traits = content(dice, (dice.whole(1, 2), *shape), dice.one(*FLOATS, *FLOATS, *WHOLE))
    return Call(name, "exact", x, {factor: r}, (), traits)


def _convolution(dice: Dice, up: bool) -> Call:
    kernel, stride, dilation = dice.pair(1, 4), dice.pair(1, 3), dice.pair(1, 2)
    groups, dtype, layout = dice.one(1, 1, 2, 3), dice.one(*FLOATS), dice.one(*LAYOUTS)
    channels, filters = groups * dice.whole(1, 4), groups * dice.whole(1, 4)
    # Always more than one window of columns: for one, strided, torch's bfloat16 reads what was never written.
    size = tuple(
        d * (k - 1) + s + dice.whole(1, 12) for k, d, s in zip(kernel, dilation, stride, strict=True)
    )

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=dice.contents, dtype=torch.float64).to(dtype)

    x = laid_out(normal(dice.whole(1, 2), channels, *size), layout)
    weight = normal(*((channels, filters // groups) if up else (filters, channels // groups)), *kernel)
    bias = normal(filters) if dice.chance(0.5) else None
    padding: Any = tuple(dice.whole(0, k - 1) for k in kernel)
    arguments = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if up:
        arguments["output_padding"] = tuple(
            dice.whole(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)
        )
    elif dice.chance(0.2):
        arguments |= {"stride": 1, "padding": dice.one("same", "valid")}
    name = "conv_transpose2d" if up else "conv2d"
    return Call(name, "convolution", x, arguments, (weight, bias), (str(dtype)[6:], layout, "normal"))


GENERATORS: dict[str, Callable[[Dice], Call]] = {
    "max_pool2d": _max_pool2d,
    "max_unpool2d": _max_unpool2d,
    "adaptive_max_pool2d": _adaptive_max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "lp_pool2d": _lp_pool2d,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "interpolate": _interpolate,
    "pixel_shuffle": lambda dice: _shuffle(dice, True),
    "pixel_unshuffle": lambda dice: _shuffle(dice, False),
    "conv2d": lambda dice: _convolution(dice, False),
    "conv_transpose2d": lambda dice: _convolution(dice, True),
}
