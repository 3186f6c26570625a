"""Random calls of each operator, and what Python makes of them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from downup import kernels, ops
from downup.errors import ArgumentError
from downup.kernels import Window
from downup.kernels.convolve import Convolution, ConvolutionSpec, channels_last

Random = np.random.Generator
MODES = ["nearest", "nearest-exact", "bilinear", "bicubic", "lanczos", "lanczos5", "area"]


@dataclass
class Call:
    """x: [channels, rows, columns]; arrays are sent as bits, arguments as they are."""

    name: str
    x: np.ndarray
    arguments: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def sent(self) -> dict[str, Any]:
        packed = {name: base64.b64encode(array.tobytes()).decode() for name, array in self.arrays.items()}
        data = base64.b64encode(self.x.tobytes()).decode()
        return {
            "name": self.name,
            "shape": self.x.shape,
            "data": data,
            "args": self.arguments,
            "arrays": packed,
        }


def pair(random: Random, low: int, high: int) -> Any:
    numbers = [int(n) for n in random.integers(low, high + 1, 2)]
    return numbers if random.random() < 0.5 else numbers[0]


def picture(random: Random, channels: int | None = None, special: bool = False) -> np.ndarray:
    shape = (channels or int(random.integers(1, 5)), *(int(n) for n in random.integers(1, 28, 2)))
    x = random.normal(0, 60, shape).astype(np.float32)
    if random.random() < 0.3:
        x = np.round(x / 40) * 40  # equal samples
    if special and random.random() < 0.3:
        x.flat[random.integers(0, x.size, 4)] = [np.nan, np.inf, -np.inf, -0.0]
    return x.astype(np.float32)


def padding(random: Random, most: int) -> Any:
    kind = random.integers(0, 5)
    if kind == 0:
        return ["valid", "same", "same_lower"][random.integers(0, 3)]
    if kind == 1:
        return [[int(n) for n in random.integers(0, most + 1, 2)] for _ in range(2)]
    return pair(random, 0, most)


def window(random: Random) -> dict[str, Any]:
    given = {"kernel_size": pair(random, 1, 6), "padding": padding(random, 2)}
    if random.random() < 0.7:
        given["stride"] = pair(random, 1, 5)
    if random.random() < 0.4:
        given["dilation"] = pair(random, 1, 3)
    return given


def pool(random: Random) -> dict[str, Any]:
    return {**window(random), "ceil_mode": bool(random.random() < 0.4)}


def average(random: Random) -> dict[str, Any]:
    given = {**pool(random), "count_include_pad": bool(random.random() < 0.5)}
    if random.random() < 0.2:
        given["divisor_override"] = int(random.integers(1, 9))
    return given


def blur(random: Random) -> dict[str, Any]:
    edge = ["reflect", "repeat", "zero"][random.integers(0, 3)]
    return {"taps": int(random.integers(1, 9)), "stride": int(random.integers(1, 5)), "edge": edge}


def sampling(random: Random) -> dict[str, Any]:
    mode = MODES[random.integers(0, len(MODES))]
    given: dict[str, Any] = {"mode": mode}
    if random.random() < 0.5:
        given["size"] = pair(random, 1, 40)
    else:
        given["scale_factor"] = (
            float(random.integers(1, 30)) / 8 if random.random() < 0.6 else int(random.integers(1, 5))
        )
        if random.random() < 0.3:
            given["recompute_scale_factor"] = True
    is_nearest = mode.startswith("nearest")
    if not is_nearest and mode != "area":
        if random.random() < 0.4:
            given["antialias"] = True
        if random.random() < 0.3:
            given["exclude_outside"] = bool(random.random() < 0.5)
        if random.random() < 0.4:
            given["align_corners"] = bool(random.random() < 0.7)
    if mode == "bicubic" and random.random() < 0.3:
        given["cubic_coefficient"] = -0.5
    if is_nearest and random.random() < 0.4:
        given["rounding"] = ["floor", "ceil", "prefer_floor", "prefer_ceil"][random.integers(0, 4)]
    if mode != "area" and "align_corners" not in given and random.random() < 0.3:
        rules = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]
        given["coordinates"] = rules[random.integers(0, 5)]
    return given


def unpooling(random: Random) -> Call:
    given = {name: value for name, value in pool(random).items() if name != "ceil_mode"}
    x = picture(random)
    try:
        pooled, positions = ops.max_pool2d(torch.from_numpy(x)[None], **as_python(given), return_indices=True)
    except ArgumentError:
        return unpooling(random)
    given["output_size"] = list(x.shape[1:])
    arrays = {"indices": positions[0].numpy().astype(np.int32)}
    return Call("max_unpool2d", pooled[0].numpy(), given, arrays)


def shuffle(random: Random, up: bool) -> Call:
    factor, (channels, rows, columns) = (
        int(random.integers(1, 6)),
        (int(n) for n in random.integers(1, 12, 3)),
    )
    shape = (channels * factor**2, rows, columns) if up else (channels, rows * factor, columns * factor)
    x = random.normal(size=shape).astype(np.float32)
    x.flat[0] = -0.0
    order = ["CRD", "DCR"][random.integers(0, 2)]
    return Call("pixel_shuffle" if up else "pixel_unshuffle", x, {"factor": factor, "order": order})


def convolution(random: Random, name: str) -> Call:
    groups = int(random.integers(1, 3))
    channels, filters = groups * int(random.integers(1, 4)), groups * int(random.integers(1, 7))
    given = {**window(random), "filters": filters, "groups": groups}
    if name == "resize_conv2d":
        given = {name: value for name, value in given.items() if name != "stride"}
        given |= {"scale_factor": int(random.integers(1, 4)), "mode": MODES[random.integers(0, len(MODES))]}
    rows, columns = as_pair(given["kernel_size"])
    shape = (channels, filters // groups) if name == "conv_transpose2d" else (filters, channels // groups)
    if name == "conv_transpose2d" and not str(given["padding"]).startswith("same"):
        given["output_padding"] = pair(random, 0, 2)
    weight = random.normal(size=(*shape, rows, columns)).astype(np.float32)
    return Call(name, picture(random, channels), given, {"weight": weight})


def plain(
    name: str, arguments: Callable[[Random], dict[str, Any]], special: bool = False
) -> Callable[[Random], Call]:
    return lambda random: Call(name, picture(random, special=special), arguments(random))


CALLS: dict[str, Callable[[Random], Call]] = {
    "avg_pool2d": plain("avg_pool2d", average),
    "lp_pool2d": plain("lp_pool2d", lambda random: {**pool(random), "norm_type": int(random.integers(1, 3))}),
    "adaptive_avg_pool2d": plain("adaptive_avg_pool2d", lambda random: {"output_size": pair(random, 1, 30)}),
    "global_avg_pool2d": plain("global_avg_pool2d", lambda random: {}),
    "global_lp_pool2d": plain("global_lp_pool2d", lambda random: {"norm_type": int(random.integers(1, 3))}),
    "blur_pool2d": plain("blur_pool2d", blur),
    "interpolate": plain("interpolate", sampling),
    "max_pool2d": plain("max_pool2d", pool, special=True),
    "max_pool2d_with_offsets": plain("max_pool2d_with_offsets", pool, special=True),
    "max_unpool2d": unpooling,
    "adaptive_max_pool2d": plain(
        "adaptive_max_pool2d", lambda random: {"output_size": pair(random, 1, 30)}, special=True
    ),
    "global_max_pool2d": plain("global_max_pool2d", lambda random: {}, special=True),
    "max_blur_pool2d": plain(
        "max_blur_pool2d", lambda random: {**blur(random), "kernel_size": pair(random, 1, 4)}
    ),
    "pixel_unshuffle": lambda random: shuffle(random, up=False),
    "pixel_shuffle": lambda random: shuffle(random, up=True),
    "conv2d": lambda random: convolution(random, "conv2d"),
    "conv_transpose2d": lambda random: convolution(random, "conv_transpose2d"),
    "resize_conv2d": lambda random: convolution(random, "resize_conv2d"),
}


def as_pair(value: Any) -> tuple[int, int]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)  # type: ignore[return-value]


def as_python(given: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(map(_tuple, value)) if isinstance(value, list) else value for name, value in given.items()
    }


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def answer(call: Call) -> list[np.ndarray]:
    """What Python answers: the output, and positions where there are some.

    Raises:
        ArgumentError: it refuses.
    """
    x, given = torch.from_numpy(call.x)[None], as_python(call.arguments)
    if "conv" in call.name:
        return [_convolved(call, given)]
    if call.name.startswith("pixel"):
        return [getattr(ops, call.name)(x, given["factor"], order=given["order"])[0].numpy()]
    if call.name == "max_unpool2d":
        return [
            ops.max_unpool2d(x, torch.from_numpy(call.arrays["indices"]).long()[None], **given)[0].numpy()
        ]
    if call.name in ("max_pool2d", "adaptive_max_pool2d"):
        out, positions = getattr(ops, call.name)(x, **given, return_indices=True)
        return [out[0].numpy(), positions[0].numpy().astype(np.int32)]
    if call.name == "max_pool2d_with_offsets":
        return [found[0].numpy() for found in ops.max_pool2d_with_offsets(x, **given)]
    found = getattr(ops, call.name)(x, **given)[0].numpy()
    if given.get("norm_type") != 2:
        return [found]
    # Of the same sums torch takes a root that is not always rounded to the nearest; the page's is.
    sums = getattr(ops, call.name)(x.pow(2), **{**given, "norm_type": 1})[0].numpy()
    np.testing.assert_array_max_ulp(found, np.sqrt(sums), maxulp=2)
    return [np.sqrt(sums)]


def _convolved(call: Call, given: dict[str, Any]) -> np.ndarray:
    """By the kernel that downup chooses for "exact", built for plain vectors; torch says which arguments are right."""
    x, weight = torch.from_numpy(call.x)[None], torch.from_numpy(call.arrays["weight"])
    filters = given.pop("filters")
    given.pop("kernel_size")
    kernel = as_pair(call.arguments["kernel_size"])
    expected = getattr(ops, call.name)(x, weight, **given)
    stride, apart = as_pair(call.arguments.get("stride", 1)), as_pair(call.arguments.get("dilation", 1))
    if call.name == "resize_conv2d":
        x = ops.interpolate(x, scale_factor=given["scale_factor"], mode=given["mode"])
    sizes, padding, extra = tuple(x.shape[2:]), given["padding"], (0, 0)
    is_up = call.name == "conv_transpose2d"
    if is_up:
        sides, extra = ops.convolve.resolve_transposed_padding(
            padding, sizes, kernel, stride, apart, given.get("output_padding", 0)
        )
    else:
        sides = ops.convolve.resolve_padding(padding, sizes, kernel, stride, apart)
    (top, bottom), (left, right) = sides
    before = kernels.active_isa()
    kernels.select_isa("plain")
    try:
        spec = ConvolutionSpec(
            x.shape[1],
            filters,
            Window(kernel, stride, (top, left), (bottom, right), apart),
            groups=given["groups"],
            output_padding=extra,
            transposed=is_up,
            precision="exact",
        )
        found = Convolution(spec, call.arrays["weight"]).run(channels_last(x.numpy()))[0]
    finally:
        kernels.select_isa(before)
    np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-3, atol=1e-2)
    return found
