"""What does nothing goes; what undoes the node before goes with it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.nodes import attribute, constant, operand, replace_value
from downup.graph.rules.edit import insert_like


def drop_identity(node: ir.Node, facts: Facts) -> bool:
    """Exporters leave nodes that pass their input on; each costs a copy, and hides neighbours from the other rules."""
    if not node.inputs or node.inputs[0] is None or not _is_identity(node, facts):
        return False
    replace_value(node.outputs[0], node.inputs[0])
    return True


def _is_identity(node: ir.Node, facts: Facts) -> bool:
    x = node.inputs[0]
    assert x is not None
    match node.op_type:
        case "Identity":
            # A name can belong to one value only: where an input or weight is an output too, the node must stay.
            is_passed = x.producer() is None or x.is_graph_output()
            return not (node.outputs[0].is_graph_output() and is_passed)
        case "Cast":
            return x.dtype is not None and attribute(node, "to") == x.dtype and not _is_passed(node, x)
        case "Concat" | "Sum" | "Mean" | "Max" | "Min":
            return len(node.inputs) == 1 and not _is_passed(node, x)
        case "Transpose":
            order = attribute(node, "perm")
            return order is not None and list(order) == sorted(order) and not _is_passed(node, x)
        case "Pad":
            pads = constant(operand(node, 1))
            return pads is not None and not pads.any() and not _is_passed(node, x)
        case "Mul" | "Div" | "Add" | "Sub":
            return _is_neutral(node, facts) and not _is_passed(node, x)
        case "Resize":
            scales = constant(operand(node, 2))
            return scales is not None and bool(np.all(scales == 1)) and not _is_passed(node, x)
        case "Reshape" | "Expand":
            shapes = facts.shapes(x)
            is_same = bool(shapes) and shapes == facts.shapes(node.outputs[0])
            # A shape that is no constant may differ for pictures of other sizes than were tried.
            return is_same and _says_same(node, len(shapes[0])) and not _is_passed(node, x)
    return False


def _is_passed(node: ir.Node, x: ir.Value) -> bool:
    return node.outputs[0].is_graph_output() and (x.producer() is None or x.is_graph_output())


def _is_neutral(node: ir.Node, facts: Facts) -> bool:
    """Whether a node adds nothing or multiplies by one, and broadcasts nothing either."""
    numbers, shapes = constant(operand(node, 1)), facts.shapes(node.inputs[0])
    if numbers is None or numbers.size == 0 or not shapes or shapes != facts.shapes(node.outputs[0]):
        return False
    neutral = 1 if node.op_type in ("Mul", "Div") else 0
    fits = numbers.size == 1 or numbers.ndim <= len(shapes[0])
    return fits and bool(np.all(numbers == neutral))


def _says_same(node: ir.Node, rank: int) -> bool:
    """Whether the asked shape names no size but copies all of them: zeros of a Reshape, ones of an Expand."""
    asked = constant(operand(node, 1))
    if asked is None:
        return False
    if node.op_type == "Expand":
        return bool(np.all(asked == 1)) and asked.size <= rank
    copies = asked.size == rank and np.count_nonzero(asked) <= 1
    return bool(copies) and not attribute(node, "allowzero", 0)


def join_transposes(node: ir.Node, facts: Facts) -> bool:
    """Two transposes in a row are one, or none: converted channels-last networks are full of them."""
    if node.op_type != "Transpose" or node.inputs[0] is None:
        return False
    before = node.inputs[0].producer()
    if before is None or before.op_type != "Transpose" or before.inputs[0] is None:
        return False
    first, second = attribute(before, "perm"), attribute(node, "perm")
    if first is None or second is None:
        return False
    joined = tuple(first[axis] for axis in second)
    replace_value(node.outputs[0], insert_like(node, [before.inputs[0]], perm=joined))
    return True
