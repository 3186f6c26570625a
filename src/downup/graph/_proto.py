"""An ONNX file as it lies on the disk, and every way in which it can lie to us.

All is checked here, on the protocol buffer, before anything is computed or allocated from it.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper

from downup.errors import DataError

OLDEST_OPSET = 9
NEWEST_OPSET = onnx.defs.onnx_opset_version()
STANDARD = ("", "ai.onnx")

# Which field holds the numbers of a tensor that does not hold them as raw bytes; int32_data holds all others.
_FIELDS = {
    ir.DataType.FLOAT: "float_data",
    ir.DataType.DOUBLE: "double_data",
    ir.DataType.INT64: "int64_data",
    ir.DataType.UINT32: "uint64_data",
    ir.DataType.UINT64: "uint64_data",
}
_ELEMENTS = {
    *_FIELDS,
    ir.DataType.FLOAT16,
    ir.DataType.BFLOAT16,
    ir.DataType.INT8,
    ir.DataType.INT16,
    ir.DataType.INT32,
    ir.DataType.UINT8,
    ir.DataType.UINT16,
    ir.DataType.BOOL,
}


def read_proto(path: Path, content: bytes | None = None) -> tuple[onnx.ModelProto, bool]:
    """Return the model in a file, its external tensors read in, and whether it has any.

    content: what the file holds, if that is known.

    Raises:
        DataError: anything is wrong with the file; the message names it and says what.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a folder; give an ONNX file")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(_content_of(path) if content is None else content)
    except DecodeError:
        raise DataError(f"{path}: is not an ONNX file, or is cut off; export or copy it again") from None
    if not model.HasField("graph"):
        raise DataError(f"{path}: is not an ONNX file, or an empty one: it has no graph")
    check_proto(model, path)
    outside = [tensor for tensor in _tensors(model) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in outside:
        _state_extent(tensor)
        external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return model, bool(outside)


def _content_of(path: Path) -> bytes | memoryview:
    """The bytes of a file, in an array: NumPy asks for huge pages, which are cleared in half the time."""
    with path.open("rb") as file:
        content = np.empty(os.fstat(file.fileno()).st_size, np.uint8).data
        count = file.readinto(content)
        # Of a file that grows meanwhile, or whose size the system does not tell.
        rest = file.read()
    return bytes(content[:count]) + rest if rest else content[:count]


def check_proto(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a model that is not whole, not sound, or newer than what is known here.

    Raises:
        DataError: names the file, the place in it, and what is wrong.
    """
    _check_text(model, path)
    _check_opset(model, path)
    for tensor in _tensors(model):
        _check_tensor(tensor, path)
    _check_inputs(model.graph, path)
    _check_links(model.graph, path)
    _check_nodes(model, path)


def _check_text(message: Any, path: Path) -> None:
    """Names that are no text arrive as bytes, and break whoever compares or writes them."""
    for field, content in message.ListFields():
        if field.name == "s" and not _is_text(content):
            raise DataError(f"{path}: attribute {message.name!r} is no text; the file is damaged")
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for item in (
            [content] if hasattr(content, "ListFields") or isinstance(content, (str, bytes)) else content
        ):
            if isinstance(item, bytes):
                raise DataError(f"{path}: the name {item[:40]!r} is no text; the file is damaged")
            if not isinstance(item, str):
                _check_text(item, path)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_opset(model: onnx.ModelProto, path: Path) -> None:
    versions = {item.version for item in model.opset_import if item.domain in STANDARD}
    if len(versions) != 1:
        found = f"names {len(versions)} versions" if versions else "names no version"
        raise DataError(f"{path}: {found} of the standard operators (opset_import); export it again")
    (version,) = versions
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise DataError(
            f"{path}: uses opset {version}; opsets {OLDEST_OPSET} to {NEWEST_OPSET} are known here: "
            f"export it with one of them"
        )
    for function in model.functions:
        for item in function.opset_import:
            if item.domain in STANDARD and item.version != version:
                raise DataError(
                    f"{path}: function {function.name} uses opset {item.version} but the graph {version}; "
                    f"export it with its functions inlined"
                )


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """All nodes, those of branches and loops too."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor with numbers of its own, wherever in the model."""
    yield from model.graph.initializer
    for node in _all_nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer


def _check_tensor(tensor: onnx.TensorProto, path: Path) -> None:
    name = f"{path}: tensor {tensor.name!r}"
    try:
        kind = ir.DataType(tensor.data_type)
    except ValueError:
        raise DataError(f"{name} has the unknown element type {tensor.data_type}") from None
    if kind not in _ELEMENTS:
        raise DataError(f"{name} holds {kind.name} elements, which are not supported")
    if any(length < 0 for length in tensor.dims):
        raise DataError(f"{name} has the negative shape {list(tensor.dims)}")
    count = math.prod(tensor.dims)
    if tensor.HasField("segment"):
        raise DataError(f"{name} is stored in segments, which are not supported")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        _check_external(tensor, count * kind.itemsize, path)
        return
    fields = {*_FIELDS.values(), "int32_data", "string_data"}
    own = _FIELDS.get(kind, "int32_data")
    if any(len(getattr(tensor, field)) for field in fields - {own}):
        raise DataError(f"{name} stores its {kind.name} elements in a field of another type")
    if tensor.HasField("raw_data"):
        held, expected, what = len(tensor.raw_data), count * kind.itemsize, "bytes"
        if len(getattr(tensor, own)):
            raise DataError(f"{name} stores its elements twice")
    else:
        held, expected, what = len(getattr(tensor, own)), count, "elements"
    if held != expected:
        raise DataError(
            f"{name} has shape {list(tensor.dims)}, which takes {expected} {what}, but holds {held}; "
            f"the file is damaged, export it again"
        )


def _check_external(tensor: onnx.TensorProto, size: int, path: Path) -> None:
    """External data must lie whole in the model's own folder, whatever the file says."""
    name = f"{path}: tensor {tensor.name!r}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if not location or "\0" in location:
        raise DataError(f"{name} names no file of external data")
    folder = path.parent.resolve()
    # Backslashes are separators on other systems, and a name with one has no good use here.
    is_plain = not Path(location).is_absolute() and ".." not in Path(location).parts and "\\" not in location
    target = (folder / location).resolve()
    if not is_plain or not target.is_relative_to(folder):
        raise DataError(
            f"{name} takes its numbers from {location!r}, outside the folder of the model; "
            f"external data must lie beside it"
        )
    if not target.is_file():
        raise DataError(f"{name} takes its numbers from {location!r}, which is not there; copy it along")
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or size)
    except ValueError:
        raise DataError(f"{name} has an offset or length that is no number") from None
    if length != size or offset < 0 or offset + length > target.stat().st_size:
        raise DataError(
            f"{name} takes {size} bytes, but is said to be {length} bytes at {offset} of {location!r}, "
            f"which has {target.stat().st_size}; one of the files is damaged or belongs to another model"
        )


def _state_extent(tensor: onnx.TensorProto) -> None:
    """Say where a tensor's bytes begin and end: what is left open, the library reads to the end of the file."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    size = int(math.prod(tensor.dims) * ir.DataType(tensor.data_type).itemsize)
    del tensor.external_data[:]
    for key, value in (
        ("location", entries["location"]),
        ("offset", entries.get("offset") or 0),
        ("length", size),
    ):
        tensor.external_data.add(key=key, value=str(value))


def _check_inputs(graph: onnx.GraphProto, path: Path) -> None:
    if graph.sparse_initializer:
        raise DataError(f"{path}: has sparse weights, which are not supported")
    constants = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name in constants:
            continue
        if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.elem_type:
            raise DataError(
                f"{path}: input {value.name!r} is no tensor; networks from tensors to tensors run here"
            )
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.HasField("dim_value") and dimension.dim_value < 0:
                raise DataError(f"{path}: input {value.name!r} has the negative size {dimension.dim_value}")
    if not graph.output:
        raise DataError(f"{path}: the graph has no output")


def _check_links(graph: onnx.GraphProto, path: Path) -> None:
    """Each value is made once, each value used is made, and no node waits for itself."""
    given = {tensor.name for tensor in graph.initializer}
    given |= {value.name for value in graph.input}
    made = [name for node in graph.node for name in node.output if name]
    for names, what in (
        ([tensor.name for tensor in graph.initializer], "initializer"),
        ([value.name for value in graph.input], "input"),
        ([value.name for value in graph.output], "output"),
        ([*made, *given], "value"),
    ):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice or "" in names:
            raise DataError(f"{path}: {what} {(twice or [''])[0]!r} is made more than once or has no name")
    known = given | set(made)
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                raise DataError(
                    f"{path}: node {name_proto(node)} reads {name!r}, which is neither input, weight nor "
                    f"output of a node; the file is damaged or its weights were left out"
                )
    for value in graph.output:
        if value.name not in known:
            raise DataError(f"{path}: output {value.name!r} is made by no node")
    maker = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    order = TopologicalSorter(
        {
            index: {maker[name] for name in node.input if name in maker}
            for index, node in enumerate(graph.node)
        }
    )
    try:
        order.prepare()
    except CycleError as error:
        waiting = ", ".join(name_proto(graph.node[index]) for index in error.args[1][:4])
        raise DataError(f"{path}: the graph is cyclic: {waiting} wait for each other") from None


def name_proto(node: onnx.NodeProto) -> str:
    """What messages call a node: its type, and its name or that of its first output."""
    return f"{node.op_type} {node.name or (node.output[0] if node.output else '')!r}"


def _check_nodes(model: onnx.ModelProto, path: Path) -> None:
    """Each node of a standard operator has the inputs and attributes that the standard asks for."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {item.domain: item.version for item in model.opset_import}
    version = context.opset_imports.get("") or context.opset_imports["ai.onnx"]
    for node in _all_nodes(model):
        attributes = [attribute.name for attribute in node.attribute]
        if len(set(attributes)) != len(attributes):
            raise DataError(f"{path}: node {name_proto(node)} has an attribute twice")
        if node.domain not in STANDARD or any(
            attribute.HasField("g") or attribute.graphs for attribute in node.attribute
        ):
            continue  # functions are inlined, and what is still there then is refused by name
        if not onnx.defs.has(node.op_type, version):
            continue
        try:
            onnx.checker.check_node(node, context)
        except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
            # A sentence that quotes a broken name is no text itself.
            reason = (str(error).strip() or "broken text").splitlines()[0]
            raise DataError(f"{path}: node {name_proto(node)} is not valid: {reason}") from None
