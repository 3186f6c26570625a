"""What moves samples about. Most of it is another view of the same memory, and no step at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.lower.context import Lowering
from downup.engine.values import Array
from downup.graph.nodes import operand
from downup.graph.shapes import pads_of, slices_of


def lower_reshape(lowering: Lowering, node: ir.Node) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze: a copy only where memory lies in another order."""
    value, shape = lowering.value(node.inputs[0]), lowering.shape(node.outputs[0])
    found = value.reshaped(shape)
    if found is None:
        # What C would have between the two: rank 4 pictures are written as C has them for it.
        packed = lowering.temporary(f"{value.name} packed", value.shape, value.dtype)
        lowering.copy(value, packed, node.op_type)
        found = packed.reshaped(shape)
        assert found is not None
    lowering.set(node.outputs[0], found)


def lower_identity(lowering: Lowering, node: ir.Node) -> None:
    """Another name."""
    lowering.set(node.outputs[0], lowering.value(node.inputs[0]))


def lower_transpose(lowering: Lowering, node: ir.Node) -> None:
    """Axes in another order."""
    value = lowering.value(node.inputs[0])
    order = lowering.site(node).get("perm", tuple(reversed(range(value.rank))))
    lowering.set(node.outputs[0], value.transposed(order))


def lower_slice(lowering: Lowering, node: ir.Node) -> None:
    """A part of the memory."""
    value = lowering.value(node.inputs[0])
    for axis, (start, count, step) in enumerate(slices_of(lowering.site(node))):
        value = value.sliced(axis, start, count, step)
    lowering.set(node.outputs[0], value)


def lower_split(lowering: Lowering, node: ir.Node) -> None:
    """Several parts."""
    value = lowering.value(node.inputs[0])
    axis, start = lowering.site(node).get("axis", 0) % value.rank, 0
    for out in node.outputs:
        length = lowering.shape(out)[axis]
        lowering.set(out, value.sliced(axis, start, length))
        start += length


def lower_expand(lowering: Lowering, node: ir.Node) -> None:
    """Repetition without copies."""
    value = lowering.value(node.inputs[0])
    lowering.set(node.outputs[0], value.expanded(lowering.shape(node.outputs[0])))


def lower_concat(lowering: Lowering, node: ir.Node) -> None:
    """Copies only what was not written in its place; nothing where the convolutions after it take part by part."""
    is_split = any(value is not None and value.name in lowering.upsampled for value in node.inputs)
    if is_split or node.outputs[0] in lowering.in_parts:
        return
    out = lowering.new(node.outputs[0])
    axis, start = lowering.site(node).need("axis") % out.rank, 0
    for given in node.inputs:
        value = lowering.value(given)
        part = out.sliced(axis, start, value.shape[axis])
        if not value.has_memory_of(part):
            lowering.copy(value, part, node.op_type)
        start += value.shape[axis]


def lower_pad(lowering: Lowering, node: ir.Node) -> None:
    """Negative padding is a part of the memory; what is added is written around a copy."""
    value, sides = lowering.value(node.inputs[0]), pads_of(lowering.site(node))
    mode = lowering.site(node).get("mode", "constant")
    for axis, (before, after) in enumerate(sides):
        cut = max(-before, 0), max(-after, 0)
        value = value.sliced(axis, cut[0], value.shape[axis] - sum(cut))
    added = [(max(before, 0), max(after, 0)) for before, after in sides]
    if not any(map(any, added)):
        lowering.set(node.outputs[0], value)
        return
    out = lowering.new(node.outputs[0], like=value)
    if mode != "constant":
        lowering.compute(node.op_type, lambda array: np.pad(array, added, mode), [value], [out])
        return
    filling = operand(node, 2)
    fill = np.zeros((), value.dtype) if filling is None else lowering.constant(filling)
    inside = out
    for axis, (before, _) in enumerate(added):
        inside = inside.sliced(axis, before, value.shape[axis])
    # The edges first, each a slab over what the axes before left open.
    slabs, rest = [], out
    for axis, (before, after) in enumerate(added):
        length = value.shape[axis]
        slabs += [rest.sliced(axis, 0, before), rest.sliced(axis, before + length, after)]
        rest = rest.sliced(axis, before, length)
    slabs = [slab for slab in slabs if slab.size]
    if fill is not None:

        def write(*arrays: Array) -> None:
            for array in arrays:
                array[...] = fill

        lowering.compute(node.op_type, write, [], slabs, is_into=True)
    else:

        def spread(number: Array, *arrays: Array) -> None:
            for array in arrays:
                array[...] = number

        lowering.compute(node.op_type, spread, [lowering.value(filling)], slabs, is_into=True)
    lowering.copy(value, inside, node.op_type)


def lower_tile(lowering: Lowering, node: ir.Node) -> None:
    """Repeats: a copy of a view in which each axis is two."""
    value, repeats = lowering.value(node.inputs[0]), lowering.site(node).ints(1)
    out = lowering.new(node.outputs[0])
    shape: list[int] = []
    source: list[int] = []
    target: list[int] = []
    for n, count, from_stride, to_stride in zip(
        value.shape, repeats, value.strides, out.strides, strict=True
    ):
        shape += [count, n]
        source += [0, from_stride]
        target += [to_stride * n, to_stride]
    lowering.copy(value.with_axes(shape, source), out.with_axes(shape, target), node.op_type)


LOWERINGS: dict[str, Any] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), lower_reshape),
    "Identity": lower_identity,
    "Transpose": lower_transpose,
    "Slice": lower_slice,
    "Split": lower_split,
    "Expand": lower_expand,
    "Concat": lower_concat,
    "Pad": lower_pad,
    "Tile": lower_tile,
}
