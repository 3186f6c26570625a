"""Fixed weights: average pools, resizing, and labels of resized scores."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.activation import Activation
from downup.engine.lower.context import Lowering, refuse
from downup.engine.lower.pointwise import activate, combine
from downup.engine.lower.select import as_picture, native_window
from downup.engine.lower.unpooling import pool_by_taps, unpool_by_taps
from downup.engine.values import Value
from downup.graph.shapes import window_of
from downup.kernels import lib
from downup.taps import Taps, sampled_taps, window_taps

_FILTERS = {"nearest": "nearest", "linear": "linear", "cubic": "cubic"}

_sampled = lru_cache(maxsize=256)(sampled_taps)


def resample(
    lowering: Lowering, value: Value, out: Value, rows: Taps, columns: Taps, operator: str, algorithm: str
) -> None:
    """Add the step of any two tables."""
    taps = rows.count * columns.count * int(np.prod(value.shape[:2]))
    lowering.kernel(
        lib.du_resample2d,
        [value, out, rows.native, columns.native],
        reads=[value],
        writes=[out],
        operator=operator,
        algorithm=algorithm,
        kept=(rows, columns),
        multiply_adds=taps,
    )


def lower_average_pool(lowering: Lowering, node: ir.Node) -> None:
    """The mean of each window, over the samples on the image or on image and padding."""
    value = _picture(lowering, node)
    site = lowering.site(node)
    window = native_window(window_of(node, lowering.shape(node.inputs[0])))
    counted: Any = "padded" if site.get("count_include_pad", 0) else "inside"
    rows = window_taps(value.shape[2], window, 0, counted)
    columns = window_taps(value.shape[3], window, 1, counted)
    out = as_picture(lowering.new(node.outputs[0]))
    resample(lowering, value, out, rows, columns, node.op_type, "average")


def lower_lp_pool(lowering: Lowering, node: ir.Node) -> None:
    """(sum of |x|^p)^(1/p) over each window."""
    value, p = _picture(lowering, node), lowering.site(node).get("p", 2)
    window = native_window(window_of(node, lowering.shape(node.inputs[0])))
    powers = lowering.temporary(f"powers of {value.name}", value.shape, order=(0, 2, 3, 1))
    if p == 2:
        combine(lowering, value, value, powers, lib.DU_MULTIPLY, operator=node.op_type)
    else:
        lowering.compute(node.op_type, lambda x: np.abs(x) ** np.float32(p), [value], [powers])
    out = as_picture(lowering.new(node.outputs[0]))
    sums = lowering.temporary(f"sums of {value.name}", out.shape, order=(0, 2, 3, 1))
    rows, columns = (window_taps(value.shape[2 + axis], window, axis, 1.0) for axis in (0, 1))
    resample(lowering, powers, sums, rows, columns, node.op_type, "sum")
    if p == 2:
        activate(lowering, sums, out, Activation(lib.DU_SQRT), node.op_type)
    else:
        lowering.compute(node.op_type, lambda x: x ** np.float32(1 / p), [sums], [out])


def _picture(lowering: Lowering, node: ir.Node) -> Value:
    value = lowering.value(node.inputs[0])
    if value.rank not in (3, 4) or not value.is_float:
        raise refuse(node, f"its input has {value.rank} axes of type {value.dtype}; use pictures of float32")
    return as_picture(value)


def resize_taps(lowering: Lowering, node: ir.Node) -> tuple[Taps, Taps]:
    """The tables of a Resize along rows and columns.

    Raises:
        UnsupportedError: it resizes other axes, too.
    """
    site, shape = lowering.site(node), lowering.shape(node.inputs[0])
    rank, out = len(shape), lowering.shape(node.outputs[0])
    axes = [axis % rank for axis in site.get("axes", tuple(range(rank)))]
    ratios = dict.fromkeys(range(rank), -1.0)
    if site.has(2):
        ratios |= {a: 1.0 / float(s) for a, s in zip(axes, site.value(2).reshape(-1), strict=True)}
    if rank not in (3, 4) or shape[:2] != out[:2]:
        raise refuse(node, f"resizes {list(shape)} to {list(out)}; only rows and columns can be resized")
    mode = site.get("mode", "nearest")
    options: dict[str, Any] = {
        "coordinates": site.get("coordinate_transformation_mode", "half_pixel"),
        "rounding": site.get("nearest_mode", "round_prefer_floor").removeprefix("round_"),
        "antialias": bool(site.get("antialias", 0)),
        "exclude_outside": bool(site.get("exclude_outside", 0)) and mode != "nearest",
        "cubic_coefficient": float(site.get("cubic_coeff_a", -0.75)),
    }
    found = [
        _sampled(shape[axis], out[axis], _FILTERS[mode], ratio=ratios[axis], **options)
        for axis in range(2, rank)
    ]
    if rank == 3:
        found.insert(0, _sampled(1, 1, "nearest"))
    return found[0], found[1]


def repeats(taps: Taps) -> int | None:
    """How often a table repeats each sample, if that is all it does."""
    factor, rest = divmod(taps.out_size, taps.in_size)
    if rest or taps.count != taps.out_size:
        return None
    start, index, weight, divisor = taps.table
    is_plain = (weight == 1).all() and (divisor == 1).all() and (np.diff(start) == 1).all()
    return factor if is_plain and (index == np.arange(taps.out_size) // factor).all() else None


def lower_resize(lowering: Lowering, node: ir.Node) -> None:
    """Left to the convolution or the labels after it where these can do it on the way."""
    rows, columns = resize_taps(lowering, node)
    value, out = _picture(lowering, node), node.outputs[0]
    where = lowering.site(node).get("coordinate_transformation_mode", "half_pixel")
    if len(lowering.shape(out)) == 4 and value.shape[2:] == (1, 1) and where != "tf_crop_and_resize":
        # One sample is the same everywhere; weights whose sum is 1 would round to others here and there.
        lowering.set(out, value.expanded(lowering.shape(out)))
        return
    factors = repeats(rows), repeats(columns)
    if factors == (1, 1):
        lowering.set(out, lowering.value(node.inputs[0]))
        return
    consumer = lowering.only_consumer(out)
    is_plain = len(lowering.shape(out)) == 4 and None not in factors
    if is_plain and consumer is not None and _takes_upsampling(lowering, consumer, out):
        lowering.upsampled[out.name or ""] = (node.inputs[0], factors)  # type: ignore[assignment]
        return
    is_last = lowering.wants_labels and out is lowering.graph.outputs[0] and not lowering.consumers(out)
    if len(lowering.shape(out)) == 4 and (is_last or _is_argmax(lowering, consumer)):
        lowering.resized[out.name or ""] = (value, rows, columns)
        return
    algorithm = f"resize {lowering.site(node).get('mode', 'nearest')}"
    resample(lowering, value, as_picture(lowering.new(out)), rows, columns, node.op_type, algorithm)


def _takes_upsampling(lowering: Lowering, consumer: ir.Node, value: ir.Value) -> bool:
    if consumer.op_type == "Concat":
        return _is_one_of_two_parts(lowering, consumer, value)
    if consumer.op_type != "Conv" or consumer.inputs[0] is not value:
        return False
    return lowering.constant(consumer.inputs[1]) is not None


def _is_one_of_two_parts(lowering: Lowering, concat: ir.Node, value: ir.Value) -> bool:
    """Whether a convolution over two parts, one of them upsampled, can be the sum of one over each."""
    convolution, site = lowering.only_consumer(concat.outputs[0]), lowering.site(concat)
    if convolution is None or convolution.op_type != "Conv" or convolution.inputs[0] is not concat.outputs[0]:
        return False
    if len(set(concat.inputs)) != 2 or len(concat.inputs) != 2 or site.need("axis") not in (1, -3):
        return False
    other = concat.inputs[1] if concat.inputs[0] is value else concat.inputs[0]
    is_plain = lowering.constant(convolution.inputs[1]) is not None and lowering.constant(other) is None
    # A window of one pixel takes no fewer products of upsampled parts than of others.
    is_wide = lowering.shape(convolution.inputs[1])[2:] == (3, 3)
    is_first = other is not None and other.name not in lowering.upsampled
    return is_plain and is_wide and is_first and lowering.site(convolution).get("group", 1) == 1


def _is_argmax(lowering: Lowering, consumer: ir.Node | None) -> bool:
    if consumer is None or consumer.op_type != "ArgMax":
        return False
    site = lowering.site(consumer)
    return site.get("axis", 0) in (1, -3) and not site.get("select_last_index", 0)


def label_resized(lowering: Lowering, name: str, labels: Value, operator: str) -> None:
    """Add the step that makes labels [n, 1, h, w] of scores that a Resize left to them."""
    value, rows, columns = lowering.resized[name]
    lowering.kernel(
        lib.du_resample_argmax,
        [value, labels, rows.native, columns.native],
        reads=[value],
        writes=[labels],
        operator=operator,
        algorithm="labels",
        kept=(rows, columns),
    )


def lower_shuffle(lowering: Lowering, node: ir.Node) -> None:
    """DepthToSpace and SpaceToDepth, unless they tell the taps of a pooling."""
    if node in lowering.tap_pools:
        pool_by_taps(lowering, lowering.tap_pools[node], None)
        return
    if node in lowering.tap_unpools:
        unpool_by_taps(lowering, lowering.tap_unpools[node])
        return
    value, site = lowering.value(node.inputs[0]), lowering.site(node)
    order = lib.DU_CRD if site.get("mode", "DCR") == "CRD" else lib.DU_DCR
    out = lowering.new(node.outputs[0])
    function = lib.du_pixel_shuffle if node.op_type == "DepthToSpace" else lib.du_pixel_unshuffle
    lowering.kernel(
        function,
        [value, out, site.need("blocksize"), order],
        reads=[value],
        writes=[out],
        operator=node.op_type,
        algorithm="shuffle",
    )


LOWERINGS: dict[str, Any] = {
    "AveragePool": lower_average_pool,
    "LpPool": lower_lp_pool,
    "Resize": lower_resize,
    "DepthToSpace": lower_shuffle,
    "SpaceToDepth": lower_shuffle,
}
