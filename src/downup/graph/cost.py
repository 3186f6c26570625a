"""What a network costs: its multiplications and additions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

from downup.graph.nodes import attribute
from downup.graph.shapes import Known


def count_multiply_adds(model: ir.Model, known: Mapping[str, Known]) -> int:
    """Return how many multiply-adds the convolutions and products of matrices of a network take.

    Args:
        model: as `downup.graph.read` returns it.
        known: what `downup.graph.shapes.infer` returns for it.
    """
    return sum(node_multiply_adds(node, known) for node in model.graph)


def node_multiply_adds(node: ir.Node, known: Mapping[str, Known]) -> int:
    """Return how many multiply-adds one node takes; 0 of anything but convolutions and products of matrices."""
    shapes = [() if value is None else known[value.name or ""].shape for value in node.inputs]
    out = known[node.outputs[0].name or ""].shape
    if node.op_type == "Conv":
        return math.prod(out) * math.prod(shapes[1][1:])
    if node.op_type == "ConvTranspose":
        # Every input sample meets every tap, zeros of the dilated picture none.
        return math.prod(shapes[0]) * math.prod(shapes[1][1:])
    if node.op_type == "MatMul":
        return math.prod(out) * shapes[0][-1]
    if node.op_type == "Gemm":
        return math.prod(out) * shapes[0][0 if attribute(node, "transA", 0) else 1]
    return 0
