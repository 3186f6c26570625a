"""Shapes of convolutions and pools, and their windows with every default filled in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from downup.errors import ArgumentError
from downup.geometry import axis_padding, extent, window_out_size
from downup.graph.shapes.site import Rule, Shape, Site

_AUTO = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}


@dataclass(frozen=True)
class Window:
    """The window of a convolution or pool, one number per spatial axis; no default is left open."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    ceil_mode: bool = False
    output_padding: tuple[int, ...] = ()
    """Transposed convolutions only."""


def window_of(node: ir.Node, in_shape: Shape, size: Shape | None = None) -> Window:
    """Return the window of a convolution, transposed convolution or pool on an input of `in_shape`.

    Args:
        node: the node.
        in_shape: shape of its first input, batch and channels included.
        size: the spatial shape of the weight, of a convolution.

    Raises:
        DataError: an attribute is out of its range.
    """
    site = Site(node, ())
    size = site.get("kernel_shape", size)
    rank = len(in_shape) - 2
    if size is None or len(size) != rank or rank < 1:
        raise site.refuse(f"kernel_shape is {size}, but the input has shape {list(in_shape)}")
    stride, dilation = site.get("strides", (1,) * rank), site.get("dilations", (1,) * rank)
    extra = site.get("output_padding", (0,) * rank)
    pads = site.get("pads", (0,) * (2 * rank))
    for name, values, count, least in (
        ("kernel_shape", size, rank, 1),
        ("strides", stride, rank, 1),
        ("dilations", dilation, rank, 1),
        ("output_padding", extra, rank, 0),
        ("pads", pads, 2 * rank, 0),
    ):
        if len(values) != count or any(not least <= number < 1 << 31 for number in values):
            raise site.refuse(f"{name} is {list(values)}; use {count} numbers, each {least} or more")
    auto = site.get("auto_pad", "NOTSET")
    if auto not in (*_AUTO, "NOTSET"):
        raise site.refuse(f"auto_pad is {auto!r}")
    sides = tuple(zip(pads[:rank], pads[rank:], strict=True))
    if node.op_type == "ConvTranspose":
        sides, extra = _transposed_padding(site, in_shape[2:], size, stride, dilation, sides, extra, auto)
    elif auto != "NOTSET":
        sides = tuple(
            axis_padding(_AUTO[auto], *numbers)  # type: ignore[arg-type]
            for numbers in zip(in_shape[2:], size, stride, dilation, strict=True)
        )
    # With padding worked out from the size, rounding up would count windows twice.
    is_ceil = bool(site.get("ceil_mode", 0)) and auto not in ("SAME_UPPER", "SAME_LOWER")
    return Window(tuple(size), tuple(stride), tuple(dilation), sides, is_ceil, tuple(extra))


def _transposed_padding(
    site: Site,
    in_size: Shape,
    size: Shape,
    stride: Shape,
    dilation: Shape,
    sides: tuple[tuple[int, int], ...],
    extra: Shape,
    auto: str,
) -> tuple[tuple[tuple[int, int], ...], Shape]:
    """Padding of a transposed convolution: given, or whatever makes the size that is asked for."""
    asked = site.get("output_shape")
    if asked is None and auto == "NOTSET":
        return sides, extra
    rank = len(in_size)
    spans = [extent(size[i], dilation[i]) for i in range(rank)]
    if auto == "VALID" and asked is None:
        return ((0, 0),) * rank, extra
    if asked is None:
        # The output is stride times the input, whatever the window.
        asked = tuple(in_size[i] * stride[i] for i in range(rank))
    asked = tuple(asked)[-rank:]
    found, longer = [], []
    for i in range(rank):
        total = stride[i] * (in_size[i] - 1) + extra[i] + spans[i] - asked[i]
        # An output larger than all windows reach is filled up at its end.
        longer.append(extra[i] + max(0, -total))
        total = max(0, total)
        less, more = total // 2, total - total // 2
        found.append((less, more) if auto == "SAME_UPPER" else (more, less))
    return tuple(found), tuple(longer)


def _spatial(site: Site, window: Window, in_size: Shape) -> Shape:
    found = []
    for i, length in enumerate(in_size):
        try:
            found.append(
                window_out_size(
                    length, window.size[i], window.stride[i], window.pads[i], window.dilation[i],
                    window.ceil_mode, axis="samples",
                )
            )  # fmt: skip
        except ArgumentError as error:
            raise site.refuse(f"on an input of {list(in_size)}: {error}") from None
    return tuple(found)


def _convolution(site: Site) -> list[Shape]:
    shape, weight = site.shape(0, least=3), site.shape(1, least=3)
    groups = site.get("group", 1)
    if len(weight) != len(shape):
        raise site.refuse(f"the weight has shape {list(weight)} but the input {list(shape)}")
    if groups < 1 or weight[1] * groups != shape[1] or weight[0] % groups:
        raise site.refuse(
            f"the weight {list(weight)} with group {groups} does not fit an input of {shape[1]} channels"
        )
    _check_bias(site, weight[0])
    window = window_of(site.node, shape, weight[2:])
    if window.size != weight[2:]:
        raise site.refuse(f"kernel_shape is {list(window.size)} but the weight has shape {list(weight)}")
    return [(shape[0], weight[0], *_spatial(site, window, shape[2:]))]


def _check_bias(site: Site, channels: int) -> None:
    if site.has(2) and site.shape(2) != (channels,):
        raise site.refuse(f"the bias has shape {list(site.shape(2))}, but there are {channels} channels")


def _transposed(site: Site) -> list[Shape]:
    shape, weight = site.shape(0, least=3), site.shape(1, least=3)
    groups = site.get("group", 1)
    if len(weight) != len(shape):
        raise site.refuse(f"the weight has shape {list(weight)} but the input {list(shape)}")
    if groups < 1 or weight[0] != shape[1] or shape[1] % groups:
        raise site.refuse(
            f"the weight {list(weight)} with group {groups} does not fit an input of {shape[1]} channels"
        )
    _check_bias(site, weight[1] * groups)
    window = window_of(site.node, shape, weight[2:])
    if window.size != weight[2:]:
        raise site.refuse(f"kernel_shape is {list(window.size)} but the weight has shape {list(weight)}")
    out = tuple(
        window.stride[i] * (length - 1)
        + extent(window.size[i], window.dilation[i])
        - sum(window.pads[i])
        + window.output_padding[i]
        for i, length in enumerate(shape[2:])
    )
    if min(out) < 1:
        raise site.refuse(f"the output of an input of {list(shape)} would have the size {list(out)}")
    return [(shape[0], weight[1] * groups, *out)]


def _pool(site: Site) -> list[Shape]:
    shape = site.shape(0, least=3)
    site.need("kernel_shape")
    out = (*shape[:2], *_spatial(site, window_of(site.node, shape), shape[2:]))
    return [out] * len(site.node.outputs)


def _unpool(site: Site) -> list[Shape]:
    shape = site.shape(0, least=3)
    if site.shape(1) != shape:
        raise site.refuse(f"pooled samples have shape {list(shape)}, their positions {list(site.shape(1))}")
    site.need("kernel_shape")
    if site.has(2):
        out = site.ints(2)
        if len(out) != len(shape) or out[:2] != shape[:2] or min(out) < 1:
            raise site.refuse(f"output_shape is {list(out)}, but the input has shape {list(shape)}")
        return [out]
    window = window_of(site.node, shape)
    out = tuple(
        window.stride[i] * (length - 1) + window.size[i] - sum(window.pads[i])
        for i, length in enumerate(shape[2:])
    )
    if min(out) < 1:
        raise site.refuse(f"the output of an input of {list(shape)} would have the size {list(out)}")
    return [(*shape[:2], *out)]


def _global(site: Site) -> list[Shape]:
    shape = site.shape(0, least=3)
    return [(*shape[:2], *(1 for _ in shape[2:]))]


def count_taps(window: Window) -> int:
    """Return how many samples of a channel one window reads."""
    return math.prod(window.size)


RULES: dict[str, Rule] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "MaxUnpool": _unpool,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
    "GlobalLpPool": _global,
}
