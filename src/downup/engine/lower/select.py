"""Max pools and their way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.lower.context import Lowering, refuse
from downup.engine.lower.unpooling import is_pooled_by, pool_by_taps
from downup.engine.values import CHANNELS_LAST, Array, Value
from downup.graph.shapes import Window, window_of
from downup.kernels import Window as NativeWindow
from downup.kernels import ffi, lib


def native_window(window: Window) -> NativeWindow:
    """The window as the library takes it: of rows and columns, the first of one row where there is but one axis."""

    def both(numbers: Any, fill: Any) -> Any:
        return tuple(numbers) if len(numbers) == 2 else (fill, *numbers)

    pads = both(window.pads, (0, 0))
    return NativeWindow(
        both(window.size, 1),
        both(window.stride, 1),
        (pads[0][0], pads[1][0]),
        (pads[0][1], pads[1][1]),
        both(window.dilation, 1),
        window.ceil_mode,
    )


def as_picture(value: Value) -> Value:
    """[batch, channel, sample] as pictures of one row; pictures as they are."""
    if value.rank == 4:
        return value
    (batch, channels, length), (a, b, c) = value.shape, value.strides
    return value.with_axes((batch, channels, 1, length), (a, b, 0, c))


def lower_max_pool(lowering: Lowering, node: ir.Node) -> None:
    """Positions are bytes where only an un-pooling to the same image reads them."""
    for pool in lowering.tap_pools.values():
        if not pool.is_done and is_pooled_by(lowering, node, pool):
            pool_by_taps(lowering, pool, node)
            return
    value = lowering.value(node.inputs[0])
    if value.rank not in (3, 4) or value.dtype not in (np.float32, np.float64):
        raise refuse(node, f"its input has {value.rank} axes of type {value.dtype}; use pictures of float32")
    window = window_of(node, value.shape)
    native = native_window(window)
    out = lowering.new(node.outputs[0])
    picture, pooled = as_picture(value), as_picture(out)
    positions = node.outputs[1] if len(node.outputs) > 1 else None
    if positions is None or not (lowering.consumers(positions) or lowering.is_output(positions)):
        _pool(lowering, node, picture, pooled, ffi.NULL, native, [out])
        return
    if _has_own_unpools(lowering, node, window):
        offsets = lowering.temporary(positions.name or "", out.shape, np.uint8, CHANNELS_LAST)
        lowering.set(positions, offsets)
        _pool(lowering, node, picture, pooled, as_picture(offsets), native, [out, offsets])
        return
    flat = lowering.temporary(
        f"{positions.name} in the plane", out.shape, np.int64, CHANNELS_LAST if out.rank == 4 else None
    )
    _pool(lowering, node, picture, pooled, as_picture(flat), native, [out, flat])
    _count_through_batch(lowering, node, value, flat, lowering.new(positions, like=flat))


def _pool(
    lowering: Lowering,
    node: ir.Node,
    picture: Value,
    pooled: Value,
    positions: Any,
    window: NativeWindow,
    writes: list[Value],
) -> None:
    lowering.kernel(
        lib.du_max_pool2d,
        [picture, pooled, positions, window.native],
        reads=[picture],
        writes=writes,
        operator=node.op_type,
        algorithm="max pool",
        kept=window,
    )


def _count_through_batch(lowering: Lowering, node: ir.Node, value: Value, flat: Value, out: Value) -> None:
    """Positions of ONNX count through all planes, and with storage order 1 down the columns."""
    rows, columns = as_picture(value).shape[2:]
    planes = np.arange(value.shape[0] * value.shape[1], dtype=np.int64) * (rows * columns)
    planes = planes.reshape(value.shape[:2] + (1,) * (value.rank - 2))
    is_by_column = lowering.site(node).get("storage_order", 0) == 1

    def count(positions: Array) -> Array:
        if is_by_column:
            positions = positions % columns * rows + positions // columns
        return positions + planes

    lowering.compute(node.op_type, count, [flat], [out])


def _has_own_unpools(lowering: Lowering, node: ir.Node, window: Window) -> bool:
    """Whether the positions go to un-poolings with this window and to images of this size alone."""
    positions, shape = node.outputs[1], lowering.shape(node.inputs[0])
    nodes = lowering.consumers(positions)
    if lowering.is_output(positions) or len(shape) != 4 or np.prod(window.size) > 256:
        return False
    for other in nodes:
        if other.op_type != "MaxUnpool" or other.inputs[1] is not positions:
            return False
        theirs = window_of(other, lowering.shape(other.inputs[0]))
        if (theirs.size, theirs.stride, theirs.pads) != (window.size, window.stride, window.pads):
            return False
        if set(window.dilation) != {1} or lowering.shape(other.outputs[0]) != shape:
            return False
    return True


def lower_max_unpool(lowering: Lowering, node: ir.Node) -> None:
    """By bytes where the pool made them, else by positions that count through all planes."""
    value, positions = lowering.value(node.inputs[0]), lowering.value(node.inputs[1])
    window = window_of(node, value.shape)
    out = lowering.new(node.outputs[0])
    if value.rank not in (3, 4) or not value.is_float:
        raise refuse(node, f"its input has {value.rank} axes of type {value.dtype}; use pictures of float32")
    if positions.dtype == np.uint8:
        native = native_window(window)
        lowering.kernel(
            lib.du_max_unpool2d,
            [value, positions, out, native.native],
            reads=[value, positions],
            writes=[out],
            operator=node.op_type,
            algorithm="max unpool",
            kept=native,
        )
        return

    def unpool(pooled: Array, places: Array, to: Array) -> None:
        to[...] = 0
        to[np.unravel_index(places, to.shape)] = pooled

    lowering.compute(node.op_type, unpool, [value, positions], [out], is_into=True)


LOWERINGS: dict[str, Any] = {"MaxPool": lower_max_pool, "MaxUnpool": lower_max_unpool}
