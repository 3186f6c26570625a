"""Each kernel once more, slow and obvious: the judge of the fast ones. NumPy only, one loop a subscript."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from downup.errors import ArgumentError
from downup.kernels import Window, lib
from downup.kernels.convolve import ACTIVATIONS, ConvolutionSpec

Array: TypeAlias = np.ndarray[Any, Any]


def adaptive_window(in_size: tuple[int, int], out_size: tuple[int, int]) -> Window:
    """The window of an adaptive pooling: as large as the largest that one of its samples sees."""
    rows, columns = (
        max(-(-(i + 1) * n // out) - i * n // out for i in range(out))
        for n, out in zip(in_size, out_size, strict=True)
    )
    return Window((rows, columns), (1, 1), adaptive=True)


def _taps(
    window: Window, row: int, column: int, rows: int, columns: int, out_size: tuple[int, int]
) -> Iterator[tuple[int, int, int]]:
    """(offset in the window, y, x) of each tap that lies on the plane, row by row."""
    if window.adaptive:
        top, left = row * rows // out_size[0], column * columns // out_size[1]
        for y in range(top, -(-(row + 1) * rows // out_size[0])):
            for x in range(left, -(-(column + 1) * columns // out_size[1])):
                yield (y - top) * window.size[1] + x - left, y, x
        return
    for ky in range(window.size[0]):
        for kx in range(window.size[1]):
            y = row * window.stride[0] - window.pad_before[0] + ky * window.dilation[0]
            x = column * window.stride[1] - window.pad_before[1] + kx * window.dilation[1]
            if 0 <= y < rows and 0 <= x < columns:
                yield ky * window.size[1] + kx, y, x


def _place(
    window: Window,
    position: int,
    is_offset: bool,
    row: int,
    column: int,
    rows: int,
    columns: int,
    out_size: tuple[int, int],
) -> tuple[int, int]:
    if is_offset:
        for offset, y, x in _taps(window, row, column, rows, columns, out_size):
            if offset == position:
                return y, x
    elif 0 <= position < rows * columns:
        return divmod(position, columns)
    raise ArgumentError(
        f"position {position} of window ({row}, {column}) lies outside the plane of {rows} x {columns}"
    )


def _own_place(
    window: Window,
    position: int,
    is_offset: bool,
    row: int,
    column: int,
    rows: int,
    columns: int,
    out_size: tuple[int, int],
) -> tuple[int, int]:
    """The place of a position that must lie in its own window."""
    for offset, y, x in _taps(window, row, column, rows, columns, out_size):
        if position == (offset if is_offset else y * columns + x):
            return y, x
    raise ArgumentError(f"position {position} lies outside its window ({row}, {column})")


def max_pool2d(x: Array, window: Window, out_size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Maximum of each window, its flat position in the plane (-1: only padding), and its offset in the window."""
    batch, channels, rows, columns = x.shape
    out = np.full((batch, channels, *out_size), -np.inf, x.dtype)
    flat = np.full(out.shape, -1, np.int64)
    offsets = np.zeros(out.shape, np.uint8)
    for n, c, row, column in np.ndindex(*out.shape):
        for offset, py, px in _taps(window, row, column, rows, columns, out_size):
            value = x[n, c, py, px]
            if flat[n, c, row, column] < 0 or value > out[n, c, row, column] or math.isnan(value):
                out[n, c, row, column] = value
                flat[n, c, row, column] = py * columns + px
                offsets[n, c, row, column] = offset % 256
    return out, flat, offsets


def adaptive_max_pool2d(x: Array, out_size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """`max_pool2d` of windows that share the image evenly."""
    return max_pool2d(x, adaptive_window((x.shape[2], x.shape[3]), out_size), out_size)


def global_max_pool2d(x: Array) -> tuple[Array, Array, Array]:
    """`max_pool2d` of one window."""
    return adaptive_max_pool2d(x, (1, 1))


def max_pool2d_backward(grad_out: Array, positions: Array, window: Window, in_size: tuple[int, int]) -> Array:
    """Each gradient added where its sample was taken, output by output."""
    grad_in = np.zeros((*grad_out.shape[:2], *in_size), grad_out.dtype)
    out_size = (grad_out.shape[2], grad_out.shape[3])
    for n, c, row, column in np.ndindex(*grad_out.shape):
        if next(_taps(window, row, column, *in_size, out_size), None) is not None:
            place = _own_place(
                window,
                int(positions[n, c, row, column]),
                positions.dtype == np.uint8,
                row,
                column,
                *in_size,
                out_size,
            )
            grad_in[n, c, *place] += grad_out[n, c, row, column]
    return grad_in


def max_pool2d_take(values: Array, positions: Array, window: Window) -> Array:
    """The value at each position, zero for a window of padding only."""
    taken = np.zeros(positions.shape, values.dtype)
    in_size, out_size = (values.shape[2], values.shape[3]), (positions.shape[2], positions.shape[3])
    for n, c, row, column in np.ndindex(*positions.shape):
        if next(_taps(window, row, column, *in_size, out_size), None) is not None:
            place = _own_place(
                window,
                int(positions[n, c, row, column]),
                positions.dtype == np.uint8,
                row,
                column,
                *in_size,
                out_size,
            )
            taken[n, c, row, column] = values[n, c, *place]
    return taken


def max_unpool2d(x: Array, positions: Array, window: Window, out_size: tuple[int, int]) -> Array:
    """Each sample at its position in a plane of zeros; the last of several is kept."""
    out = np.zeros((*x.shape[:2], *out_size), x.dtype)
    windows = (x.shape[2], x.shape[3])
    for n, c, row, column in np.ndindex(*x.shape):
        place = _place(
            window,
            int(positions[n, c, row, column]),
            positions.dtype == np.uint8,
            row,
            column,
            *out_size,
            windows,
        )
        out[n, c, *place] = x[n, c, row, column]
    return out


def max_unpool2d_backward(grad_out: Array, positions: Array, window: Window) -> Array:
    """The gradient at each position, zero for a sample that a later one replaced."""
    grad_in = np.zeros(positions.shape, grad_out.dtype)
    out_size, windows = (grad_out.shape[2], grad_out.shape[3]), (positions.shape[2], positions.shape[3])
    owners: dict[tuple[int, int, int, int], tuple[int, int]] = {}
    for n, c, row, column in np.ndindex(*positions.shape):
        place = _place(
            window,
            int(positions[n, c, row, column]),
            positions.dtype == np.uint8,
            row,
            column,
            *out_size,
            windows,
        )
        owners[(n, c, *place)] = (row, column)
    for (n, c, y, x), (row, column) in owners.items():
        grad_in[n, c, row, column] = grad_out[n, c, y, x]
    return grad_in


def _block_channel(c: int, y: int, x: int, channels: int, factor: int, order: str) -> int:
    """The channel of the blocks that holds pixel (y, x) of each block of channel c."""
    return (c * factor + y) * factor + x if order == "CRD" else (y * factor + x) * channels + c


def pixel_shuffle(x: Array, factor: int, order: str = "CRD") -> Array:
    """Channels laid out as blocks of pixels, sample by sample."""
    batch, blocks, rows, columns = x.shape
    channels = blocks // factor**2
    out = np.empty((batch, channels, rows * factor, columns * factor), x.dtype)
    for n, c, row, column in np.ndindex(*out.shape):
        (i, down), (j, right) = divmod(row, factor), divmod(column, factor)
        out[n, c, row, column] = x[n, _block_channel(c, down, right, channels, factor, order), i, j]
    return out


def pixel_unshuffle(x: Array, factor: int, order: str = "CRD") -> Array:
    """Blocks of pixels as channels, sample by sample."""
    batch, channels, rows, columns = x.shape
    out = np.empty((batch, channels * factor**2, rows // factor, columns // factor), x.dtype)
    for n, c, row, column in np.ndindex(*x.shape):
        (i, down), (j, right) = divmod(row, factor), divmod(column, factor)
        out[n, _block_channel(c, down, right, channels, factor, order), i, j] = x[n, c, row, column]
    return out


def resample2d(x: Array, rows: Any, columns: Any) -> Array:
    """Each output sample as its sum over the taps of its row and its column (two `downup.taps.Taps`), in double."""
    out = np.zeros((*x.shape[:2], rows.out_size, columns.out_size))
    (row_start, row_index, row_weight, row_divisor) = rows.table
    (start, index, weight, divisor) = columns.table
    for y, column in np.ndindex(rows.out_size, columns.out_size):
        for k in range(row_start[y], row_start[y + 1]):
            for m in range(start[column], start[column + 1]):
                out[..., y, column] += row_weight[k] * weight[m] * x[..., row_index[k], index[m]]
        out[..., y, column] /= row_divisor[y] * divisor[column]
    return out


def activate(
    x: Array, kind: int, alpha: float = 0.0, beta: float = 0.0, slopes: Array | None = None
) -> Array:
    """One of the activations of `downup.h` on each element, in double."""
    out = np.empty(x.shape)
    for n, c, row, column in np.ndindex(*x.shape):
        slope = 0.0 if slopes is None else float(slopes[c])
        out[n, c, row, column] = _activated(float(x[n, c, row, column]), kind, alpha, beta, slope)
    return out


def _activated(x: float, kind: int, alpha: float, beta: float, slope: float) -> float:
    if math.isnan(x):
        return x
    rules: dict[int, Callable[[], float]] = {
        lib.DU_IDENTITY: lambda: x,
        lib.DU_RELU: lambda: max(x, 0.0),
        lib.DU_LEAKY_RELU: lambda: x if x >= 0 else alpha * x,
        lib.DU_PRELU: lambda: x if x >= 0 else slope * x,
        lib.DU_CLIP: lambda: min(max(x, alpha), beta),
        lib.DU_SIGMOID: lambda: 1 / (1 + math.exp(-x)),
        lib.DU_SILU: lambda: x / (1 + math.exp(-x)),
        lib.DU_HARD_SIGMOID: lambda: min(max(alpha * x + beta, 0.0), 1.0),
        lib.DU_HARD_SWISH: lambda: x * min(max(x / 6 + 0.5, 0.0), 1.0),
        lib.DU_GELU: lambda: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
        lib.DU_GELU_TANH: lambda: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        lib.DU_ELU: lambda: x if x >= 0 else alpha * math.expm1(x),
        lib.DU_TANH: lambda: math.tanh(x),
        lib.DU_EXP: lambda: math.exp(x),
        lib.DU_ERF: lambda: math.erf(x),
        lib.DU_SQRT: lambda: math.sqrt(x) if x >= 0 else math.nan,
        lib.DU_ABS: lambda: abs(x),
    }
    return rules[kind]()


def combine(a: Array, b: Array, operation: int) -> Array:
    """`a` and `b` element by element, in double; an axis of one element is read for every element of the other."""
    rules: dict[int, Callable[[Array, Array], Array]] = {
        lib.DU_ADD: np.add,
        lib.DU_SUBTRACT: np.subtract,
        lib.DU_MULTIPLY: np.multiply,
        lib.DU_DIVIDE: np.divide,
        lib.DU_MINIMUM: np.minimum,
        lib.DU_MAXIMUM: np.maximum,
    }
    return rules[operation](a.astype(np.float64), b.astype(np.float64))


def affine(x: Array, scale: Array, shift: Array) -> Array:
    """Each channel times its scale, plus its shift, in double."""
    out = np.empty(x.shape)
    for n, c, row, column in np.ndindex(*x.shape):
        out[n, c, row, column] = float(x[n, c, row, column]) * float(scale[c]) + float(shift[c])
    return out


def reduce(x: Array, out_shape: tuple[int, int, int, int], operation: int) -> Array:
    """The sum, mean or largest element along the axes where `out_shape` is 1, in order, in double."""
    axes = tuple(axis for axis in range(4) if out_shape[axis] == 1)
    rules: dict[int, Callable[[Array], Any]] = {
        lib.DU_SUM: np.sum,
        lib.DU_MEAN: np.mean,
        lib.DU_LARGEST: np.max,
    }
    out = np.empty(out_shape)
    for place in np.ndindex(*out_shape):
        own = tuple(slice(None) if axis in axes else place[axis] for axis in range(4))
        out[place] = rules[operation](x[own].astype(np.float64))
    return out


def mean_exactly(x: Array, count: int) -> Array:
    """The sum of each plane without any rounding, then rounded to double, divided by `count` and rounded again."""
    out = np.empty((*x.shape[:2], 1, 1), np.float32)
    for n, c in np.ndindex(*x.shape[:2]):
        out[n, c] = math.fsum(x[n, c].ravel().tolist()) / count
    return out


def matmul(left: Array, right: Array) -> Array:
    """Matrix by matrix, in double."""
    batch, groups = max(left.shape[0], right.shape[0]), max(left.shape[1], right.shape[1])
    out = np.zeros((batch, groups, left.shape[2], right.shape[3]))
    for n, g, row, column in np.ndindex(*out.shape):
        a = left[n % left.shape[0], g % left.shape[1], row].astype(np.float64)
        b = right[n % right.shape[0], g % right.shape[1], :, column].astype(np.float64)
        out[n, g, row, column] = sum(x * y for x, y in zip(a, b, strict=True))
    return out


def softmax(x: Array) -> Array:
    """e^x over its sum along the channels, in double."""
    out = np.empty(x.shape)
    for n, row, column in np.ndindex(x.shape[0], *x.shape[2:]):
        scores = x[n, :, row, column].astype(np.float64)
        powers = np.exp(scores - scores.max())
        out[n, :, row, column] = powers / powers.sum()
    return out


def argmax(x: Array) -> Array:
    """The first channel with the largest score [n, 1, h, w]; NaN is larger than all."""
    out = np.zeros((x.shape[0], 1, *x.shape[2:]), np.int64)
    for n, row, column in np.ndindex(x.shape[0], *x.shape[2:]):
        best = 0
        for c in range(1, x.shape[1]):
            score, so_far = x[n, c, row, column], x[n, best, row, column]
            if score > so_far or (math.isnan(score) and not math.isnan(so_far)):
                best = c
        out[n, 0, row, column] = best
    return out


def resample_argmax(x: Array, rows: Any, columns: Any) -> Array:
    """`argmax` of `resample2d`."""
    return argmax(resample2d(x, rows, columns))


def convolve(
    x: Array, weight: Array, bias: Array | None, spec: ConvolutionSpec, residual: Array | None = None
) -> Array:
    """A convolution tap by tap, in double: the sum of weight[o, i, ky, kx] * x[i, tap]; transposed, each sample spread."""
    x = x.astype(np.float64).repeat(spec.upsample[0], 2).repeat(spec.upsample[1], 3)
    batch, _, *in_size = x.shape
    window, group_in = spec.window, spec.in_channels // spec.groups
    pads = [a + b for a, b in zip(window.pad_before, window.pad_after, strict=True)]
    extents = [d * (k - 1) + 1 for d, k in zip(window.dilation, window.size, strict=True)]
    if spec.transposed:
        sizes = zip(in_size, window.stride, extents, pads, spec.output_padding, strict=True)
        rows, columns = ((n - 1) * stride + extent - pad + more for n, stride, extent, pad, more in sizes)
    else:
        rows, columns = (
            (n + pad - extent) // stride + 1
            for n, stride, extent, pad in zip(in_size, window.stride, extents, pads, strict=True)
        )
    out = np.zeros((batch, spec.out_channels, rows, columns))
    small, large = (
        ((in_size[0], in_size[1]), (rows, columns))
        if spec.transposed
        else ((rows, columns), (in_size[0], in_size[1]))
    )
    for o, i in np.ndindex(spec.out_channels, group_in):
        group, channel = divmod(o, spec.out_channels // spec.groups)
        source = group * group_in + i
        taps = weight[source, channel] if spec.transposed else weight[o, i]
        for y, column in np.ndindex(*small):
            for k, py, px in _taps(window, y, column, *large, small):
                value = float(taps.flat[k])
                if spec.transposed:
                    out[:, o, py, px] += value * x[:, source, y, column]
                else:
                    out[:, o, y, column] += value * x[:, source, py, px]
    if bias is not None:
        out += bias[:, None, None]
    if residual is not None:
        out += residual
    activation = spec.activation
    return activate(
        out,
        lib.DU_IDENTITY + ACTIVATIONS.index(activation.kind),
        activation.alpha,
        activation.beta,
        activation.slopes,
    )
