"""Sums along axes, softmax, labels, and normalisation by statistics of the picture itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.lower.context import Lowering, refuse
from downup.engine.lower.pointwise import combine, lower_rarely
from downup.engine.lower.resample import label_resized
from downup.engine.values import Array, Value
from downup.kernels import lib

_OPERATIONS = {"ReduceMean": lib.DU_MEAN, "ReduceSum": lib.DU_SUM, "ReduceMax": lib.DU_LARGEST}


def lower_reduction(lowering: Lowering, node: ir.Node) -> None:
    """ReduceMean, ReduceSum, ReduceMax."""
    value, site = lowering.value(node.inputs[0]), lowering.site(node)
    axes = site.optional_ints(1)
    if not axes:
        if site.get("noop_with_empty_axes", 0):
            lowering.set(node.outputs[0], value)
            return
        axes = tuple(range(value.rank))
    if not value.is_float or value.rank > 4 or value.size == 0:
        lower_rarely(lowering, node)
        return
    _reduce(lowering, node, value, [axis % value.rank for axis in axes], _OPERATIONS[node.op_type])


def lower_global_pool(lowering: Lowering, node: ir.Node) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    value = lowering.value(node.inputs[0])
    if not value.is_float or value.rank > 4:
        raise refuse(node, f"its input has {value.rank} axes of type {value.dtype}; use pictures of float32")
    operation = lib.DU_MEAN if node.op_type == "GlobalAveragePool" else lib.DU_LARGEST
    _reduce(lowering, node, value, list(range(2, value.rank)), operation)


def _reduce(lowering: Lowering, node: ir.Node, value: Value, axes: list[int], operation: int) -> None:
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(value.shape))
    out = lowering.new(node.outputs[0])
    target = out.reshaped(kept)
    assert target is not None  # only axes of one sample come or go
    if value.rank == 4 and set(axes) == {2, 3} and operation != lib.DU_LARGEST:
        count = value.shape[2] * value.shape[3] if operation == lib.DU_MEAN else 1
        _sum_planes(lowering, node, value, target, count)
        return
    lowering.kernel(
        lib.du_reduce,
        [value.padded(), target.padded(), operation],
        reads=[value],
        writes=[out],
        operator=node.op_type,
        algorithm="reduce",
    )


def _sum_planes(lowering: Lowering, node: ir.Node, value: Value, out: Value, count: int) -> None:
    """Exact sums of whole pictures, so that those of windows can be put together to the same bits."""
    sums = lowering.temporary(f"sums of {value.name}", (*value.shape[:2], 1, lib.DU_EXACT_WORDS), np.int64)
    how = {"operator": node.op_type, "algorithm": "exact sums"}
    lowering.kernel(lib.du_sum_exactly, [value, sums], reads=[value], writes=[sums], **how)
    lowering.kernel(lib.du_mean_exactly, [sums, out, count], reads=[sums], writes=[out], **how)


def _channel_second(value: Value, axis: int) -> Value:
    """A view of four axes with `axis` where the channels are."""
    rest = [i for i in range(value.rank) if i != axis]
    shape = [value.shape[i] for i in rest]
    strides = [value.strides[i] for i in rest]
    missing = 3 - len(rest)
    shape, strides = [1] * missing + shape, [0] * missing + strides
    return value.with_axes(
        (shape[0], value.shape[axis], *shape[1:]), (strides[0], value.strides[axis], *strides[1:])
    )


def lower_softmax(lowering: Lowering, node: ir.Node) -> None:
    """Along any axis; the output lies in memory as the input does."""
    value = lowering.value(node.inputs[0])
    axis = lowering.site(node).get("axis", -1) % value.rank
    if not value.is_float or value.rank > 4 or value.size == 0:
        lower_rarely(lowering, node)
        return
    out = lowering.new(node.outputs[0], like=value)
    soften(lowering, _channel_second(value, axis), _channel_second(out, axis), node.op_type)


def soften(lowering: Lowering, scores: Value, out: Value, operator: str) -> None:
    """Add the step that makes shares of certainty [n, c, h, w] of scores [n, c, h, w]."""
    lowering.kernel(
        lib.du_softmax, [scores, out], reads=[scores], writes=[out], operator=operator, algorithm="softmax"
    )


def lower_argmax(lowering: Lowering, node: ir.Node) -> None:
    """Labels, also of scores that a Resize left to this step."""
    given, site = node.inputs[0], lowering.site(node)
    assert given is not None
    shape = lowering.shape(given)
    axis = site.get("axis", 0) % len(shape)
    out = node.outputs[0]
    if given.name in lowering.resized:
        made = lowering.new(out)
        label_resized(lowering, given.name, _as_labels(made, shape, axis), "Resize+ArgMax")
        return
    value = lowering.value(given)
    if not value.is_float or value.rank > 4 or site.get("select_last_index", 0):
        lower_rarely(lowering, node)
        return
    made = lowering.new(out)
    labels = _channel_second(_as_labels(made, shape, axis), axis)
    label(lowering, _channel_second(value, axis), labels, made, node.op_type)


def _as_labels(value: Value, shape: tuple[int, ...], axis: int) -> Value:
    """With the axis that ArgMax took away."""
    found = value.reshaped((*shape[:axis], 1, *shape[axis + 1 :]))
    assert found is not None
    return found


def label(lowering: Lowering, scores: Value, labels: Value, made: Value, operator: str) -> None:
    """Add the step that makes labels [n, 1, h, w] of scores [n, c, h, w]."""
    lowering.kernel(
        lib.du_argmax, [scores, labels], reads=[scores], writes=[made], operator=operator, algorithm="labels"
    )


# ---------------------------------------------------------------- statistics of the picture


def lower_instance_norm(lowering: Lowering, node: ir.Node) -> None:
    """InstanceNormalization and GroupNormalization: (x - mean) / sqrt(variance + epsilon) of each group of channels."""
    value, site = lowering.value(node.inputs[0]), lowering.site(node)
    batch, channels = value.shape[:2]
    groups = site.get("num_groups", 1) if node.op_type == "GroupNormalization" else channels
    epsilon = site.get("epsilon", 1e-5)
    scale, bias = (lowering.value(node.inputs[i]) for i in (1, 2))
    if not value.is_float or not 3 <= value.rank <= 4:
        raise refuse(node, f"its input has {value.rank} axes of type {value.dtype}; use pictures of float32")
    out = lowering.new(node.outputs[0], like=value)
    picture, to = (_flat_picture(v) for v in (value, out))
    means = lowering.temporary(f"mean of {value.name}", (batch, channels, 1, 1))
    centred = lowering.temporary(f"centred {value.name}", picture.shape, order=(0, 2, 3, 1))
    squares = lowering.temporary(f"squares of {value.name}", picture.shape, order=(0, 2, 3, 1))
    variances = lowering.temporary(f"variance of {value.name}", (batch, channels, 1, 1))
    factors = lowering.temporary(f"factor of {value.name}", (batch, channels, 1, 1))
    shared = channels // groups

    def over_groups(array: Array) -> Array:
        each = array.reshape(batch, groups, shared).mean(axis=2, keepdims=True, dtype=np.float64)
        return np.broadcast_to(each, (batch, groups, shared)).reshape(batch, channels, 1, 1)

    def mean_of(found: Array, to_write: Array) -> None:
        to_write[...] = over_groups(found)

    raw = lowering.temporary(f"channel means of {value.name}", (batch, channels, 1, 1))
    _mean(lowering, picture, raw, node.op_type)
    lowering.compute(node.op_type, mean_of, [raw], [means], is_into=True)
    combine(lowering, picture, means, centred, lib.DU_SUBTRACT, operator=node.op_type)
    combine(lowering, centred, centred, squares, lib.DU_MULTIPLY, operator=node.op_type)
    _mean(lowering, squares, variances, node.op_type)

    def factor_of(found: Array, weights: Array, to_write: Array) -> None:
        to_write[...] = weights.reshape(1, -1, 1, 1) / np.sqrt(over_groups(found) + epsilon)

    lowering.compute(node.op_type, factor_of, [variances, scale], [factors], is_into=True)
    scaled = lowering.temporary(f"scaled {value.name}", picture.shape, order=(0, 2, 3, 1))
    combine(lowering, centred, factors, scaled, lib.DU_MULTIPLY, operator=node.op_type)
    combine(
        lowering,
        scaled,
        bias.with_axes((channels, 1, 1), (bias.strides[0], 0, 0)),
        to,
        lib.DU_ADD,
        operator=node.op_type,
    )


def _flat_picture(value: Value) -> Value:
    if value.rank == 4:
        return value
    return value.with_axes((*value.shape, 1), (*value.strides, 0))


def _mean(lowering: Lowering, value: Value, out: Value, operator: str) -> None:
    lowering.kernel(
        lib.du_reduce,
        [value, out, lib.DU_MEAN],
        reads=[value],
        writes=[out],
        operator=operator,
        algorithm="reduce",
    )


def lower_layer_norm(lowering: Lowering, node: ir.Node) -> None:
    """LayerNormalization: statistics over the axes from `axis` on, which are outputs too."""
    value, site = lowering.value(node.inputs[0]), lowering.site(node)
    axis = site.get("axis", -1) % value.rank
    axes, epsilon = tuple(range(axis, value.rank)), np.float32(site.get("epsilon", 1e-5))
    given = [lowering.value(v) for v in node.inputs if v is not None]
    written = [out for out in node.outputs if out.name]

    def normalise(x: Array, scale: Array, *bias: Array) -> tuple[Array, ...]:
        mean = x.mean(axis=axes, keepdims=True, dtype=np.float64).astype(x.dtype)
        centred = x - mean
        variance = np.square(centred).mean(axis=axes, keepdims=True, dtype=np.float64).astype(x.dtype)
        inverse = 1 / np.sqrt(variance + epsilon)
        scaled = centred * inverse * scale
        return (scaled + bias[0] if bias else scaled, mean, inverse)[: len(written)]

    first, *rest = written
    made = [lowering.new(first, like=value), *(lowering.new(out) for out in rest)]
    lowering.compute(node.op_type, normalise, given, made)


LOWERINGS: dict[str, Any] = {
    **dict.fromkeys(_OPERATIONS, lower_reduction),
    "GlobalAveragePool": lower_global_pool,
    "GlobalMaxPool": lower_global_pool,
    "Softmax": lower_softmax,
    "ArgMax": lower_argmax,
    "InstanceNormalization": lower_instance_norm,
    "GroupNormalization": lower_instance_norm,
    "LayerNormalization": lower_layer_norm,
}
