"""One spelling for every operator, whatever the opset: what follows knows the newest one only.

Each function brings one operator from the opsets that spelled it differently to `SPELLING`. Operators that are not
named here mean the same in all opsets that are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.errors import DataError
from downup.graph.nodes import (
    add_constant,
    attribute,
    constant,
    insert_before,
    name_node,
    operand,
    replace_value,
    words,
)
from downup.graph.shapes.pointwise import UNARY

# Newer opsets spell all operators that are supported as this one does.
SPELLING = 21

# These are gone afterwards.
RESPELLED = ("Constant", "Dropout", "Upsample", "Scatter")


def normalise(graph: ir.Graph) -> None:
    """Bring all nodes of a graph to the spelling of opset 21 or later.

    Raises:
        DataError: a node says what no newer operator says.
    """
    version = graph.opset_imports[""]
    for node in list(graph):
        if node.op_type == "Constant":
            _lift_constant(graph, node)
        for until, change in CHANGES.get(node.op_type, ()):
            if version < until:
                change(graph, node, version)
    graph.opset_imports[""] = max(version, SPELLING)


def _ints(graph: ir.Graph, node: ir.Node, numbers: Sequence[int], stem: str) -> ir.Value:
    return add_constant(graph, np.array(numbers, dtype=np.int64), f"{node.outputs[0].name}_{stem}")


def _set_input(node: ir.Node, index: int, value: ir.Value | None) -> None:
    if index >= len(node.inputs):
        if value is None:
            return
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)


def _attribute_to_input(name: str, index: int) -> Callable[[ir.Graph, ir.Node, int], None]:
    """A list of whole numbers that became an input."""

    def change(graph: ir.Graph, node: ir.Node, version: int) -> None:
        numbers = attribute(node, name)
        if numbers is not None:
            del node.attributes[name]
            _set_input(node, index, _ints(graph, node, numbers, name))

    return change


def _lift_constant(graph: ir.Graph, node: ir.Node) -> None:
    """A Constant is a weight like others."""
    kinds: dict[str, Any] = {
        "value_float": np.float32,
        "value_floats": np.float32,
        "value_int": np.int64,
        "value_ints": np.int64,
    }
    ((name, found),) = node.attributes.items()
    if name == "value":
        array = found.as_tensor().numpy()
    elif name in kinds:
        array = np.array(found.value, dtype=kinds[name])
    else:
        raise DataError(f"{name_node(node)}: holds {name}, which is not supported")
    replace_value(node.outputs[0], add_constant(graph, array, f"{node.outputs[0].name}_value"))


def _clip(graph: ir.Graph, node: ir.Node, version: int) -> None:
    for index, name in ((1, "min"), (2, "max")):
        bound = attribute(node, name)
        if bound is not None:
            del node.attributes[name]
            _set_input(node, index, add_constant(graph, np.float32(bound), f"{node.outputs[0].name}_{name}"))


def _pad(graph: ir.Graph, node: ir.Node, version: int) -> None:
    _attribute_to_input("pads", 1)(graph, node, version)
    value = attribute(node, "value", 0.0)
    node.attributes.pop("value", None)
    _set_input(node, 2, add_constant(graph, np.float32(value), f"{node.outputs[0].name}_value"))


def _slice(graph: ir.Graph, node: ir.Node, version: int) -> None:
    for index, name in enumerate(("starts", "ends", "axes"), start=1):
        _attribute_to_input(name, index)(graph, node, version)


def _upsample(graph: ir.Graph, node: ir.Node, version: int) -> None:
    node.op_type = "Resize"
    _resize_ten(graph, node, version)


def _resize_ten(graph: ir.Graph, node: ir.Node, version: int) -> None:
    """The first Resize and its forerunner, Upsample: positions are divided by the scale, nearest rounds down."""
    scales = operand(node, 1)
    _set_input(node, 1, None)
    _set_input(node, 2, scales)
    node.attributes["coordinate_transformation_mode"] = ir.AttrString(
        "coordinate_transformation_mode", "asymmetric"
    )
    node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "floor")


def _resize(graph: ir.Graph, node: ir.Node, version: int) -> None:
    """Inputs that are there but empty stand for inputs that are left out."""
    if attribute(node, "coordinate_transformation_mode") == "tf_half_pixel_for_nn":
        raise DataError(
            f"{name_node(node)}: tf_half_pixel_for_nn was withdrawn from the standard; "
            f"export with half_pixel, or opset 13 or later"
        )
    scales = operand(node, 2)
    array = constant(scales)
    if operand(node, 3) is not None and (array is None or array.size == 0):
        _set_input(node, 2, None)
    if attribute(node, "coordinate_transformation_mode") != "tf_crop_and_resize":
        _set_input(node, 1, None)


def _split(graph: ir.Graph, node: ir.Node, version: int) -> None:
    if version < 13:
        _attribute_to_input("split", 1)(graph, node, version)
    if operand(node, 1) is None:
        node.attributes["num_outputs"] = ir.AttrInt64("num_outputs", len(node.outputs))


def _softmax(graph: ir.Graph, node: ir.Node, version: int) -> None:
    """Before opset 13, a softmax went over all axes from `axis` on, together."""
    axis = attribute(node, "axis", 1)
    x, rank = node.inputs[0], _rank(node.inputs[0])
    node.attributes["axis"] = ir.AttrInt64("axis", -1)
    if axis == -1 or (rank is not None and axis == rank - 1):
        return
    flat = insert_before(node, "Flatten", [x], {"axis": axis})
    shape = insert_before(node, "Shape", [x])
    node.replace_input_with(0, flat)
    follower = ir.node("Reshape", [node.outputs[0], shape])
    graph.insert_after(node, follower)
    _swap_output(graph, node.outputs[0], follower)


def _swap_output(graph: ir.Graph, value: ir.Value, follower: ir.Node) -> None:
    """Let all who read `value` read the output of `follower`, which reads it too."""
    follower.outputs[0].shape, value.shape = value.shape, None
    value.replace_all_uses_with(follower.outputs[0], replace_graph_outputs=True)
    follower.replace_input_with(0, value)
    value.name, follower.outputs[0].name = f"{value.name}_before", value.name


# The shape of their output has as many axes as that of their first input.
_KEEP_RANK = {
    *UNARY,
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Resize",
}


def _rank(value: ir.Value | None) -> int | None:
    """How many axes a value has, where that can be told without knowing any size."""
    while value is not None:
        maker = value.producer()
        if maker is None:
            return None if value.shape is None else value.shape.rank()
        if maker.op_type == "Transpose" and "perm" in maker.attributes:
            return len(attribute(maker, "perm"))
        value = maker.inputs[0] if maker.op_type in _KEEP_RANK else None
    return None


def _dropout(graph: ir.Graph, node: ir.Node, version: int) -> None:
    """Does nothing outside training."""
    mode = operand(node, 2)
    if mode is not None:
        training = constant(mode)
        if training is None or training.any():
            raise DataError(f"{name_node(node)}: is in training mode; export the network for inference")
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        raise DataError(f"{name_node(node)}: its mask is used, which makes sense in training only")
    if len(node.outputs) > 1:
        node.resize_outputs(1)
    x = node.inputs[0]
    assert x is not None
    node.op_type = "Identity"
    node.attributes.clear()
    node.resize_inputs(1)


def _batch_norm(graph: ir.Graph, node: ir.Node, version: int) -> None:
    """Before opset 14, only the number of outputs told training from inference."""
    if version < 14 and any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise DataError(f"{name_node(node)}: is in training mode; export the network for inference")
    if version < 14 and len(node.outputs) > 1:
        node.resize_outputs(1)


def _channels(value: ir.Value | None) -> int | None:
    """How many channels a value has, where a convolution or the input itself says so."""
    while value is not None:
        maker = value.producer()
        if maker is None:
            known = None if value.shape is None or value.shape.rank() < 2 else value.shape[1]
            return known if isinstance(known, int) else None
        if maker.op_type == "Conv":
            weight = constant(maker.inputs[1])
            return None if weight is None else weight.shape[0]
        value = maker.inputs[0] if maker.op_type in UNARY else None
    return None


def _group_norm(graph: ir.Graph, node: ir.Node, version: int) -> None:
    """Before opset 21, scale and bias were given for each group, not for each channel."""
    groups, channels = attribute(node, "num_groups", 1), _channels(node.inputs[0])
    for index in (1, 2):
        numbers = constant(operand(node, index))
        if numbers is None or numbers.shape != (groups,) or channels is None or channels % groups:
            raise DataError(
                f"{name_node(node)}: scale and bias of each group, as opset {version} has them, need a known "
                f"number of channels; export with opset 21 or later"
            )
        wide = add_constant(
            graph, np.repeat(numbers, channels // groups), f"{node.outputs[0].name}_per_channel"
        )
        node.replace_input_with(index, wide)


def _cast_like(graph: ir.Graph, node: ir.Node, version: int) -> None:
    """A Cast, where the file tells the type: what depends on the type alone does not depend on the picture."""
    like = node.inputs[1]
    if like is None or like.dtype is None:
        return
    node.op_type = "Cast"
    node.resize_inputs(1)
    node.attributes["to"] = ir.AttrInt64("to", int(like.dtype))


def _scatter(graph: ir.Graph, node: ir.Node, version: int) -> None:
    node.op_type = "ScatterElements"


# (opset from which on the spelling is today's, function), in the order in which they are applied.
CHANGES: dict[str, tuple[tuple[int, Callable[[ir.Graph, ir.Node, int], None]], ...]] = {
    "Clip": ((11, _clip),),
    "Pad": ((11, _pad),),
    "Slice": ((10, _slice),),
    "Upsample": ((11, _upsample),),
    "Resize": ((11, _resize_ten), (1 << 30, _resize)),
    "Split": ((18, _split),),
    "Squeeze": ((13, _attribute_to_input("axes", 1)),),
    "Unsqueeze": ((13, _attribute_to_input("axes", 1)),),
    "ReduceSum": ((13, _attribute_to_input("axes", 1)),),
    **{
        f"Reduce{kind}": ((18, _attribute_to_input("axes", 1)),)
        for kind in words("L1 L2 LogSum LogSumExp Max Mean Min Prod SumSquare")
    },
    "Softmax": ((13, _softmax),),
    "LogSoftmax": ((13, _softmax),),
    "Hardmax": ((13, _softmax),),
    "Dropout": ((1 << 30, _dropout),),
    "BatchNormalization": ((14, _batch_norm),),
    "GroupNormalization": ((21, _group_norm),),
    "CastLike": ((1 << 30, _cast_like),),
    "Scatter": ((11, _scatter),),
}
