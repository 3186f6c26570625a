"""Files that are damaged, or made to do harm: each is one clear error that names the file."""

from __future__ import annotations

import os
import random
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from downup import graph
from downup.errors import ArgumentError, DataError
from graph.builders import Builder
from graph.mutations import mutate
from graph.test_reading import refused, relu_model, save


def test_what_is_no_onnx_file(tmp_path):
    path = tmp_path / "model.onnx"
    for data in (b"", b"hello", bytes(1000), os.urandom(1000), b"\x89PNG\r\n\x1a\n" + bytes(100)):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"model\.onnx: "):
            graph.read(path)
    with pytest.raises(DataError, match="is a folder"):
        graph.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        graph.read(tmp_path / "none.onnx")


def test_every_truncation(tmp_path):
    data = relu_model().SerializeToString()
    path = tmp_path / "model.onnx"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"model\.onnx: "):
            graph.read(path)


def test_opsets_out_of_range(tmp_path):
    for opset in (1, 8, 99, -1):
        model = relu_model()
        model.opset_import[0].version = opset
        refused(model, tmp_path, f"uses opset {opset}; opsets 9 to ")
    model = relu_model()
    del model.opset_import[:]
    refused(model, tmp_path, "names no version")


def test_cycles(tmp_path):
    model = relu_model()
    model.graph.node[0].input[0] = model.graph.node[1].output[0]
    refused(model, tmp_path, "is cyclic", "Relu 'n_relu1'")
    model = relu_model()
    model.graph.node[1].input[0] = model.graph.node[1].output[0]
    refused(model, tmp_path, "is cyclic", "Relu 'n_relu1'")


def test_nodes_in_another_order_are_sorted(tmp_path):
    model = relu_model()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    assert [node.op_type for node in graph.read(save(model, tmp_path)).graph] == ["Conv", "Relu"]


def test_a_long_chain_in_the_wrong_order_is_read_quickly(tmp_path):
    build = Builder()
    x = "x"
    for _ in range(20_000):
        x = build.node("Relu", x)
    model = build.model(shape=(1, 3, 4, 4))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    assert len(graph.read(save(model, tmp_path)).graph) == 20_000


def test_missing_weights(tmp_path):
    model = relu_model()
    del model.graph.initializer[0]
    refused(model, tmp_path, "Conv 'n_conv0' reads 'weight0'", "weights were left out")


def test_values_made_twice(tmp_path):
    model = relu_model()
    model.graph.node[1].output[0] = model.graph.node[0].output[0]
    refused(model, tmp_path, "made more than once")
    model = relu_model()
    model.graph.initializer.append(model.graph.initializer[0])
    refused(model, tmp_path, "made more than once")


def test_outputs_that_nobody_makes(tmp_path):
    model = relu_model()
    model.graph.output[0].name = "other"
    refused(model, tmp_path, "output 'other' is made by no node")


@pytest.mark.parametrize("number", [np.nan, -np.nan])
def test_weights_that_are_no_numbers(number, tmp_path):
    model = relu_model()
    array = numpy_helper.to_array(model.graph.initializer[0]).copy()
    array[1, 2, 0, 1] = number
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "weight0"))
    refused(model, tmp_path, "'weight0'", "NaN")


def test_nan_in_a_constant_node(tmp_path):
    build = Builder()
    build.node("Mul", "x", build.node("Constant", value=numpy_helper.from_array(np.float32([np.nan]))))
    refused(build.model(), tmp_path, "NaN")


def test_infinite_weights_are_numbers(tmp_path):
    build = Builder()
    build.node("Max", "x", build.weight([-np.inf]))
    assert len(graph.read(save(build.model(), tmp_path)).graph) == 1


def test_wrong_types(tmp_path):
    build = Builder()
    build.node("Add", "x", build.weight(1, np.int64))
    refused(_untyped(build), tmp_path, "Add 'n_add0'", "FLOAT and INT64", "must be alike")
    build = Builder()
    build.node("Conv", "x", build.weight(np.ones((2, 3, 1, 1)), np.int64))
    refused(_untyped(build), tmp_path, "Conv 'n_conv0'", "INT64")


def _untyped(build):
    """A model that the standard's own inference would not pass."""
    output = helper.make_tensor_value_info(build.nodes[-1].output[0], TensorProto.FLOAT, None)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])]
    made = helper.make_graph(build.nodes, "test", inputs, [output], build.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])


def test_attributes_that_the_standard_does_not_know(tmp_path):
    model = relu_model()
    model.graph.node[0].attribute.append(helper.make_attribute("colour", 3))
    refused(model, tmp_path, "Conv 'n_conv0' is not valid", "colour")


def test_tensors_that_declare_more_than_they_hold(tmp_path):
    for dims in ([2**62, 3, 3, 3], [2**31, 2**31, 2**31, 2**31], [4, 3, 3, 4], [4, 3, 3]):
        model = relu_model()
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)
        refused(model, tmp_path, "'weight0'", "the file is damaged")
    model = relu_model()
    model.graph.initializer[0].dims[0] = -4
    refused(model, tmp_path, "'weight0'", "negative shape")


@pytest.mark.parametrize(
    ("nodes", "word"),
    [
        (lambda b: b.node("ConstantOfShape", b.ints(2**40, 2**40)), "no machine holds"),
        (lambda b: b.node("Expand", "x", b.ints(2**40, 3, 1, 1)), "no machine holds"),
        (lambda b: b.node("Tile", "x", b.ints(1, 2**20, 2**20, 2**20)), "no machine holds"),
        (lambda b: b.node("Range", b.weight(0, np.int64), b.weight(2**62, np.int64), b.weight(1, np.int64)), "is too long"),
        (lambda b: b.node("Pad", "x", b.ints(0, 0, 2**50, 2**50, 0, 0, 0, 0)), "no machine holds"),
        (lambda b: b.node("Resize", "x", "", b.weight([1, 1, 1e30, 1e30])), "no machine holds"),
        (lambda b: b.node("Resize", "x", "", b.weight([1, 1, np.inf, 1])), "above 0"),
        (lambda b: b.node("Resize", "x", "", "", b.ints(1, 3, 2**62, 2**62)), "no machine holds"),
        (lambda b: b.node("MaxPool", "x", kernel_shape=[2**40, 1]), "kernel_shape is"),
        (lambda b: b.node("MaxPool", "x", kernel_shape=[1, 1], pads=[2**30] * 4), "no machine holds"),
        (lambda b: b.node("MaxPool", "x", kernel_shape=[0, 1]), "kernel_shape is [0, 1]"),
        (lambda b: b.node("MaxPool", "x", kernel_shape=[1, 1], strides=[0, 1]), "strides is [0, 1]"),
        (lambda b: b.node("ConvTranspose", "x", b.normal(3, 4, 1, 1), strides=[2**30, 2**30]), "no machine holds"),
        (lambda b: b.node("DepthToSpace", "x", blocksize=0), "blocksize is 0"),
    ],
)  # fmt: skip
def test_shapes_that_overflow(nodes, word, tmp_path):
    build = Builder()
    nodes(build)
    with pytest.raises(DataError, match=word.replace("[", r"\[")):
        graph.shapes.infer(graph.read(save(_untyped(build), tmp_path)), {"x": (1, 3, 16, 16)})


def test_a_large_constant_is_left_for_the_run(tmp_path):
    build = Builder()
    build.node("Expand", build.node("ConstantOfShape", build.ints(1)), build.ints(1, 1, 2**15, 2**15))
    build.node("Add", "x", build.nodes[-1].output[0])
    read = graph.read(save(build.model(), tmp_path))
    assert [node.op_type for node in read.graph] == ["Expand", "Add"]


def test_shapes_of_inputs_that_the_model_does_not_take(tmp_path):
    read = graph.read(save(relu_model(), tmp_path))
    for shapes, word in (
        ({}, "not given"),
        ({"x": (1, 4, 5, 5)}, "the network takes"),
        ({"x": (1, 3, 5)}, "the network takes"),
        ({"x": (1, 3, 2**40, 2**40)}, "the network takes"),
        ({"x": (1, 3, -5, 5)}, "the network takes"),
    ):
        with pytest.raises(ArgumentError, match=word):
            graph.shapes.infer(read, shapes)


# External data


def external(location, offset="0", length="", size=16):
    """A model whose one weight lies in another file."""
    build = Builder()
    build.node("Mul", "x", build.weight(np.ones(4)))
    model = build.model(shape=("n", 3, "h", 4))
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length or str(size))):
        weight.external_data.add(key=key, value=value)
    return model


def test_external_data_beside_the_model_is_read(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"12345678" + np.arange(4, dtype=np.float32).tobytes())
    read = graph.read(save(external("weights.bin", offset="8"), tmp_path))
    (weight,) = read.graph.initializers.values()
    assert weight.const_value.numpy().tolist() == [0, 1, 2, 3]
    (tmp_path / "weights.bin").unlink()  # all is in memory
    graph.write(read, tmp_path / "one.onnx")
    assert onnx.load(tmp_path / "one.onnx").graph.initializer[0].raw_data


def test_external_data_of_no_stated_length_is_as_long_as_its_shape_says(tmp_path):
    numbers = np.arange(4, dtype=np.float32)
    (tmp_path / "weights.bin").write_bytes(np.float32(7).tobytes() + numbers.tobytes() + b"56789")
    for stated in ({}, {"length": ""}, {"length": "16", "offset": "4"}, {"offset": "4", "length": ""}):
        model = external("weights.bin")
        del model.graph.initializer[0].external_data[:]
        for key, value in {"location": "weights.bin", **stated}.items():
            model.graph.initializer[0].external_data.add(key=key, value=value)
        (weight,) = graph.read(save(model, tmp_path)).graph.initializers.values()
        wanted = numbers if "offset" in stated else np.concatenate([[7], numbers[:3]])
        np.testing.assert_array_equal(weight.const_value.numpy(), wanted)


@pytest.mark.parametrize(
    "kind", ["absolute", "parent", "hidden parent", "file link", "folder link", "backslash"]
)
def test_external_data_outside_the_folder_is_never_opened(kind, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(16))
    (folder / "sub").mkdir()
    (folder / "link.bin").symlink_to(secret)
    (folder / "out").symlink_to(tmp_path)
    location = {
        "absolute": str(secret),
        "parent": "../secret.bin",
        "hidden parent": "sub/../../secret.bin",
        "file link": "link.bin",
        "folder link": "out/secret.bin",
        "backslash": "..\\secret.bin",
    }[kind]
    refused(external(location), folder, "outside the folder")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"location": "none.bin"}, "is not there"),
        ({"location": ""}, "names no file"),
        ({"location": "."}, "is not there"),
        ({"location": "w.bin", "offset": "-4"}, "damaged"),
        ({"location": "w.bin", "offset": "8"}, "damaged"),
        ({"location": "w.bin", "offset": "many"}, "no number"),
        ({"location": "w.bin", "length": "99999999999999999999"}, "damaged"),
        ({"location": "w.bin", "length": "12"}, "damaged"),
    ],
)
def test_external_data_that_does_not_fit(changes, word, tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    refused(external(**changes), tmp_path, word)


# Random damage


def networks():
    """Small networks with the operators that networks for labelling are made of, in three opsets."""
    for opset in (11, 17, 21):
        build = Builder()
        x = build.node("Relu", build.batch_norm(build.conv("x", 3, 4), 4))
        low = build.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], outputs=2)
        up = build.node("MaxUnpool", low, f"{low}:1", kernel_shape=[2, 2], strides=[2, 2])
        gate = build.node("Sigmoid", build.conv(build.node("GlobalAveragePool", x), 4, 4, 1))
        sizes = build.node("Concat", build.node("Slice", build.node("Shape", low), build.ints(0), build.ints(2)),
            build.node("Slice", build.node("Shape", x), build.ints(2), build.ints(4)), axis=0)  # fmt: skip
        roi = build.weight(np.zeros(0)) if opset < 13 else ""
        wide = build.node("Resize", low, roi, roi, sizes, mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
        joined = build.node("Concat", up, wide, build.node("Mul", x, gate), axis=1)
        y = build.conv(build.node("Pad", joined, build.ints(0, 0, 1, 1, 0, 0, 1, 1)), 12, 3, pads=[0] * 4)
        y = build.node("ConvTranspose", y, build.normal(3, 2, 2, 2), strides=[2, 2])
        y = build.node("Reshape", y, build.ints(0, 2, -1))
        build.node("Softmax", build.node("Transpose", y, perm=[0, 2, 1]), axis=-1)
        yield build.model(opset=opset).SerializeToString()


def test_random_damage_is_one_clear_error_or_none(is_long, tmp_path):
    originals = list(networks())
    path = tmp_path / "model.onnx"
    outcomes, messages = {"read": 0, "refused": 0}, []
    for seed in range(10_000 if is_long else 400):
        path.write_bytes(mutate(originals[seed % len(originals)], random.Random(seed)))
        started = time.monotonic()
        try:
            model = graph.read(path)
            shapes = graph.example_shapes(model, 16, 20)
            known = graph.shapes.infer(model, shapes)
            graph.count_multiply_adds(model, known)
            outcomes["read"] += 1
            if seed % 5 == 0:
                graph.rewrite(model)
                graph.shapes.infer(model, shapes)
                graph.write(model, path)
        except (DataError, ArgumentError) as error:
            outcomes["refused"] += 1
            messages.append(str(error))
        except BaseException:
            print(f"seed {seed}")
            raise
        assert time.monotonic() - started < 30, f"seed {seed} takes for ever"
    # Neither all too weak nor all too strong.
    assert min(outcomes.values()) > 20
    assert not [message for message in messages if "\n" in message or len(message) > 2000]
