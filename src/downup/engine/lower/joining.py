"""Concatenations that cost nothing: read in parts by convolutions, or written in their places by whoever makes the parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from downup.graph.nodes import attribute

if TYPE_CHECKING:
    from downup.engine.lower.context import Lowering

# Channels that fill whole vectors of every instruction set.
_EVEN_CHANNELS = 16
# As many parts as a convolution reads.
_MOST_PARTS = 64

Claim = tuple[ir.Value, int, int]
"""A value has its place in another: (which, along which axis, from where)."""


def find_parts(lowering: Lowering) -> set[ir.Value]:
    """Which concatenations exist nowhere, because only convolutions read them, of parts that they take where they are.

    So a skip takes no more memory than its own while it waits, and lies side by side for all who read it.
    """
    return {node.outputs[0] for node in lowering.graph if _is_read_in_parts(lowering, node)}


def _is_read_in_parts(lowering: Lowering, node: ir.Node) -> bool:
    if node.op_type != "Concat" or lowering.is_folded(node) or len(node.inputs) > _MOST_PARTS:
        return False
    whole = node.outputs[0]
    is_picture = len(lowering.shape(whole)) == 4 and lowering.dtype(whole) == np.float32
    if not is_picture or attribute(node, "axis") not in (1, -3) or lowering.is_output(whole):
        return False
    channels = [lowering.shape(value)[1] for value in node.inputs]
    return (
        all(count and count % _EVEN_CHANNELS == 0 for count in channels[:-1])
        and not any(lowering.is_known(value) for value in node.inputs)
        and all(_takes_parts(lowering, reader, whole) for reader in lowering.consumers(whole))
    )


def _takes_parts(lowering: Lowering, reader: ir.Node, whole: ir.Value) -> bool:
    return (
        reader.op_type == "Conv"
        and reader.inputs[0] is whole
        and whole not in list(reader.inputs)[1:]
        and lowering.is_known(reader.inputs[1])
        and attribute(reader, "group", 1) == 1
    )


def find_claims(lowering: Lowering) -> dict[str, Claim]:
    """Which values are written where a concatenation needs them, by name."""
    claims: dict[str, Claim] = {}
    for node in lowering.graph:
        whole = node.outputs[0]
        if node.op_type != "Concat" or lowering.is_folded(node) or whole in lowering.in_parts:
            continue
        rank = len(lowering.shape(whole))
        axis, start = int(attribute(node, "axis")) % rank, 0
        for value in node.inputs:
            assert value is not None
            name, length = value.name or "", lowering.shape(value)[axis]
            is_free = not (
                lowering.is_known(value)
                or value.is_graph_input()
                or lowering.is_output(value)
                or name in claims
                or lowering.dtype(value) != lowering.dtype(whole)
            )
            if is_free and list(node.inputs).count(value) == 1:
                claims[name] = (whole, axis, start)
            start += length
    return claims
