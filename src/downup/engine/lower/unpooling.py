"""Un-pooling as downup exports it: by the number of the tap that was the largest of its window.

    taps:   SpaceToDepth(x, k) -> Reshape [n, k * k, c, h * w] -> ArgMax over axis 1 -> Reshape [n, c, h, w]
    unpool: for each tap t, Where(Equal(taps, t), values, 0) -> Concat over channels -> DepthToSpace(k, "DCR")

Found again, this is one max pool that writes its positions as bytes, and one un-pooling that reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.lower.context import Lowering
from downup.engine.values import CHANNELS_LAST, Value
from downup.graph.nodes import operand
from downup.graph.shapes import pads_of, slices_of, window_of
from downup.kernels import Window, lib


@dataclass(eq=False)
class TapPool:
    """The taps of a pooling: what is pooled, the side of its window, and the nodes that say so."""

    image: ir.Value
    size: int
    taps: ir.Value
    nodes: list[ir.Node]
    is_done: bool = False


@dataclass(eq=False)
class TapUnpool:
    """An un-pooling by taps; `out` is what it makes, zeros after its end included."""

    values: ir.Value
    taps: ir.Value
    size: int
    out: ir.Value
    nodes: list[ir.Node] = field(default_factory=list)


def find(lowering: Lowering) -> None:
    """Note every pooling and un-pooling by taps; the nodes between are absorbed."""
    unpools = [made for node in lowering.graph if (made := _unpool_at(lowering, node)) is not None]
    for taps in {unpool.taps for unpool in unpools}:
        own = [unpool for unpool in unpools if unpool.taps is taps]
        readers = {node for unpool in own for node in unpool.nodes}
        pool = _pool_of(lowering, taps, own[0].size)
        if pool is None or lowering.is_output(taps) or not set(lowering.consumers(taps)) <= readers:
            continue
        head, *rest = pool.nodes
        lowering.tap_pools[head] = pool
        lowering.absorbed |= set(rest)
        for unpool in own:
            shuffle, *others = unpool.nodes
            lowering.tap_unpools[shuffle] = unpool
            lowering.absorbed |= set(others)


def _made_by(value: ir.Value | None, operator: str) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == operator else None


def _unpool_at(lowering: Lowering, node: ir.Node) -> TapUnpool | None:
    if node.op_type != "DepthToSpace" or lowering.site(node).get("mode", "DCR") != "DCR":
        return None
    size = lowering.site(node).need("blocksize")
    concat = _made_by(node.inputs[0], "Concat")
    if (
        concat is None
        or len(concat.inputs) != size**2
        or lowering.only_consumer(concat.outputs[0]) is not node
    ):
        return None
    found: set[tuple[Any, Any]] = set()
    nodes = [node, concat]
    for tap, part in enumerate(concat.inputs):
        where = _made_by(part, "Where")
        equal = None if where is None else _made_by(where.inputs[0], "Equal")
        if where is None or equal is None:
            return None
        zero, number = lowering.constant(where.inputs[2]), lowering.constant(equal.inputs[1])
        if (
            zero is None
            or number is None
            or zero.size != 1
            or zero.item() != 0
            or number.size != 1
            or number.item() != tap
        ):
            return None
        if (
            lowering.only_consumer(where.outputs[0]) is not concat
            or lowering.only_consumer(equal.outputs[0]) is not where
        ):
            return None
        found.add((where.inputs[1], equal.inputs[0]))
        nodes += [where, equal]
    if len(found) != 1:
        return None
    values, taps = found.pop()
    if lowering.shape(values) != lowering.shape(taps) or lowering.dtype(values) != np.float32:
        return None
    out = node.outputs[0]
    pad = lowering.only_consumer(out)
    if pad is not None and pad.op_type == "Pad" and _adds_zeros_behind(lowering, pad):
        return TapUnpool(values, taps, size, pad.outputs[0], [node, *nodes[1:], pad])
    return TapUnpool(values, taps, size, out, nodes)


def _adds_zeros_behind(lowering: Lowering, pad: ir.Node) -> bool:
    sides, filling = pads_of(lowering.site(pad)), operand(pad, 2)
    number = lowering.constant(filling)
    is_zero = filling is None or (number is not None and number.item() == 0)
    is_behind = all(before == 0 and after >= 0 for before, after in sides) and not any(map(any, sides[:2]))
    return is_zero and is_behind and lowering.site(pad).get("mode", "constant") == "constant"


def _pool_of(lowering: Lowering, taps: ir.Value, size: int) -> TapPool | None:
    last = _made_by(taps, "Reshape")
    largest = None if last is None else _made_by(last.inputs[0], "ArgMax")
    planes = None if largest is None else _made_by(largest.inputs[0], "Reshape")
    head = None if planes is None else _made_by(planes.inputs[0], "SpaceToDepth")
    if last is None or largest is None or planes is None or head is None:
        return None
    site = lowering.site(largest)
    is_first = (
        site.get("axis", 0) in (1, -3)
        and not site.get("keepdims", 1)
        and not site.get("select_last_index", 0)
    )
    batch, channels, rows, columns = lowering.shape(taps)
    if not is_first or lowering.site(head).need("blocksize") != size:
        return None
    if lowering.shape(planes.outputs[0]) != (batch, size**2, channels, rows * columns):
        return None
    for value, reader in ((head, planes), (planes, largest), (largest, last)):
        if lowering.only_consumer(value.outputs[0]) is not reader:
            return None
    image = head.inputs[0]
    assert image is not None
    if lowering.dtype(image) != np.float32 or lowering.shape(image) != (
        batch,
        channels,
        rows * size,
        columns * size,
    ):
        return None
    return TapPool(_uncropped(lowering, image, size), size, taps, [head, planes, largest, last])


def _uncropped(lowering: Lowering, image: ir.Value, size: int) -> ir.Value:
    """What was cut to whole windows: windows begin at the first sample, so the rest is in none of them."""
    cut = _made_by(image, "Slice")
    if cut is None:
        return image
    whole = cut.inputs[0]
    assert whole is not None
    starts = all(start == 0 and step == 1 for start, _, step in slices_of(lowering.site(cut)))
    is_rest = [n // size * size for n in lowering.shape(whole)[2:]] == list(lowering.shape(image)[2:])
    if starts and is_rest and lowering.shape(whole)[:2] == lowering.shape(image)[:2]:
        return _uncropped(lowering, whole, size)
    return image


def pool_by_taps(lowering: Lowering, pool: TapPool, max_pool: ir.Node | None) -> None:
    """Add one step for a pooling and its taps, unless that was done."""
    if pool.is_done:
        return
    pool.is_done = True
    if max_pool is None:
        max_pool = next(
            (node for node in lowering.consumers(pool.image) if is_pooled_by(lowering, node, pool)), None
        )
    image = lowering.value(pool.image)
    shape = lowering.shape(pool.taps)
    window = Window((pool.size, pool.size), (pool.size, pool.size))
    taps = lowering.temporary(pool.taps.name or "", shape, np.uint8, CHANNELS_LAST)
    lowering.set(pool.taps, taps)
    if max_pool is None:
        pooled: Value = lowering.temporary(f"pooled {image.name}", shape, order=CHANNELS_LAST)
    else:
        pooled = lowering.new(max_pool.outputs[0])
        lowering.absorbed.add(max_pool)
    lowering.kernel(
        lib.du_max_pool2d,
        [image, pooled, taps, window.native],
        reads=[image],
        writes=[pooled, taps],
        operator="MaxPool+taps",
        algorithm="max pool",
        kept=window,
    )


def is_pooled_by(lowering: Lowering, node: ir.Node, pool: TapPool) -> bool:
    """Whether a node is the max pool whose taps these are."""
    if (
        node.op_type != "MaxPool"
        or node.inputs[0] is not pool.image
        or len(node.outputs) > 1
        or node in lowering.absorbed
    ):
        return False
    window = window_of(node, lowering.shape(pool.image))
    square = (pool.size, pool.size)
    is_bare = set(window.dilation) == {1} and not any(map(any, window.pads))
    return (
        window.size == window.stride == square
        and is_bare
        and lowering.shape(node.outputs[0]) == lowering.shape(pool.taps)
    )


def unpool_by_taps(lowering: Lowering, unpool: TapUnpool) -> None:
    """Add the step of an un-pooling by taps."""
    window = Window((unpool.size, unpool.size), (unpool.size, unpool.size))
    values, taps = lowering.value(unpool.values), lowering.value(unpool.taps)
    out = lowering.new(unpool.out)
    lowering.kernel(
        lib.du_max_unpool2d,
        [values, taps, out, window.native],
        reads=[values, taps],
        writes=[out],
        operator="MaxUnpool",
        algorithm="max unpool",
        kept=window,
    )
