"""Reading: one spelling for every opset, and one clear error for every broken file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from downup import graph
from downup.errors import DataError
from graph.builders import Builder, run_onnx


def save(model, folder):
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def refused(model, folder, *words):
    """The model's file is refused, in one sentence that names it and says all words."""
    path = save(model, folder)
    with pytest.raises(DataError) as caught:
        graph.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message, message


def relu_model(**changes):
    build = Builder()
    build.node("Relu", build.conv("x", 3, 4))
    return build.model(**changes)


def assert_same_network(model, tmp_path, shape, seed=0):
    """What was read, written again, computes what ONNX Runtime computes of the original."""
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    read = graph.read(save(model, tmp_path))
    graph.write(read, tmp_path / "again.onnx")
    # The standard's own inference cannot tell all shapes of the oldest opsets, and so the model does not state them.
    if all(value.type.tensor_type.HasField("shape") for value in model.graph.output):
        onnx.checker.check_model(str(tmp_path / "again.onnx"), full_check=True)
    ours, theirs = run_onnx(str(tmp_path / "again.onnx"), {"x": x}), run_onnx(model, {"x": x})
    known = graph.shapes.infer(read, {"x": shape})
    for value, a, b in zip(read.graph.outputs, ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
        assert known[value.name].shape == b.shape
        assert known[value.name].dtype.numpy() == b.dtype
    return read


def old_spellings(build):
    """One network of all operators that newer opsets spell differently, for opsets below 11."""
    x = build.conv("x", 3, 4)
    x = build.node("Clip", x, min=-0.5, max=0.75)
    x = build.node("Pad", x, pads=[0, 0, 1, 2, 0, 0, 2, 1], mode="constant", value=0.5)
    x = build.node("Slice", x, axes=[2, 3], starts=[1, 0], ends=[100, -1]) if build.opset < 10 else x
    x = build.node("Dropout", x, ratio=0.5)
    up = "Upsample" if build.opset == 9 else "Resize"
    x = build.node(up, x, build.weight([1, 1, 2, 1.5]), mode="nearest")
    build.node("Split", x, axis=1, split=[1, 3], outputs=2)
    y = build.nodes[-1].output[1]
    y = build.node("Softmax", y, axis=1)
    y = build.node("Unsqueeze", y, axes=[0])
    y = build.node("Squeeze", y, axes=[0])
    return build.node("ReduceMean", y, axes=[2, 3], keepdims=1), build.node("ReduceSum", y, axes=[1])


@pytest.mark.parametrize("opset", [9, 10])
def test_old_opsets_mean_the_same(opset, tmp_path):
    build = Builder()
    build.opset = opset
    outputs = old_spellings(build)
    model = build.model(*outputs, opset=opset)

    read = assert_same_network(model, tmp_path, (2, 3, 7, 9))

    assert read.graph.opset_imports[""] == 21
    assert {"Upsample", "Dropout"}.isdisjoint(node.op_type for node in read.graph)


@pytest.mark.parametrize("opset", [11, 12, 13, 14, 16, 18, 19, 20, 21, 23])
def test_newer_opsets_mean_the_same(opset, tmp_path):
    build = Builder()
    x = build.conv("x", 3, 4)
    x = build.batch_norm(x, 4)
    x = build.node("Clip", x, build.weight(np.float32(-0.5)), build.weight(np.float32(0.75)))
    x = build.node("Pad", x, build.ints(0, 0, 1, 2, 0, 0, 2, 1), build.weight(np.float32(0.5)))
    x = build.node("Slice", x, build.ints(1), build.ints(-1), build.ints(3))
    roi = build.weight(np.zeros(0)) if opset < 13 else ""
    x = build.node(
        "Resize", x, roi, roi, build.node("Concat", build.node("Slice", build.node("Shape", x), build.ints(0),
        build.ints(2)), build.ints(14, 15), axis=0), mode="linear", coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    if opset < 13:
        build.node("Split", x, axis=1, split=[2, 2], outputs=2)
    elif opset < 18:
        build.node("Split", x, axis=1, outputs=2)
    else:
        build.node("Split", x, axis=1, num_outputs=2, outputs=2)
    y = build.node("Concat", *build.nodes[-1].output, axis=1)
    y = build.node("Softmax", y, axis=1)
    axes = {"axes": [2, 3]}
    if opset < 13:
        z = build.node("Unsqueeze", build.node("Squeeze", build.node("ReduceSum", y, **axes), **axes), **axes)
    else:
        axes_input = build.ints(2, 3)
        z = build.node("ReduceSum", y, axes_input)
        z = build.node("Unsqueeze", build.node("Squeeze", z, axes_input), axes_input)
    mean = (
        build.node("ReduceMean", y, **axes) if opset < 18 else build.node("ReduceMean", y, build.ints(2, 3))
    )
    model = build.model(z, mean, y, opset=opset)

    read = assert_same_network(model, tmp_path, (2, 3, 7, 9))

    assert read.graph.opset_imports[""] == max(opset, 21)


def test_constants_are_computed_and_dead_ends_removed(tmp_path):
    build = Builder()
    scale = build.node("Sqrt", build.node("Constant", value=numpy_helper.from_array(np.float32(4))))
    build.conv("x", 3, 8)
    build.node("Mul", "x", scale)

    read = assert_same_network(build.model(), tmp_path, (1, 3, 5, 5))

    assert [node.op_type for node in read.graph] == ["Mul"]
    assert [value.const_value.numpy().tolist() for value in read.graph.initializers.values()] == [2.0]


def test_a_constant_of_the_pictures_type_is_computed(tmp_path):
    """torch's exporter, told not to optimise, gives a convolution without bias zeros of its picture's type."""
    build = Builder()
    zeros = build.node("CastLike", build.weight(np.zeros(4)), "x")
    build.node("Conv", "x", build.weight(np.ones((4, 3, 3, 3))), zeros)

    read = assert_same_network(build.model(), tmp_path, (1, 3, 5, 5))

    assert [node.op_type for node in read.graph] == ["Conv"]


def test_an_output_may_be_an_input_or_a_constant(tmp_path):
    build = Builder()
    constant = build.node("Constant", value=numpy_helper.from_array(np.arange(3, dtype=np.float32)))
    build.node("Relu", "x")
    model = build.model("relu1", constant)
    assert_same_network(model, tmp_path, (1, 3, 2, 2))


def test_functions_are_inlined(tmp_path):
    relu = helper.make_node("Relu", ["a"], ["b"])
    function = helper.make_function("own", "Twice", ["a"], ["c"],
        [relu, helper.make_node("Add", ["b", "b"], ["c"])], [helper.make_opsetid("", 17)])  # fmt: skip
    build = Builder()
    build.nodes.append(helper.make_node("Twice", ["x"], ["y"], domain="own"))
    model = build.model(domains=["own"], functions=[function])

    read = assert_same_network(model, tmp_path, (1, 3, 4, 5))

    assert [node.op_type for node in read.graph] == ["Relu", "Add"]


def test_every_node_that_is_not_supported_is_named(tmp_path):
    build = Builder()
    a = build.node("NonZero", "x")
    b = build.node("Relu", "x")
    fused = helper.make_node("FusedConv", [b], ["z"], domain="com.microsoft", name="fused")
    build.nodes.append(fused)
    model = build.model(a, domains=["com.microsoft"])
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n"]))

    refused(model, tmp_path, "2 of 3 nodes", "NonZero 'n_nonzero0'", "com.microsoft:FusedConv 'fused'")
