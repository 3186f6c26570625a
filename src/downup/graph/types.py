"""The element type of every value, from the standard's own description of each operator."""

from __future__ import annotations

from functools import lru_cache

import onnx
import onnx_ir as ir

from downup.errors import DataError
from downup.graph.nodes import attribute, name_node

_Option = onnx.defs.OpSchema.FormalParameterOption
# "tensor(float)" is how the standard writes a type.
_NAMES = {
    f"tensor({str(onnx.TensorProto.DataType.Name(number)).lower()})": ir.DataType(number)
    for number in onnx.TensorProto.DataType.values()
    if number
}


def assign_types(graph: ir.Graph) -> None:
    """Set the element type of every output of every node.

    Raises:
        DataError: an operator is given a type that it does not take, or types that do not go together.
    """
    for node in graph:
        set_types(node, graph.opset_imports[""])


def set_types(node: ir.Node, opset: int) -> None:
    """Set the element types of a node's outputs from those of its inputs.

    Raises:
        DataError: the types of its inputs do not go together.
    """
    inputs, outputs, allowed = _signature(node.op_type, opset)
    bound: dict[str, ir.DataType] = {}
    for index, value in enumerate(node.inputs):
        name, is_variadic_mix = inputs[min(index, len(inputs) - 1)] if inputs else ("", True)
        if value is None or is_variadic_mix:
            continue
        dtype = value.dtype
        if dtype is None:
            raise DataError(f"{name_node(node)}: nothing says the type of its input {value.name!r}")
        if dtype not in allowed.get(name, (_NAMES.get(name),)):
            raise DataError(
                f"{name_node(node)}: its input {value.name!r} holds {dtype.name} elements, which it does not take"
            )
        if bound.setdefault(name, dtype) != dtype:
            raise DataError(
                f"{name_node(node)}: its inputs hold {bound[name].name} and {dtype.name} elements; they must be alike"
            )
    for index, value in enumerate(node.outputs):
        name = outputs[min(index, len(outputs) - 1)]
        value.dtype = _made(node, name, bound, allowed)


def _made(
    node: ir.Node, name: str, bound: dict[str, ir.DataType], allowed: dict[str, tuple[ir.DataType, ...]]
) -> ir.DataType:
    """The type of an output whose type goes by `name`."""
    if node.op_type == "Cast":
        return ir.DataType(attribute(node, "to"))
    if node.op_type == "ConstantOfShape":
        value = node.attributes.get("value")
        return ir.DataType.FLOAT if value is None else value.as_tensor().dtype
    if name in bound:
        return bound[name]
    choices = allowed.get(name, ())
    if len(choices) == 1:
        return choices[0]
    if name in _NAMES:
        return _NAMES[name]
    if ir.DataType.FLOAT in choices:  # statistics, which nobody reads outside training
        return ir.DataType.FLOAT
    raise DataError(f"{name_node(node)}: nothing says the type of its output")


@lru_cache(maxsize=512)
def _signature(
    operator: str, opset: int
) -> tuple[tuple[tuple[str, bool], ...], tuple[str, ...], dict[str, tuple[ir.DataType, ...]]]:
    """Names of the types of inputs (and whether one may differ from the next) and of outputs, and what each may be."""
    schema = onnx.defs.get_schema(operator, opset, "")
    inputs = tuple(
        (item.type_str, item.option == _Option.Variadic and not item.is_homogeneous) for item in schema.inputs
    )
    allowed = {
        item.type_param_str: tuple(_NAMES[name] for name in item.allowed_type_strs if name in _NAMES)
        for item in schema.type_constraints
    }
    return inputs, tuple(item.type_str for item in schema.outputs), allowed
