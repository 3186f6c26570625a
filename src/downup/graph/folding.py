"""Compute once what does not depend on the picture."""

from __future__ import annotations

import onnx_ir as ir

from downup.graph.nodes import add_constant, constant, is_constant, replace_value
from downup.graph.shapes import Known, Site, evaluation, infer_node


def fold_constants(graph: ir.Graph) -> int:
    """Replace every node that reads constants only by its outputs; return how many were replaced.

    Raises:
        DataError: such a node cannot be computed.
    """
    opset, count = graph.opset_imports[""], 0
    for node in list(graph):
        if node.op_type not in evaluation.EVALUABLE or not all(
            value is None or is_constant(value) for value in node.inputs
        ):
            continue
        arrays = [constant(value) for value in node.inputs]
        site = Site(
            node,
            [
                None
                if value is None or array is None
                else Known(array.shape, ir.DataType.from_numpy(array.dtype), array)
                for value, array in zip(node.inputs, arrays, strict=True)
            ],
        )
        outputs = infer_node(site, opset)
        if any(known.value is None for known in outputs):
            continue  # too large to keep
        for value, known in zip(node.outputs, outputs, strict=True):
            if value.name:
                replace_value(value, add_constant(graph, known.value, f"{value.name}_value"))
        count += 1
    return count
