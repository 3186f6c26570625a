"""How each operator of downup is said in ONNX: standard operators alone, of opset 18, all sizes left open."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import opset18

from downup import taps
from downup.errors import ArgumentError
from downup.networks.export.unpooling import POOL_TAPS, UNPOOL_TAPS
from downup.ops._resample_plan import ADAPTIVE, BINOMIAL, SAMPLED, AxisPlan

# The types of its signatures leave out values whose type is known only when they are traced.
op: Any = opset18
_FIELDS = len(AxisPlan._fields)
_MODES = {"nearest": "nearest", "linear": "linear", "cubic": "cubic"}
_NEAREST = {
    "torch": ("asymmetric", "floor"),
    "torch_exact": ("half_pixel", "round_prefer_ceil"),
    "floor": (None, "floor"),
    "ceil": (None, "ceil"),
    "prefer_floor": (None, "round_prefer_floor"),
    "prefer_ceil": (None, "round_prefer_ceil"),
}


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The table that torch's exporter asks for."""
    own, aten = torch.ops.downup, torch.ops.aten
    return {
        POOL_TAPS: pool_taps,
        UNPOOL_TAPS: unpool_taps,
        own.max_pool2d.default: max_pool,
        own.max_unpool2d.default: max_unpool,
        own.adaptive_max_pool2d.default: adaptive_max_pool,
        own.resample2d.default: resample,
        own.pixel_shuffle.default: pixel_shuffle,
        own.pixel_unshuffle.default: pixel_unshuffle,
        aten.max_pool2d_with_indices.default: torch_max_pool,
        aten.max_unpool2d.default: torch_max_unpool,
        operator.floordiv: floor_division,
        aten._adaptive_avg_pool2d.default: torch_adaptive_average,
        aten.adaptive_avg_pool2d.default: torch_adaptive_average,
    }


def floor_division(self: Any, other: Any) -> Any:
    """Python's division of sizes: torch's own translation rounds towards zero, and -(-rows // 2) is common."""
    return op.Div(op.Sub(self, op.Mod(self, other)), other)


# Un-pooling of windows that tile the plane. This is the pattern by which an engine finds it again:
#
#   taps:   SpaceToDepth(x, k) -> Reshape [n, k * k, c, h * w] -> ArgMax over axis 1 -> Reshape [n, c, h, w]
#   unpool: for each tap t, Where(Equal(taps, t), values, 0) -> Concat over channels -> DepthToSpace(k, "DCR")
#
# SpaceToDepth lays the samples of tap t = row * k + column into channels t * c to (t + 1) * c, and DepthToSpace lays them
# back; ArgMax takes the first of equal samples, as max pooling does.


def pool_taps(x: Any, size: int) -> Any:
    """int64 [n, c, h, w]: which sample of its window, row by row, is the first largest."""
    samples = op.SpaceToDepth(x, blocksize=size)
    channels = _static(x, 1, "channels")
    planes = op.Reshape(samples, _constant([0, size * size, channels, -1]))
    largest = op.ArgMax(planes, axis=1, keepdims=0)
    shape = op.Concat(_shape(x, 0, 2), op.Shape(samples, start=2), axis=0)
    return op.Reshape(largest, shape)


def unpool_taps(x: Any, positions: Any, size: int, out_size: Any = None) -> Any:
    """[n, c, h, w] -> [n, c, h * size, w * size]: each value at its tap, zeros elsewhere, and beyond up to out_size."""
    zero = op.Constant(value_float=0.0)
    apart = [op.Where(op.Equal(positions, op.Constant(value_int=tap)), x, zero) for tap in range(size * size)]
    tiled = op.DepthToSpace(op.Concat(*apart, axis=1), blocksize=size, mode="DCR")
    if out_size is None:
        return tiled
    missing = op.Sub(_dims(out_size), _shape(tiled, 2, 4))
    return op.Pad(tiled, op.Concat(_constant([0] * 6), missing, axis=0))


def max_pool(
    x: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, compact: bool
) -> Any:
    """downup.max_pool2d: the values, and where they were: in the plane, or in the window when compact."""
    window = {"kernel_shape": size, "strides": stride, "dilations": dilation, "ceil_mode": int(ceil_mode)}
    top, bottom, left, right = _numbers(padding, "padding")
    values, indices = op.MaxPool(x, **window, pads=[top, left, bottom, right])
    if ceil_mode:
        values, indices = (_begun_inside(part, x, stride, (top, left)) for part in (values, indices))
    positions = _in_plane(indices, x)
    if compact:
        tap_row, tap_column = (
            op.Div(op.Sub(at, start), op.Constant(value_int=apart))
            for at, start, apart in zip(
                _split(positions, x), _starts(values, stride, (top, left)), dilation, strict=True
            )
        )
        positions = op.Add(op.Mul(tap_row, op.Constant(value_int=size[1])), tap_column)
        positions = op.Cast(positions, to=ir.DataType.UINT8)
    return values, positions


def max_unpool(
    x: Any,
    positions: Any,
    out_size: Any,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Any:
    """downup.max_unpool2d of windows that overlap, or whose pooling is not in the graph."""
    out = _dims(out_size)
    if positions.dtype == ir.DataType.UINT8:
        top, _, left, _ = _numbers(padding, "padding")
        taps_ = op.Cast(positions, to=ir.DataType.INT64)
        width = op.Constant(value_int=size[1])
        rows, columns = (
            op.Add(op.Mul(tap, op.Constant(value_int=apart)), start)
            for tap, apart, start in zip(
                (op.Div(taps_, width), op.Mod(taps_, width)),
                dilation,
                _starts(x, stride, (top, left)),
                strict=True,
            )
        )
        positions = op.Add(op.Mul(rows, op.Gather(out, op.Constant(value_int=1))), columns)
    return _scatter(x, positions, out)


def torch_max_pool(
    x: Any,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    ceil_mode: bool = False,
) -> Any:
    """torch's pooling: positions count over the plane, ONNX's over the whole tensor."""
    size, step, border, apart = (
        _pair(sides) for sides in (kernel_size, stride or kernel_size, padding, dilation)
    )
    values, indices = op.MaxPool(
        x, kernel_shape=size, strides=step, pads=border * 2, dilations=apart, ceil_mode=int(ceil_mode)
    )
    if ceil_mode:
        values, indices = (_begun_inside(part, x, step, border) for part in (values, indices))
    return values, _in_plane(indices, x)


def torch_max_unpool(x: Any, positions: Any, out_size: Any) -> Any:
    """torch's un-pooling, wherever its positions come from."""
    return _scatter(x, positions, _dims(out_size))


def adaptive_max_pool(x: Any, out_size: Any, compact: bool) -> Any:
    """downup.adaptive_max_pool2d to one sample."""
    if list(out_size) != [1, 1]:
        raise ArgumentError(
            f"adaptive_max_pool2d to {list(out_size)} cannot be said in ONNX for all sizes; use output_size=1, or max_pool2d"
        )
    flat = op.Reshape(x, _constant([0, 0, -1]))
    largest = op.ArgMax(flat, axis=2, keepdims=1)
    return op.GlobalMaxPool(x), op.Reshape(largest, _constant([0, 0, 1, 1]))


def resample(x: Any, *arguments: Any) -> Any:
    """downup.resample2d: pools, blurs and interpolations, by the kind of their plans."""
    rows, columns = (AxisPlan(*arguments[start : start + _FIELDS]) for start in (0, _FIELDS))
    if arguments[-1]:
        raise ArgumentError(
            "the gradient of a resampling cannot be exported; export the network in eval mode"
        )
    if rows.kind != columns.kind:
        raise ArgumentError(
            "rows and columns are resampled by different rules, for which there is no ONNX operator"
        )
    if rows.kind == SAMPLED:
        return _interpolate(x, rows, columns)
    if rows.kind == ADAPTIVE:
        return adaptive_average(x, rows.out_size, columns.out_size)
    return (_blur if rows.kind == BINOMIAL else _average)(x, rows, columns)


def pixel_shuffle(x: Any, factor: int, order: str) -> Any:
    """downup.pixel_shuffle."""
    return op.DepthToSpace(x, blocksize=factor, mode=order)


def pixel_unshuffle(x: Any, factor: int, order: str) -> Any:
    """downup.pixel_unshuffle: SpaceToDepth counts channels in the order "DCR"."""
    samples = op.SpaceToDepth(x, blocksize=factor)
    if order == "DCR":
        return samples
    channels = _static(x, 1, "channels")
    taken = np.arange(factor * factor * channels).reshape(factor * factor, channels).T.ravel()
    return op.Gather(samples, _constant(taken.tolist()), axis=1)


def torch_adaptive_average(x: Any, output_size: Any) -> Any:
    """torch's adaptive average, to a fixed number of samples of an image of any size."""
    rows, columns = output_size
    return adaptive_average(x, rows, columns)


def adaptive_average(x: Any, rows: Any, columns: Any) -> Any:
    """The mean of floor(i n / out) up to ceil((i + 1) n / out), as two products with matrices made of the image's size."""
    if rows == 1 and columns == 1:
        return op.GlobalAveragePool(x)
    left, right = _adaptive_matrix(x, 2, rows), _adaptive_matrix(x, 3, columns)
    return op.MatMul(op.MatMul(left, x), op.Transpose(right, perm=[1, 0]))


def _adaptive_matrix(x: Any, axis: int, count: Any) -> Any:
    """[count, n]: the weight of each sample in each window."""
    zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
    length = op.Squeeze(_shape(x, axis, axis + 1), _constant([0]))
    count = op.Squeeze(_dims([count]), _constant([0]))
    windows = op.Unsqueeze(op.Range(zero, count, one), _constant([1]))
    first = op.Div(op.Mul(windows, length), count)
    last = op.Div(op.Sub(op.Add(op.Mul(op.Add(windows, one), length), count), one), count)
    samples = op.Range(zero, length, one)
    is_inside = op.And(op.GreaterOrEqual(samples, first), op.Less(samples, last))
    inside = op.Cast(is_inside, to=ir.DataType.FLOAT)
    return op.Div(inside, op.Cast(op.Sub(last, first), to=ir.DataType.FLOAT))


def _average(x: Any, rows: AxisPlan, columns: AxisPlan) -> Any:
    (size, stride, before, after, dilation, ceil_mode, counted) = zip(rows.whole, columns.whole, strict=True)
    if dilation != (1, 1):
        raise ArgumentError(
            f"avg_pool2d with dilation {dilation} has no operator in ONNX opset 18; use dilation=1"
        )
    is_number = counted[0] == len(taps.COUNTED)
    counts = "inside" if not is_number and taps.COUNTED[counted[0]] == "inside" else "padded"
    if is_number and any(ceil_mode):
        raise ArgumentError("divisor_override with ceil_mode has no operator in ONNX; leave one of them out")
    averages = op.AveragePool(
        x,
        kernel_shape=list(size),
        strides=list(stride),
        pads=[*before, *after],
        ceil_mode=int(any(ceil_mode)),
        count_include_pad=int(counts == "padded"),
    )
    if any(ceil_mode):
        averages = _begun_inside(averages, x, stride, before)
    if not is_number:
        return averages
    return op.Mul(averages, op.Constant(value_float=size[0] * size[1] / rows.other[0]))


def _blur(x: Any, rows: AxisPlan, columns: AxisPlan) -> Any:
    channels = _static(x, 1, "channels")
    lines, before, after = [], [], []
    for count, _, _ in (rows.whole, columns.whole):
        line = np.ones(1)
        for _ in range(count - 1):
            line = np.convolve(line, [0.5, 0.5])
        lines.append(line)
        before.append((count - 1) // 2)
        after.append(count // 2)
    edge = {"reflect": "reflect", "repeat": "edge", "zero": "constant"}[taps.EDGES[rows.whole[2]]]
    padded = op.Pad(x, _constant([0, 0, *before, 0, 0, *after]), mode=edge)
    kernel = np.broadcast_to(np.outer(*lines), (channels, 1, len(lines[0]), len(lines[1])))
    weight = op.Constant(value=ir.tensor(np.ascontiguousarray(kernel, dtype=np.float32)))
    return op.Conv(padded, weight, strides=[rows.whole[1], columns.whole[1]], group=channels)


def _interpolate(x: Any, rows: AxisPlan, columns: AxisPlan) -> Any:
    filter, coordinates, rounding, antialias, exclude_outside = rows.whole
    name = taps.FILTERS[filter]
    if name not in _MODES:
        raise ArgumentError(
            f'mode {name!r} has no operator in ONNX; use "bilinear" or "bicubic" with antialias=True'
        )
    places = taps.COORDINATES[coordinates]
    options: dict[str, Any] = {"mode": _MODES[name], "coordinate_transformation_mode": places}
    if name == "nearest":
        own, options["nearest_mode"] = _NEAREST[taps.ROUNDINGS[rounding]]
        options["coordinate_transformation_mode"] = own or places
    else:
        options["antialias"] = antialias
        options["exclude_outside"] = exclude_outside
        if name == "cubic":
            options["cubic_coeff_a"] = rows.other[1]
    ratios = [plan.other[0] for plan in (rows, columns)]
    if all(ratio > 0 for ratio in ratios):
        factors = [1.0, 1.0, *(1 / ratio for ratio in ratios)]
        scales = op.Constant(value=ir.tensor(np.array(factors, dtype=np.float32)))
        return op.Resize(x, None, scales, None, **options)
    sizes = op.Concat(_shape(x, 0, 2), _dims([rows.out_size, columns.out_size]), axis=0)
    return op.Resize(x, None, None, sizes, **options)


def _in_plane(indices: Any, x: Any) -> Any:
    """Positions counted over [n, c, h, w] as positions counted over each plane."""
    plane = op.ReduceProd(_shape(x, 2, 4), keepdims=1)
    return op.Mod(indices, plane)


def _begun_inside(windows: Any, x: Any, stride: Any, before: Any) -> Any:
    """Without the windows that begin in the padding after the image: torch drops them, and the engines do not agree."""
    steps = op.Constant(value_ints=list(stride))
    last = op.Constant(value_ints=[side + step - 1 for side, step in zip(before, stride, strict=True)])
    counts = op.Div(op.Add(_shape(x, 2, 4), last), steps)
    return op.Slice(windows, _constant([0, 0]), counts, _constant([2, 3]))


def _split(positions: Any, x: Any) -> tuple[Any, Any]:
    """Rows and columns of positions in the planes of x."""
    width = _shape(x, 3, 4)
    return op.Div(positions, width), op.Mod(positions, width)


def _starts(values: Any, stride: Any, before: Any) -> tuple[Any, Any]:
    """[h, 1] and [w]: the first row and column of each window."""
    zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
    made = []
    for axis in (0, 1):
        count = op.Squeeze(_shape(values, axis + 2, axis + 3), _constant([0]))
        windows = op.Range(zero, count, one)
        start = op.Sub(
            op.Mul(windows, op.Constant(value_int=stride[axis])), op.Constant(value_int=before[axis])
        )
        made.append(start)
    return op.Unsqueeze(made[0], _constant([1])), made[1]


def _scatter(x: Any, positions: Any, out_size: Any) -> Any:
    """x at its positions in planes of zeros [n, c, *out_size]. Where two share one, ONNX does not say which stays."""
    planes = _shape(x, 0, 2)
    plane = op.ReduceProd(out_size, keepdims=1)
    zeros = op.ConstantOfShape(op.Concat(planes, plane, axis=0))
    flat = _constant([0, 0, -1])
    spread = op.ScatterElements(zeros, op.Reshape(positions, flat), op.Reshape(x, flat), axis=2)
    return op.Reshape(spread, op.Concat(planes, out_size, axis=0))


def _shape(x: Any, start: int, end: int) -> Any:
    return op.Shape(x, start=start, end=end)


def _dims(sizes: Any) -> Any:
    """Sizes, numbers or computed, as one int64 [len(sizes)]."""
    if not isinstance(sizes, (list, tuple)):
        return sizes
    if all(isinstance(size, int) for size in sizes):
        return _constant(list(sizes))
    line = _constant([-1])
    return op.Concat(
        *(_constant([size]) if isinstance(size, int) else op.Reshape(size, line) for size in sizes), axis=0
    )


def _constant(numbers: list[int]) -> Any:
    return op.Constant(value_ints=numbers)


def _numbers(values: Any, name: str) -> tuple[int, ...]:
    if not all(isinstance(value, int) for value in values):
        raise ArgumentError(
            f"{name} depends on the size of the image, which ONNX's pools cannot say; use numbers"
        )
    return tuple(values)


def _static(x: Any, axis: int, name: str) -> int:
    size = x.shape[axis] if x.shape is not None else None
    if not isinstance(size, int):
        raise ArgumentError(
            f"the number of {name} is not fixed ({size}); leave only batch, height and width open"
        )
    return size


def _pair(sides: Any) -> list[int]:
    return list(sides) * 2 if len(sides) == 1 else list(sides)
