"""Break ONNX files at random: bytes, as bad disks and bad people do, and fields, as bad exporters do."""

from __future__ import annotations

import random

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import TensorProto

NUMBERS = (0, 1, -1, 2, 3, 7, 255, -128, 2**31 - 1, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))


def mutate(data: bytes, choose: random.Random) -> bytes:
    """One to three things changed, most often one field."""
    for _ in range(choose.choice((1, 1, 1, 2, 3))):
        data = (_bytes if choose.random() < 0.15 else _fields)(data, choose)
    return data


def _bytes(data: bytes, choose: random.Random) -> bytes:
    if not data:
        return data
    at, count = choose.randrange(len(data)), choose.choice((1, 1, 2, 8, 100))
    match choose.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + choose.randbytes(count) + data[at + count :]
        case 2:
            return data[:at] + data[at + count :]
        case 3:
            return data[:at] + choose.randbytes(count) + data[at:]
        case _:
            other = choose.randrange(len(data))
            return data[:at] + data[other : other + count] + data[at:]


def _fields(data: bytes, choose: random.Random) -> bytes:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        choose.choice(FIELDS)(model, choose)
        return model.SerializeToString()
    except (DecodeError, EncodeError, IndexError, ValueError, TypeError, UnicodeError):
        return _bytes(data, choose)


def _attribute(model, choose):
    attribute = choose.choice(choose.choice([node for node in model.graph.node if node.attribute]).attribute)
    match choose.randrange(4):
        case 0:
            attribute.i = choose.choice(NUMBERS)
        case 1 if attribute.ints:
            attribute.ints[choose.randrange(len(attribute.ints))] = choose.choice(NUMBERS)
        case 2:
            attribute.ints.append(choose.choice(NUMBERS))
        case _:
            attribute.name = choose.choice(
                ("axis", "pads", "strides", "group", "kernel_shape", "auto_pad", "mode", "perm")
            )


def _drop_attribute(model, choose):
    node = choose.choice([node for node in model.graph.node if node.attribute])
    del node.attribute[choose.randrange(len(node.attribute))]


def _operator(model, choose):
    names = [schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""]
    choose.choice(model.graph.node).op_type = choose.choice(names)


def _wire(model, choose):
    values = [name for node in model.graph.node for name in (*node.input, *node.output)]
    node = choose.choice([node for node in model.graph.node if node.input])
    node.input[choose.randrange(len(node.input))] = choose.choice([*values, "", "nowhere"])


def _more_inputs(model, choose):
    values = [name for node in model.graph.node for name in (*node.input, *node.output)]
    choose.choice(model.graph.node).input.append(choose.choice(values))


def _fewer_inputs(model, choose):
    node = choose.choice([node for node in model.graph.node if node.input])
    del node.input[choose.randrange(len(node.input))]


def _outputs(model, choose):
    node = choose.choice(model.graph.node)
    if choose.random() < 0.5:
        node.output.append(choose.choice(("again", "x", "", node.output[0])))
    else:
        node.output[0] = choose.choice(("again", "x", ""))


def _drop_node(model, choose):
    del model.graph.node[choose.randrange(len(model.graph.node))]


def _copy_node(model, choose):
    model.graph.node.insert(choose.randrange(len(model.graph.node)), choose.choice(model.graph.node))


def _weight_shape(model, choose):
    weight = choose.choice(model.graph.initializer)
    weight.dims[choose.randrange(len(weight.dims))] = choose.choice(NUMBERS)


def _weight_type(model, choose):
    choose.choice(model.graph.initializer).data_type = choose.choice((*TensorProto.DataType.values(), 99))


def _weight_numbers(model, choose):
    weight = choose.choice(model.graph.initializer)
    size = len(weight.raw_data)
    weight.raw_data = choose.choice(
        (b"", b"\xff" * size, b"\x00" * size, choose.randbytes(size), weight.raw_data[:-1], b"\x7f" * size)
    )


def _weight_outside(model, choose):
    weight = choose.choice(model.graph.initializer)
    weight.data_location = TensorProto.EXTERNAL
    places = (
        "/etc/passwd",
        "../../etc/passwd",
        "/dev/zero",
        "",
        "model.onnx",
        ".",
        "a\0b",
        "C:\\x",
        "none.bin",
    )
    for key, value in (
        ("location", choose.choice(places)),
        ("offset", "0"),
        ("length", choose.choice(("4", "-1", "x"))),
    ):
        if choose.random() < 0.8:
            weight.external_data.add(key=key, value=value)


def _drop_weight(model, choose):
    del model.graph.initializer[choose.randrange(len(model.graph.initializer))]


def _opset(model, choose):
    model.opset_import[0].version = choose.choice((*range(1, 30), *NUMBERS))


def _input_type(model, choose):
    kind = choose.choice((*model.graph.input, *model.graph.output)).type.tensor_type
    if choose.random() < 0.5:
        kind.elem_type = choose.choice((*TensorProto.DataType.values(), 99))
    else:
        kind.shape.dim[choose.randrange(len(kind.shape.dim))].dim_value = choose.choice(NUMBERS)


def _input_rank(model, choose):
    shape = choose.choice(model.graph.input).type.tensor_type.shape
    if choose.random() < 0.5:
        del shape.dim[0]
    else:
        shape.dim.add(dim_value=choose.choice(NUMBERS))


FIELDS = (
    _attribute, _attribute, _attribute, _drop_attribute, _operator, _wire, _more_inputs, _fewer_inputs, _outputs,
    _drop_node, _copy_node, _weight_shape, _weight_type, _weight_numbers, _weight_outside, _drop_weight, _opset,
    _input_type, _input_rank,
)  # fmt: skip
