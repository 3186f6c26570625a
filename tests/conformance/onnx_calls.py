"""Nodes of an ONNX graph as calls of downup: attributes to arguments, one function for each operator.

Where ONNX says a thing that no call of downup says, the function answers None and `test_onnx` knows the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from downup import ops

Attributes = dict[str, Any]
Result = Tensor | tuple[Tensor, ...]


def run_node(operator: str, attributes: Attributes, inputs: list[Tensor | None]) -> list[Tensor]:
    """The outputs of a node; words arrive as bytes, as ONNX stores them."""
    words = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    result = NODES[operator](words, *inputs)
    return [result] if isinstance(result, Tensor) else list(result)


def _window(attributes: Attributes) -> dict[str, Any]:
    """stride, dilation and padding of a window."""
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    named = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
    return {
        "stride": tuple(attributes.get("strides", (1, 1))),
        "dilation": tuple(attributes.get("dilations", (1, 1))),
        "padding": named.get(attributes.get("auto_pad", "NOTSET"), ((top, bottom), (left, right))),
    }


def _pool(attributes: Attributes) -> dict[str, Any]:
    return _window(attributes) | {
        "kernel_size": tuple(attributes["kernel_shape"]),
        "ceil_mode": bool(attributes.get("ceil_mode", 0)),
    }


def _has_deep_padding(window: dict[str, Any]) -> bool:
    """Whether a side is padded by more than half the window, which a pool of torch or downup refuses."""
    return not isinstance(window["padding"], str) and any(
        max(sides) > (apart * (size - 1) + 1) // 2
        for sides, size, apart in zip(
            window["padding"], window["kernel_size"], window["dilation"], strict=True
        )
    )


def _padded(x: Tensor, window: dict[str, Any], value: float) -> tuple[Tensor, dict[str, Any]]:
    """The image with its padding written out, and a window without."""
    (top, bottom), (left, right) = window["padding"]
    return F.pad(x, (left, right, top, bottom), value=value), window | {"padding": 0}


def max_pool(attributes: Attributes, x: Tensor) -> Result:
    """Positions count through the whole batch; `storage_order` 1 counts down the columns of a plane."""
    window = _pool(attributes)
    if _has_deep_padding(window):
        x, window = _padded(x, window, -math.inf)
        return ops.max_pool2d(x, **window)
    pooled, positions = ops.max_pool2d(x, **window, return_indices=True)
    rows, columns = x.shape[2:]
    if attributes.get("storage_order", 0):
        positions = positions % columns * rows + positions // columns
    plane = torch.arange(x.shape[0] * x.shape[1]).view(x.shape[0], x.shape[1], 1, 1)
    return pooled, positions + plane * (rows * columns)


def max_unpool(attributes: Attributes, x: Tensor, positions: Tensor, output_shape: Any = None) -> Result:
    window = _window(attributes)
    kernel = tuple(attributes["kernel_shape"])
    size = None if output_shape is None else tuple(output_shape.tolist())
    # Positions are those of the default size, whatever the size asked for.
    default = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], window["stride"], kernel, strict=True)]
    in_plane = positions % (default[0] * default[1])
    if size is not None:
        row, column = in_plane // default[1], in_plane % default[1]
        in_plane = row * size[3] + column
    return ops.max_unpool2d(x, in_plane, kernel, window["stride"], window["padding"], size)


def average_pool(attributes: Attributes, x: Tensor) -> Result:
    window = _pool(attributes)
    counts = bool(attributes.get("count_include_pad", 0))
    if not _has_deep_padding(window):
        return ops.avg_pool2d(x, **window, count_include_pad=counts)
    # Padding that does not count: the sum over the image, over the number of its samples in the window.
    padded, bare = _padded(x, window, 0)
    if counts:
        return ops.avg_pool2d(padded, **bare)
    ones, _ = _padded(torch.ones_like(x), window, 0)
    return ops.avg_pool2d(padded, **bare, divisor_override=1) / ops.avg_pool2d(
        ones, **bare, divisor_override=1
    )


def lp_pool(attributes: Attributes, x: Tensor) -> Result:
    window = _pool(attributes)
    if _has_deep_padding(window):
        x, window = _padded(x, window, 0)
    # ONNX's norm is that of the absolute values; torch's odd powers keep the sign.
    return ops.lp_pool2d(x.abs(), attributes.get("p", 2), **window)


def _aspect(policy: str, sizes: list[int], old: list[int]) -> list[float]:
    """One factor for all axes: the largest that keeps within `sizes`, or the smallest that fills them."""
    factors = [new / n for new, n in zip(sizes, old, strict=True)]
    return [(min if policy == "not_larger" else max)(factors)] * len(factors)


_MODES = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}


def resize(
    attributes: Attributes, x: Tensor, roi: Any = None, scales: Any = None, sizes: Any = None
) -> Result:
    """Rows and columns, whatever their order in `axes`; the axes before them keep their size."""
    axes = [axis % x.dim() for axis in attributes.get("axes", range(x.dim()))]
    by_axis: dict[str, Any] = {}
    if sizes is not None and sizes.numel():
        wanted = [int(n) for n in sizes]
        policy = attributes.get("keep_aspect_ratio_policy", "stretch")
        if policy == "stretch":
            by_axis["size"] = dict(zip(axes, wanted, strict=True))
        else:
            old = [x.shape[axis] for axis in axes]
            factors = _aspect(policy, wanted, old)
            rounded = [math.floor(f * n + 0.5) for f, n in zip(factors, old, strict=True)]
            by_axis["size"] = dict(zip(axes, rounded, strict=True))
    else:
        by_axis["scale_factor"] = dict(zip(axes, (float(s) for s in scales), strict=True))
    by_axis = {
        name: tuple(values.get(axis, x.shape[axis] if name == "size" else 1.0) for axis in (2, 3))
        for name, values in by_axis.items()
    }
    mode = _MODES[attributes.get("mode", "nearest")]
    options: dict[str, Any] = {"coordinates": attributes.get("coordinate_transformation_mode", "half_pixel")}
    if mode == "bicubic":
        options["cubic_coefficient"] = attributes.get("cubic_coeff_a", -0.75)
    if mode == "nearest":
        options["rounding"] = attributes.get("nearest_mode", "round_prefer_floor").removeprefix("round_")
    else:
        # Unless told, ONNX repeats the edge, also for an antialiased image.
        options["exclude_outside"] = bool(attributes.get("exclude_outside", 0))
    return ops.interpolate(x, **by_axis, mode=mode, antialias=bool(attributes.get("antialias", 0)), **options)


def upsample(attributes: Attributes, x: Tensor, scales: Tensor) -> Result:
    """The older operator of this name: corners at 0, samples repeated."""
    asymmetric = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return resize(attributes | asymmetric, x, None, scales)


def depth_to_space(attributes: Attributes, x: Tensor) -> Result:
    return ops.pixel_shuffle(x, attributes["blocksize"], order=attributes.get("mode", "DCR"))


def space_to_depth(attributes: Attributes, x: Tensor) -> Result:
    return ops.pixel_unshuffle(x, attributes["blocksize"], order=attributes.get("mode", "DCR"))


def convolution(attributes: Attributes, x: Tensor, weight: Tensor, bias: Any = None) -> Result:
    return ops.conv2d(x, weight, bias, **_window(attributes), groups=attributes.get("group", 1))


def transposed_convolution(attributes: Attributes, x: Tensor, weight: Tensor, bias: Any = None) -> Result:
    window = _window(attributes)
    extra = tuple(attributes.get("output_padding", (0, 0)))
    size = None
    if "output_shape" in attributes and not isinstance(window["padding"], str):
        # ONNX then takes the padding from the size; what it lacks is `output_padding`, here part of the size.
        size, extra = tuple(attributes["output_shape"]), 0
    return ops.conv_transpose2d(
        x,
        weight,
        bias,
        window["stride"],
        window["padding"],
        extra,
        attributes.get("group", 1),
        window["dilation"],
        output_size=size,
    )


NODES: dict[str, Callable[..., Result]] = {
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
    "AveragePool": average_pool,
    "LpPool": lp_pool,
    "GlobalMaxPool": lambda attributes, x: ops.global_max_pool2d(x),
    "GlobalAveragePool": lambda attributes, x: ops.global_avg_pool2d(x),
    "GlobalLpPool": lambda attributes, x: ops.global_lp_pool2d(x.abs(), attributes.get("p", 2)),
    "Resize": resize,
    "Upsample": upsample,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
}
