"""Operators that are rare, or whose work is little: NumPy on views of the block.

Each function takes what is known of the node and returns a function of its arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.lower.context import Lowering
from downup.engine.values import Array
from downup.graph.shapes import Site

Compute = Callable[..., Any]


def lower_rare(lowering: Lowering, node: ir.Node) -> None:
    """Add the step of a rare operator."""
    given = [value for value in node.inputs if value is not None]
    values = [lowering.value(value) for value in given]
    out = node.outputs[0]
    like = values[0] if values and values[0].shape == lowering.shape(out) else None
    made = RARE[node.op_type](lowering.site(node))

    def compute(*arrays: Array) -> Any:
        with np.errstate(all="ignore"):
            return made(*arrays)

    lowering.compute(node.op_type, compute, values, [lowering.new(out, like=like)])


def _plain(function: Compute) -> Callable[[Site], Compute]:
    return lambda site: function


def _selu(site: Site) -> Compute:
    alpha = site.get("alpha", 1.6732632423543772)
    gamma = site.get("gamma", 1.0507009873554805)
    return lambda x: (gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))).astype(x.dtype)


def _celu(site: Site) -> Compute:
    alpha = site.get("alpha", 1.0)
    return lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)).astype(x.dtype)


def _elu(site: Site) -> Compute:
    alpha = site.get("alpha", 1.0)
    return lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))).astype(x.dtype)


def _softplus(x: Array) -> Any:
    return np.logaddexp(x, 0).astype(x.dtype)


def _thresholded(site: Site) -> Compute:
    alpha = site.get("alpha", 1.0)
    return lambda x: np.where(x > alpha, x, 0).astype(x.dtype)


def _leaky(site: Site) -> Compute:
    alpha = site.get("alpha", 0.01)
    return lambda x: np.where(x < 0, alpha * x, x).astype(x.dtype)


def _swish(site: Site) -> Compute:
    alpha = site.get("alpha", 1.0)
    return lambda x: (x / (1 + np.exp(-alpha * x))).astype(x.dtype)


def _clip(site: Site) -> Compute:
    has_low, has_high = site.has(1), site.has(2)

    # Two bounds the wrong way round: the upper one wins.
    def clip(x: Array, *bounds: Array) -> Any:
        x = np.maximum(x, bounds[0]) if has_low else x
        return np.minimum(x, bounds[-1]) if has_high else x

    return clip


def _softmax(x: Array, axis: int) -> Any:
    powers = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=axis, keepdims=True)


def _log_softmax(site: Site) -> Compute:
    axis = site.get("axis", -1)

    def compute(x: Array) -> Any:
        lowered = x - x.max(axis=axis, keepdims=True)
        return lowered - np.log(np.exp(lowered).sum(axis=axis, keepdims=True))

    return compute


def _hardmax(site: Site) -> Compute:
    axis = site.get("axis", -1)

    def compute(x: Array) -> Any:
        out = np.zeros_like(x)
        np.put_along_axis(out, np.expand_dims(x.argmax(axis), axis), 1, axis)
        return out

    return compute


def _mod(site: Site) -> Compute:
    return np.fmod if site.get("fmod", 0) else np.mod


def _is_inf(site: Site) -> Compute:
    negative, positive = site.get("detect_negative", 1), site.get("detect_positive", 1)
    return lambda x: (np.isneginf(x) & bool(negative)) | (np.isposinf(x) & bool(positive))


def _over(function: Compute, site: Site) -> Compute:
    """A reduction with the axes and the shape that the node says."""
    rank, keeps = len(site.shape(0)), bool(site.get("keepdims", 1))
    axes = site.optional_ints(1)
    if not axes:
        if site.get("noop_with_empty_axes", 0):
            return lambda x, *_: x
        axes = tuple(range(rank))
    places = tuple(axis % rank for axis in axes)
    return lambda x, *_: function(x, places, keeps)


def _reduction(function: Compute) -> Callable[[Site], Compute]:
    return lambda site: _over(function, site)


def _wide(x: Array) -> Any:
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def _log_sum_exp(x: Array, axes: Any, keeps: bool) -> Any:
    largest = np.max(_wide(x), axis=axes, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0)
    found = np.log(np.sum(np.exp(x - largest), axis=axes, keepdims=True)) + largest
    return found if keeps else np.squeeze(found, axis=axes)


def _arg(site: Site) -> Compute:
    axis, keeps, is_last = (
        site.get("axis", 0),
        bool(site.get("keepdims", 1)),
        site.get("select_last_index", 0),
    )
    find = np.argmax if site.node.op_type == "ArgMax" else np.argmin

    def compute(x: Array) -> Any:
        found = (
            find(np.flip(x, axis), axis=axis, keepdims=keeps)
            if is_last
            else find(x, axis=axis, keepdims=keeps)
        )
        return x.shape[axis] - 1 - found if is_last else found

    return compute


def _indices(indices: Array, length: int) -> Any:
    return np.where(indices < 0, indices + length, indices)


def _gather(site: Site) -> Compute:
    axis = site.get("axis", 0)
    return lambda x, indices: np.take(x, _indices(indices, x.shape[axis]), axis=axis)


def _gather_elements(site: Site) -> Compute:
    axis = site.get("axis", 0)

    def compute(x: Array, indices: Array) -> Any:
        # The other axes of x may be longer than those of the indices.
        cut = tuple(slice(None) if i == axis % x.ndim else slice(n) for i, n in enumerate(indices.shape))
        return np.take_along_axis(x[cut], _indices(indices, x.shape[axis]), axis)

    return compute


def _gather_nd(site: Site) -> Compute:
    batch = site.get("batch_dims", 0)

    def compute(x: Array, indices: Array) -> Any:
        own = np.indices(indices.shape[:batch]).reshape(batch, *indices.shape[:batch])
        own = own.reshape(batch, *indices.shape[:batch], *(1,) * (indices.ndim - 1 - batch))
        given = (_indices(indices[..., k], x.shape[batch + k]) for k in range(indices.shape[-1]))
        return x[(*own, *given)]

    return compute


_COMBINE: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _scatter(to: Array, places: tuple[Array, ...], updates: Array, reduction: str) -> Any:
    if reduction == "none":
        to[places] = updates
    else:
        _COMBINE[reduction].at(to, places, updates)
    return to


def _scatter_elements(site: Site) -> Compute:
    axis, reduction = site.get("axis", 0), site.get("reduction", "none")

    def compute(x: Array, indices: Array, updates: Array) -> Any:
        places: list[Array] = list(np.indices(indices.shape, sparse=True))
        places[axis] = _indices(indices, x.shape[axis])
        return _scatter(x.copy(), tuple(places), updates, reduction)

    return compute


def _scatter_nd(site: Site) -> Compute:
    reduction = site.get("reduction", "none")

    def compute(x: Array, indices: Array, updates: Array) -> Any:
        places = tuple(_indices(indices[..., k], x.shape[k]) for k in range(indices.shape[-1]))
        return _scatter(x.copy(), places, updates, reduction)

    return compute


def _cumulate(site: Site) -> Compute:
    is_exclusive, is_reverse = site.get("exclusive", 0), site.get("reverse", 0)

    def compute(x: Array, axis: Array) -> Any:
        place = int(axis)
        given = np.flip(x, place) if is_reverse else x
        found = np.cumsum(given, axis=place, dtype=x.dtype)
        found = found - given if is_exclusive else found
        return np.flip(found, place) if is_reverse else found

    return compute


def _triangle(site: Site) -> Compute:
    is_upper = site.get("upper", 1)

    def compute(x: Array, *k: Array) -> Any:
        diagonal = int(k[0]) if k else 0
        return np.triu(x, diagonal) if is_upper else np.tril(x, diagonal)

    return compute


def _constant_of_shape(site: Site) -> Compute:
    value, shape = site.get("value"), site.ints(0)
    number = np.zeros(1, np.float32) if value is None else value.numpy()
    return lambda *_: np.broadcast_to(number, shape)


def _range(site: Site) -> Compute:
    return lambda start, limit, delta: np.arange(start, limit, delta, dtype=start.dtype)


def _lp_norm(site: Site) -> Compute:
    axis, p = site.get("axis", -1), site.get("p", 2)

    def compute(x: Array) -> Any:
        norm = np.sum(np.abs(x) ** p, axis=axis, keepdims=True) ** (1 / p)
        return np.divide(x, norm, out=np.zeros_like(x), where=norm != 0)

    return compute


def _global_lp(site: Site) -> Compute:
    p = site.get("p", 2)

    def compute(x: Array) -> Any:
        axes = tuple(range(2, x.ndim))
        return (np.sum(np.abs(_wide(x)) ** p, axis=axes, keepdims=True) ** (1 / p)).astype(x.dtype)

    return compute


def _mean_variance(site: Site) -> Compute:
    axes = tuple(site.get("axes", (0, 2, 3)))

    def compute(x: Array) -> Any:
        centred = x - x.mean(axis=axes, keepdims=True)
        return centred / (np.sqrt(np.square(centred).mean(axis=axes, keepdims=True)) + np.float32(1e-9))

    return compute


def _rms_norm(site: Site) -> Compute:
    axis, epsilon = site.get("axis", -1), np.float32(site.get("epsilon", 1e-5))

    def compute(x: Array, scale: Array) -> Any:
        axes = tuple(range(axis % x.ndim, x.ndim))
        return x / np.sqrt(np.square(x).mean(axis=axes, keepdims=True) + epsilon) * scale

    return compute


def _mean(*arrays: Array) -> Any:
    return reduce(np.add, arrays) / np.asarray(len(arrays), arrays[0].dtype)


RARE: dict[str, Callable[[Site], Compute]] = {
    "Neg": _plain(np.negative),
    "Ceil": _plain(np.ceil),
    "Floor": _plain(np.floor),
    "Round": _plain(np.rint),
    "Sign": _plain(np.sign),
    "Log": _plain(np.log),
    "Sin": _plain(np.sin),
    "Cos": _plain(np.cos),
    "Tan": _plain(np.tan),
    "Reciprocal": _plain(np.reciprocal),
    "Not": _plain(np.logical_not),
    "And": _plain(np.logical_and),
    "Or": _plain(np.logical_or),
    "Xor": _plain(np.logical_xor),
    "IsNaN": _plain(np.isnan),
    "IsInf": _is_inf,
    "Softplus": _plain(_softplus),
    "Softsign": _plain(lambda x: x / (1 + np.abs(x))),
    "Mish": _plain(lambda x: x * np.tanh(_softplus(x))),
    "Selu": _selu,
    "Celu": _celu,
    "Elu": _elu,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded,
    "LeakyRelu": _leaky,
    "Relu": _plain(lambda x: np.maximum(x, 0)),
    "Clip": _clip,
    "Abs": _plain(np.abs),
    "Exp": _plain(np.exp),
    "Sqrt": _plain(np.sqrt),
    "Tanh": _plain(np.tanh),
    "Sigmoid": _plain(lambda x: 1 / (1 + np.exp(-x))),
    "PRelu": _plain(lambda x, slope: np.where(x < 0, x * slope, x).astype(x.dtype)),
    "Softmax": lambda site: lambda x: _softmax(x, site.get("axis", -1)),
    "LogSoftmax": _log_softmax,
    "Hardmax": _hardmax,
    "Equal": _plain(np.equal),
    "Greater": _plain(np.greater),
    "GreaterOrEqual": _plain(np.greater_equal),
    "Less": _plain(np.less),
    "LessOrEqual": _plain(np.less_equal),
    "Mod": _mod,
    "Pow": _plain(lambda x, y: np.power(x, y).astype(x.dtype)),
    "Where": _plain(np.where),
    "Mean": _plain(_mean),
    "ArgMax": _arg,
    "ArgMin": _arg,
    "ReduceMean": _reduction(lambda x, axes, keeps: np.mean(_wide(x), axis=axes, keepdims=keeps)),
    "ReduceSum": _reduction(lambda x, axes, keeps: np.sum(_wide(x), axis=axes, keepdims=keeps)),
    "ReduceMax": _reduction(lambda x, axes, keeps: np.max(x, axis=axes, keepdims=keeps)),
    "ReduceMin": _reduction(lambda x, axes, keeps: np.min(x, axis=axes, keepdims=keeps)),
    "ReduceProd": _reduction(lambda x, axes, keeps: np.prod(_wide(x), axis=axes, keepdims=keeps)),
    "ReduceL1": _reduction(lambda x, axes, keeps: np.sum(np.abs(_wide(x)), axis=axes, keepdims=keeps)),
    "ReduceL2": _reduction(
        lambda x, axes, keeps: np.sqrt(np.sum(np.square(_wide(x)), axis=axes, keepdims=keeps))
    ),
    "ReduceLogSum": _reduction(lambda x, axes, keeps: np.log(np.sum(_wide(x), axis=axes, keepdims=keeps))),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ReduceSumSquare": _reduction(
        lambda x, axes, keeps: np.sum(np.square(_wide(x)), axis=axes, keepdims=keeps)
    ),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "CumSum": _cumulate,
    "Trilu": _triangle,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "LpNormalization": _lp_norm,
    "GlobalLpPool": _global_lp,
    "MeanVarianceNormalization": _mean_variance,
    "RMSNormalization": _rms_norm,
}
