"""Read an ONNX file into a graph that the rest can rely on, and write one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, RemoveInitializersFromInputsPass

from downup import files
from downup.errors import DataError
from downup.graph._proto import STANDARD, read_proto
from downup.graph.folding import fold_constants
from downup.graph.nodes import collect_names, name_node, remove_dead_ends
from downup.graph.normalise import RESPELLED, normalise
from downup.graph.shapes import RULES
from downup.graph.types import assign_types

# The oldest file format that may hold opset 21; other engines read it too.
_IR_VERSION = 10


# In `ir.Model.meta`: whether weights lie in other files than the model's own.
HAS_EXTERNAL = "downup.external"


def read(path: str | Path, content: bytes | None = None) -> ir.Model:
    """Return the network in an ONNX file, checked and in one spelling.

    Opsets 9 to the newest are brought to one spelling (see `downup.graph.normalise`), functions inlined, constants
    computed, and what no output needs is removed. Every value has an element type.

    Args:
        path: the file.
        content: what the file holds, if that is known; external data is read beside `path`.

    Raises:
        DataError: the file is damaged, hostile or holds operators that are not supported; the message names it.
        OSError: the file cannot be read.
    """
    path = Path(path)
    proto, has_external = read_proto(path, content)
    try:
        model = ir.from_proto(proto)
    except Exception as error:  # what the library says of a file that is not sound comes in many types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: cannot be understood: {reason}") from error
    model.meta[HAS_EXTERNAL] = has_external
    try:
        return prepare(model)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def prepare(model: ir.Model) -> ir.Model:
    """Bring a model to the form that `read` returns, in place.

    Raises:
        DataError: the model holds operators that are not supported, weights that are no numbers, or types that do
            not go together.
    """
    if model.functions:
        model = InlinePass()(model).model
    graph = model.graph
    collect_names(graph)
    if "ai.onnx" in graph.opset_imports:
        graph.opset_imports[""] = graph.opset_imports.pop("ai.onnx")
    for node in graph:
        node.domain = "" if node.domain in STANDARD else node.domain
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None  # a remark of the exporter's, which nothing holds to the truth
    RemoveInitializersFromInputsPass()(model)
    graph.sort()
    remove_dead_ends(graph)
    refuse_unsupported(model, {*RULES, *RESPELLED})
    normalise(graph)
    remove_dead_ends(graph)
    refuse_unsupported(model, RULES)
    _take_weights(graph)
    assign_types(graph)
    fold_constants(graph)
    remove_dead_ends(graph)
    model.ir_version = max(model.ir_version, _IR_VERSION)
    return model


def refuse_unsupported(model: ir.Model, operators: Collection[str]) -> None:
    """Refuse a model with other operators than these.

    Raises:
        DataError: lists every such node with its name and type.
    """
    opset = model.graph.opset_imports[""]
    strange = [
        node
        for node in model.graph
        if node.domain != "" or node.op_type not in operators or not onnx.defs.has(node.op_type, opset)
    ]
    if strange:
        listed = ", ".join(
            f"{node.domain}:{name_node(node)}" if node.domain else name_node(node) for node in strange
        )
        raise DataError(f"{len(strange)} of {len(model.graph)} nodes are not supported: {listed}")


def _take_weights(graph: ir.Graph) -> None:
    """Hold each weight as one array, and refuse those that are no numbers: they would spoil every picture, silently.

    A tensor of a file unpacks itself anew each time it is asked for.
    """
    for name, value in graph.initializers.items():
        if value.const_value is None:
            raise DataError(f"weight {name!r} has no numbers")
        if value.const_value.dtype == ir.DataType.STRING:
            raise DataError(f"weight {name!r} holds text; networks of numbers run here")
        array = value.const_value.numpy()
        # The least of numbers with one that is none among them is none: no second array is made.
        if array.size and array.dtype.kind not in "iub" and np.isnan(np.min(array)):
            raise DataError(f"weight {name!r} holds numbers that are none (NaN); the training went wrong")
        value.const_value = ir.tensor(array, dtype=value.const_value.dtype, name=name)


def write(model: ir.Model, path: str | Path) -> None:
    """Write a model as an ONNX file, whole or not at all.

    Raises:
        DataError: it is too large for one file (2 GB).
        OSError: the file cannot be written.
    """
    path = Path(path)
    proto = ir.to_proto(model)
    proto.producer_name = "downup"
    if proto.ByteSize() > onnx.checker.MAXIMUM_PROTOBUF:
        raise DataError(f"{path}: the network is larger than the 2 GB that one ONNX file holds")
    files.replace_file(path, lambda place: place.write_bytes(proto.SerializeToString()))
