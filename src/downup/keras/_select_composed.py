"""The selecting layers in `keras.ops`, for the backends that downup has no operators for."""

from __future__ import annotations

from itertools import product
from typing import Any

from keras import ops

from downup import geometry
from downup.keras._backend import POSITION_TYPE


def max_pool(x: Any, size: Any, stride: Any, padding: Any, data_format: str) -> tuple[Any, Any]:
    """The largest sample of each window, and its place `row * columns + column`; the first of equals, the last NaN."""
    at = 1 if data_format == "channels_last" else 2
    in_size = x.shape[at], x.shape[at + 1]
    sides = geometry.resolve_padding(padding, in_size, size, stride)
    out_size = [
        geometry.window_out_size(in_size[i], size[i], stride[i], sides[i], axis=("rows", "columns")[i])
        for i in (0, 1)
    ]
    starts = [ops.arange(out_size[i], dtype=POSITION_TYPE) * stride[i] - sides[i][0] for i in (0, 1)]
    lowest = _lowest(x.dtype)
    padded = ops.pad(x, [(0, 0)] * at + list(sides) + [(0, 0)] * (2 - at), constant_values=lowest)

    # Until a sample is larger than the lowest one, the first tap on the image stands for the window.
    best = None
    place = _places([ops.maximum(start, 0) for start in starts], in_size[1], at)
    for taps in product(range(size[0]), range(size[1])):
        window = [
            slice(tap, tap + (count - 1) * step + 1, step)
            for tap, count, step in zip(taps, out_size, stride, strict=True)
        ]
        sample = padded[(slice(None),) * at + tuple(window)]
        if best is None:
            best = ops.full_like(sample, lowest)
            place = ops.broadcast_to(place, sample.shape)
        is_taken = ops.logical_or(sample > best, ops.not_equal(sample, sample))
        best = ops.where(is_taken, sample, best)
        here = _places([start + tap for start, tap in zip(starts, taps, strict=True)], in_size[1], at)
        place = ops.where(is_taken, here, place)
    return best, place


def _places(rows_columns: list[Any], width: int, at: int) -> Any:
    """`row * width + column` of every pair, shaped to go with an image."""
    rows, columns = rows_columns
    plane = ops.expand_dims(rows, 1) * width + columns
    return ops.reshape(plane, (1,) * at + tuple(plane.shape) + (1,) * (2 - at))


def _lowest(dtype: Any) -> Any:
    name = str(dtype)
    if "float" in name:
        return -float("inf")
    bits = int("".join(filter(str.isdigit, name)) or 1)
    return 0 if name.startswith("u") else -(2 ** (bits - 1))


def max_unpool(x: Any, positions: Any, out_size: Any, data_format: str) -> Any:
    """Each sample at its place in an image of zeros; the last of several is kept. One outside the plane is left out."""
    if data_format == "channels_last":
        x, positions = ops.transpose(x, (0, 3, 1, 2)), ops.transpose(positions, (0, 3, 1, 2))
    batch, channels, rows, columns = ops.shape(x)
    area, count = out_size[0] * out_size[1], rows * columns
    values = ops.reshape(x, (-1,))
    flat = ops.reshape(ops.cast(positions, POSITION_TYPE), (-1, count))
    total = batch * channels * area
    first = ops.expand_dims(ops.arange(batch * channels, dtype=POSITION_TYPE) * area, 1)
    is_inside = ops.logical_and(flat >= 0, flat < area)
    target = ops.reshape(ops.where(is_inside, flat + first, total), (-1,))

    # Which sample comes last at each place; scattering itself promises no order.
    order = ops.arange(batch * channels * count, dtype=POSITION_TYPE)
    last = ops.segment_max(order, target, total + 1)[:total]
    has_sample = ops.logical_and(last >= 0, last < batch * channels * count)
    plane = ops.where(has_sample, ops.take(values, ops.where(has_sample, last, 0)), ops.zeros((), x.dtype))
    plane = ops.reshape(plane, (batch, channels, *out_size))
    return ops.transpose(plane, (0, 2, 3, 1)) if data_format == "channels_last" else plane
