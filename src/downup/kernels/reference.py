"""Each kernel once more, slow and obvious: the judge of the fast ones. NumPy only, one loop a subscript."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from downup.errors import ArgumentError
from downup.kernels import Window

Array: TypeAlias = np.ndarray[Any, Any]


def _taps(window: Window, row: int, column: int, rows: int, columns: int) -> Iterator[tuple[int, int, int]]:
    """(offset in the window, y, x) of each tap that lies on the plane, row by row."""
    for ky in range(window.size[0]):
        for kx in range(window.size[1]):
            y = row * window.stride[0] - window.pad_before[0] + ky * window.dilation[0]
            x = column * window.stride[1] - window.pad_before[1] + kx * window.dilation[1]
            if 0 <= y < rows and 0 <= x < columns:
                yield ky * window.size[1] + kx, y, x


def _place(
    window: Window, position: int, is_offset: bool, row: int, column: int, rows: int, columns: int
) -> tuple[int, int]:
    if is_offset:
        for offset, y, x in _taps(window, row, column, rows, columns):
            if offset == position:
                return y, x
    elif 0 <= position < rows * columns:
        return divmod(position, columns)
    raise ArgumentError(
        f"position {position} of window ({row}, {column}) lies outside the plane of {rows} x {columns}"
    )


def _own_place(
    window: Window, position: int, is_offset: bool, row: int, column: int, rows: int, columns: int
) -> tuple[int, int]:
    """The place of a position that must lie in its own window."""
    for offset, y, x in _taps(window, row, column, rows, columns):
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
        for offset, py, px in _taps(window, row, column, rows, columns):
            value = x[n, c, py, px]
            if flat[n, c, row, column] < 0 or value > out[n, c, row, column] or math.isnan(value):
                out[n, c, row, column] = value
                flat[n, c, row, column] = py * columns + px
                offsets[n, c, row, column] = offset % 256
    return out, flat, offsets


def max_pool2d_backward(grad_out: Array, positions: Array, window: Window, in_size: tuple[int, int]) -> Array:
    """Each gradient added where its sample was taken, output by output."""
    grad_in = np.zeros((*grad_out.shape[:2], *in_size), grad_out.dtype)
    for n, c, row, column in np.ndindex(*grad_out.shape):
        if next(_taps(window, row, column, *in_size), None) is not None:
            place = _own_place(
                window, int(positions[n, c, row, column]), positions.dtype == np.uint8, row, column, *in_size
            )
            grad_in[n, c, *place] += grad_out[n, c, row, column]
    return grad_in


def max_pool2d_take(values: Array, positions: Array, window: Window) -> Array:
    """The value at each position, zero for a window of padding only."""
    taken = np.zeros(positions.shape, values.dtype)
    for n, c, row, column in np.ndindex(*positions.shape):
        if next(_taps(window, row, column, *values.shape[2:]), None) is not None:
            place = _own_place(
                window,
                int(positions[n, c, row, column]),
                positions.dtype == np.uint8,
                row,
                column,
                *values.shape[2:],
            )
            taken[n, c, row, column] = values[n, c, *place]
    return taken


def max_unpool2d(x: Array, positions: Array, window: Window, out_size: tuple[int, int]) -> Array:
    """Each sample at its position in a plane of zeros; the last of several is kept."""
    out = np.zeros((*x.shape[:2], *out_size), x.dtype)
    for n, c, row, column in np.ndindex(*x.shape):
        place = _place(
            window, int(positions[n, c, row, column]), positions.dtype == np.uint8, row, column, *out_size
        )
        out[n, c, *place] = x[n, c, row, column]
    return out


def max_unpool2d_backward(grad_out: Array, positions: Array, window: Window) -> Array:
    """The gradient at each position, zero for a sample that a later one replaced."""
    grad_in = np.zeros(positions.shape, grad_out.dtype)
    owners: dict[tuple[int, int, int, int], tuple[int, int]] = {}
    for n, c, row, column in np.ndindex(*positions.shape):
        place = _place(
            window,
            int(positions[n, c, row, column]),
            positions.dtype == np.uint8,
            row,
            column,
            *grad_out.shape[2:],
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
