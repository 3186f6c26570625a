"""Each rewriting rule: it fires where it should, the network computes the same, and it stays away where it would not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from downup import graph
from downup.errors import ArgumentError, DataError
from downup.graph import rewriting
from downup.graph.nodes import replace_value
from downup.graph.rules.edit import insert
from graph.builders import Builder, run_onnx

SIZES = ((1, 16, 16), (2, 13, 10), (1, 7, 32))


def rewritten(model, *rules, channels=3, sizes=SIZES, tolerance=2e-5):
    """The rewritten model, after ONNX Runtime has found both equal on pictures of several sizes."""
    ours = graph.prepare(ir.from_proto(model))
    changes = graph.rewrite(ours, rules or None)
    proto = ir.to_proto(ours)
    random = np.random.default_rng(7)
    for batch, rows, columns in sizes:
        x = random.standard_normal((batch, channels, rows, columns)).astype(np.float32)
        for a, b in zip(run_onnx(proto, {"x": x}), run_onnx(model, {"x": x}), strict=True):
            assert a.shape == b.shape
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))
    for value, before in zip(ours.graph.outputs, model.graph.output, strict=True):
        assert value.name == before.name
    return ours, [change.rule for change in changes]


def operators(model):
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_goes_into_the_convolution_before_it(group, bias):
    build = Builder()
    x = build.conv("x", 4, 6, group=group, strides=[2, 1], dilations=[1, 2])
    if not bias:
        build.nodes[-1].input.pop()
    build.batch_norm(x, 6)
    ours, rules = rewritten(build.model(shape=("n", 4, "h", "w")), channels=4)
    assert operators(ours) == ["Conv"]
    assert rules == ["scale-after"]


@pytest.mark.parametrize("group", [1, 2])
def test_batch_norm_goes_into_the_transposed_convolution_before_it(group):
    build = Builder()
    x = build.node("ConvTranspose", "x", build.normal(4, 3, 3, 2), strides=[2, 3], group=group)
    build.batch_norm(x, 3 * group)
    ours, rules = rewritten(build.model(shape=("n", 4, "h", "w")), channels=4)
    assert operators(ours) == ["ConvTranspose"]
    assert rules == ["scale-after"]


@pytest.mark.parametrize(
    ("operator", "is_first"), [("Mul", 0), ("Add", 0), ("Sub", 0), ("Div", 0), ("Mul", 1), ("Sub", 1)]
)
@pytest.mark.parametrize("shape", [(5, 1, 1), (1, 5, 1, 1), (1,), ()])
def test_scale_and_shift_go_into_the_convolution_before_them(operator, is_first, shape):
    build = Builder()
    inputs = [build.conv("x", 3, 5), build.weight(np.random.default_rng(1).uniform(0.5, 2, shape))]
    build.node(operator, *(inputs[::-1] if is_first else inputs))
    ours, _ = rewritten(build.model())
    assert operators(ours) == ["Conv"]


@pytest.mark.parametrize("shape", [(5,), (2, 5, 1, 1), (1, 1, 5, 1)])
def test_what_is_not_one_number_per_channel_stays(shape):
    build = Builder()
    build.node("Mul", build.conv("x", 3, 5), build.normal(*shape))
    ours, _ = rewritten(build.model(), sizes=[(1, 5, 5), (2, 5, 5)] if shape != (2, 5, 1, 1) else [(2, 5, 5)])
    assert operators(ours) == ["Conv", "Mul"]


def test_a_division_by_the_convolution_stays():
    build = Builder()
    # The bias keeps the denominator away from zero.
    x = build.node("Conv", "x", build.weight(np.full((1, 3, 1, 1), 0.1)), build.weight([3]))
    build.node("Div", build.weight(2), x)
    assert operators(rewritten(build.model())[0]) == ["Conv", "Div"]


def test_a_convolution_that_others_read_keeps_its_weights():
    build = Builder()
    x = build.conv("x", 3, 4)
    build.node("Add", build.batch_norm(x, 4), x)
    assert operators(rewritten(build.model())[0]) == ["Conv", "BatchNormalization", "Add"]
    build = Builder()
    x = build.conv("x", 3, 4)
    ours, _ = rewritten(build.model(build.batch_norm(x, 4), x))
    assert operators(ours) == ["Conv", "BatchNormalization"]


@pytest.mark.parametrize("group", [1, 2])
def test_batch_norm_goes_into_the_convolution_behind_it_where_there_is_no_padding(group):
    build = Builder()
    build.conv(build.batch_norm("x", 4), 4, 6, group=group, pads=[0, 0, 0, 0])
    ours, rules = rewritten(build.model(shape=("n", 4, "h", "w")), channels=4)
    assert operators(ours) == ["Conv"]
    assert rules == ["scale-before"]

    build = Builder()
    build.conv(build.batch_norm("x", 4), 4, 6, group=group)
    ours, _ = rewritten(build.model(shape=("n", 4, "h", "w")), channels=4)
    assert operators(ours) == ["BatchNormalization", "Conv"]


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
def test_a_scale_goes_into_the_convolution_behind_it_whatever_its_padding(operator):
    build = Builder()
    x = build.node("Mul", "x", build.normal(4, 1, 1))
    build.node(operator, x, build.normal(4, 2 if operator == "Conv" else 3, 3, 3), pads=[1] * 4, group=2)
    ours, rules = rewritten(build.model(shape=("n", 4, "h", "w")), channels=4)
    assert operators(ours) == [operator]
    assert rules == ["scale-before"]


def test_zeros_around_a_picture_become_padding():
    build = Builder()
    x = build.node("Pad", "x", build.ints(0, 0, 1, 0, 0, 0, 2, 3))
    build.conv(x, 3, 4, strides=[2, 2], pads=[1, 0, 0, 1])
    ours, rules = rewritten(build.model())
    assert operators(ours) == ["Conv"]
    assert rules == ["pad-into-convolution"]


@pytest.mark.parametrize(
    ("pads", "value", "mode"),
    [
        ((0, 0, 1, 1, 0, 0, 1, 1), 0.5, "constant"),
        ((0, 0, 1, 1, 0, 0, 1, 1), 0, "reflect"),
        ((0, 0, -1, 1, 0, 0, 1, 1), 0, "constant"),
        ((0, 1, 1, 1, 0, 1, 1, 1), 0, "constant"),
    ],
)
def test_other_padding_stays(pads, value, mode):
    build = Builder()
    x = build.node("Pad", "x", build.ints(*pads), build.weight(value), mode=mode)
    build.conv(x, 5 if pads[1] else 3, 4)
    assert operators(rewritten(build.model())[0]) == ["Pad", "Conv"]


def nearest(build, x, by="scales", **attributes):
    """Nearest x2, as exporters write it."""
    if by == "scales":
        return build.node("Resize", x, "", build.weight([1, 1, 2, 2]), mode="nearest", **attributes)
    shape = build.node("Shape", x)
    doubled = build.node("Mul", build.node("Slice", shape, build.ints(2), build.ints(4)), build.ints(2, 2))
    if by == "floats":
        floats = build.node("Cast", build.node("Slice", shape, build.ints(2), build.ints(4)), to=1)
        scaled = build.node("Floor", build.node("Mul", floats, build.weight([2, 2])))
        doubled = build.node("Cast", scaled, to=7)
    sizes = build.node("Concat", build.node("Slice", shape, build.ints(0), build.ints(2)), doubled, axis=0)
    return build.node("Resize", x, "", "", sizes, mode="nearest", **attributes)


ASYMMETRIC = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
MODES = [
    ASYMMETRIC,
    {"coordinate_transformation_mode": "half_pixel"},
    {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"},
    {"coordinate_transformation_mode": "pytorch_half_pixel"},
]


@pytest.mark.parametrize("attributes", MODES)
@pytest.mark.parametrize("by", ["scales", "sizes", "floats"])
@pytest.mark.parametrize("bias", [True, False])
def test_nearest_doubling_goes_into_the_convolution(attributes, by, bias):
    build = Builder()
    x = build.conv(nearest(build, build.node("Relu", "x"), by, **attributes), 3, 4)
    if not bias:
        build.nodes[-1].input.pop()
    build.node("Relu", x)
    ours, _ = rewritten(build.model(), sizes=[(1, 16, 16), (2, 13, 1), (1, 1, 1)])
    assert operators(ours) == ["Relu", "ConvTranspose", "Relu"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "floor"},
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "round_prefer_ceil"},
        {"coordinate_transformation_mode": "align_corners", "nearest_mode": "floor"},
    ],
)
def test_other_kinds_of_nearest_stay(attributes):
    build = Builder()
    build.conv(nearest(build, "x", **attributes), 3, 4)
    assert operators(rewritten(build.model())[0]) == ["Resize", "Conv"]


@pytest.mark.parametrize("up_is_first", [True, False])
def test_nearest_doubling_goes_into_the_convolution_behind_a_concatenation(up_is_first):
    build = Builder()
    low = build.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    up = nearest(build, build.conv(low, 3, 4), **ASYMMETRIC)
    skip = build.conv("x", 3, 2, 1)
    build.conv(build.node("Concat", *((up, skip) if up_is_first else (skip, up)), axis=1), 6, 5)
    ours, _ = rewritten(build.model(), sizes=[(1, 16, 16), (2, 2, 4)])
    assert sorted(operators(ours)) == ["Add", "Conv", "Conv", "Conv", "ConvTranspose", "MaxPool"]


def test_a_resize_to_the_size_of_a_skip_stays_where_sizes_may_be_odd():
    build = Builder()
    low = build.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    shape = build.node("Shape", "x")
    sizes = build.node("Concat", build.node("Slice", build.node("Shape", low), build.ints(0), build.ints(2)),
        build.node("Slice", shape, build.ints(2), build.ints(4)), axis=0)  # fmt: skip
    build.conv(build.node("Resize", low, "", "", sizes, mode="nearest", **ASYMMETRIC), 3, 4)
    ours, rules = rewritten(build.model())
    assert "Resize" in operators(ours)
    assert "state-scales" not in rules


def test_a_size_that_is_the_double_for_some_pictures_only_stays():
    build = Builder()
    low = build.node("MaxPool", "x", kernel_shape=[4, 4], strides=[4, 4])
    # h // 8 * 4 is twice h // 4 for 64 to 67 rows, and not for 68 to 71.
    rows_columns = build.node("Slice", build.node("Shape", "x"), build.ints(2), build.ints(4))
    wanted = build.node("Mul", build.node("Div", rows_columns, build.ints(8)), build.ints(4))
    batch_channels = build.node("Slice", build.node("Shape", low), build.ints(0), build.ints(2))
    sizes = build.node("Concat", batch_channels, wanted, axis=0)
    build.conv(build.node("Resize", low, "", "", sizes, mode="nearest", **ASYMMETRIC), 3, 4)
    ours, rules = rewritten(build.model(), sizes=[(1, 65, 67), (1, 70, 29)])
    assert "Resize" in operators(ours)
    assert "state-scales" not in rules


def test_a_resize_to_the_size_of_a_skip_goes_where_sizes_are_even():
    build = Builder()
    low = build.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    build.conv(
        build.node("Resize", low, "", "", build.node("Shape", "x"), mode="nearest", **ASYMMETRIC), 3, 4
    )
    ours, _ = rewritten(build.model(shape=(1, 3, 16, 24)), sizes=[(1, 16, 24)])
    assert operators(ours) == ["MaxPool", "ConvTranspose"]


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("by", ["scales", "sizes"])
def test_a_pointwise_convolution_goes_before_the_interpolation(mode, by):
    build = Builder()
    x = build.conv("x", 3, 8)
    if by == "scales":
        x = build.node("Resize", x, "", build.weight([1, 1, 2, 1.5]), mode=mode)
    else:
        shape = build.node("Shape", "x")
        batch = build.node("Slice", shape, build.ints(0), build.ints(1))
        x = build.node(
            "Resize", x, "", "", build.node("Concat", batch, build.ints(8, 41, 37), axis=0), mode=mode
        )
    build.conv(x, 8, 2, 1)
    ours, rules = rewritten(build.model(shape=("n", 3, "h", "w") if by == "scales" else ("n", 3, 16, 16)),
        sizes=SIZES if by == "scales" else [(1, 16, 16), (2, 16, 16)])  # fmt: skip
    assert rules == ["pointwise-before-resize"]
    assert [name for name in operators(ours) if name in ("Conv", "Resize")] == ["Conv", "Conv", "Resize"]


def test_a_pointwise_convolution_over_maps_of_several_resolutions_goes_before_they_grow():
    build = Builder()
    maps = ["x"]
    for scale in (2, 4):
        low = build.node("AveragePool", "x", kernel_shape=[scale] * 2, strides=[scale] * 2)
        low = build.conv(low, 3, 8)
        maps.append(build.node("Resize", low, "", build.weight([1, 1, scale, scale]), mode="linear"))
    build.node("Relu", build.conv(build.node("Concat", *maps, axis=1), 19, 6, 1))
    ours, rules = rewritten(build.model(), sizes=[(1, 16, 16), (2, 8, 12)])
    assert rules.count("pointwise-over-parts") == 1
    assert rules.count("pointwise-before-resize") == 2
    assert sorted(operators(ours)) == sorted(
        ["AveragePool", "Conv", "Conv", "Resize"] * 2 + ["Conv", "Add", "Add", "Relu"]
    )


def test_a_spread_summary_is_convolved_before_it_is_spread():
    build = Builder()
    low = build.conv(build.node("GlobalAveragePool", "x"), 3, 4, 1)
    spread = build.node("Resize", low, "", "", build.node("Concat", build.node("Slice", build.node("Shape", low),
        build.ints(0), build.ints(2)), build.node("Slice", build.node("Shape", "x"), build.ints(2), build.ints(4)),
        axis=0), mode="linear")  # fmt: skip
    build.conv(build.node("Concat", spread, build.node("Relu", spread), axis=1), 8, 3, 1)
    assert "pointwise-over-parts" not in rewritten(build.model())[1]  # read twice
    build.nodes[-2].input[1] = "x"
    build.nodes[-1].input[1] = build.normal(3, 7, 1, 1)
    ours, rules = rewritten(build.model())
    assert rules == ["pointwise-over-parts", "pointwise-before-resize"]
    assert operators(ours)[-1] == "Add"


def test_a_pointwise_convolution_stays_behind_what_shrinks_or_before_more_channels():
    build = Builder()
    build.conv(build.node("Resize", "x", "", build.weight([1, 1, 0.5, 0.5]), mode="linear"), 3, 2, 1)
    assert operators(rewritten(build.model())[0]) == ["Resize", "Conv"]
    build = Builder()
    build.conv(build.node("Resize", "x", "", build.weight([1, 1, 2, 2]), mode="linear"), 3, 9, 1)
    assert operators(rewritten(build.model())[0]) == ["Resize", "Conv"]


@pytest.mark.parametrize(
    ("function", "attributes"),
    [
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("HardSigmoid", {}),
        ("Elu", {}),
        ("LeakyRelu", {"alpha": 0.1}),
        ("Relu", {}),
    ],
)
def test_a_pool_goes_before_a_function_that_never_falls(function, attributes):
    build = Builder()
    x = build.node(function, "x", **attributes)
    build.node("MaxPool", x, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])
    ours, rules = rewritten(build.model())
    assert operators(ours) == ["MaxPool", function]
    assert rules == ["pool-before-activation"]


def test_a_pool_stays_behind_a_function_that_falls():
    build = Builder()
    build.node("MaxPool", build.node("LeakyRelu", "x", alpha=-0.5), kernel_shape=[2, 2])
    assert operators(rewritten(build.model())[0]) == ["LeakyRelu", "MaxPool"]
    build = Builder()
    build.node("MaxPool", build.node("HardSwish", "x"), kernel_shape=[2, 2])
    assert operators(rewritten(build.model())[0]) == ["HardSwish", "MaxPool"]


def test_a_pool_whose_positions_are_used_stays():
    build = Builder()
    pooled = build.node("MaxPool", build.node("Sigmoid", "x"), kernel_shape=[2, 2], strides=[2, 2], outputs=2)
    ours, _ = rewritten(build.model(pooled, f"{pooled}:1"))
    assert operators(ours) == ["Sigmoid", "MaxPool"]


def test_an_activation_that_comes_with_its_convolution_stays():
    build = Builder()
    build.node("MaxPool", build.node("Relu", build.conv("x", 3, 4)), kernel_shape=[2, 2])
    assert operators(rewritten(build.model())[0]) == ["Conv", "Relu", "MaxPool"]


def test_nodes_that_do_nothing_go():
    build = Builder()
    x = build.node("Identity", build.node("Relu", "x"))
    x = build.node("Cast", x, to=1)
    x = build.node("Pad", x, build.ints(*[0] * 8))
    x = build.node("Transpose", x, perm=[0, 1, 2, 3])
    x = build.node("Mul", x, build.weight([[[1.0]]]))
    x = build.node("Add", x, build.weight(0))
    x = build.node("Resize", x, "", build.weight([1, 1, 1, 1]))
    x = build.node("Concat", x, axis=1)
    x = build.node("Reshape", x, build.ints(0, 0, -1, 0))
    build.node("Identity", x)
    ours, _ = rewritten(build.model())
    assert operators(ours) == ["Relu"]


def test_nodes_that_broadcast_or_rename_an_input_stay():
    build = Builder()
    build.node("Add", "x", build.weight(np.zeros((2, 1, 1, 1))))
    assert operators(rewritten(build.model(shape=("n", 3, "h", "w")), sizes=[(1, 4, 4)])[0]) == ["Add"]
    build = Builder()
    build.node("Identity", "x")
    assert operators(rewritten(build.model())[0]) == ["Identity"]


def test_transposes_in_a_row_become_one_or_none():
    build = Builder()
    x = build.node("Transpose", "x", perm=[0, 2, 3, 1])
    x = build.node("Transpose", x, perm=[0, 3, 1, 2])
    x = build.node("Transpose", build.node("Relu", x), perm=[0, 3, 1, 2])
    build.node("Transpose", x, perm=[1, 0, 2, 3])
    ours, _ = rewritten(build.model())
    assert operators(ours) == ["Relu", "Transpose"]


def test_rules_can_be_chosen_by_name():
    def model():
        build = Builder()
        x = build.batch_norm(build.conv("x", 3, 4), 4)
        build.node("MaxPool", build.node("Sigmoid", x), kernel_shape=[2, 2])
        return build.model()

    assert operators(rewritten(model(), "scale-after")[0]) == ["Conv", "Sigmoid", "MaxPool"]
    assert operators(rewritten(model())[0]) == ["Conv", "MaxPool", "Sigmoid"]
    with pytest.raises(ArgumentError, match=r"rules names magic; there are .*scale-after"):
        graph.rewrite(graph.prepare(ir.from_proto(model())), ["magic"])


def test_rules_that_undo_each_other_are_stopped_and_named(monkeypatch):
    def swap(node, facts, before, after):
        if node.op_type != before:
            return False
        replace_value(node.outputs[0], insert(node, after, list(node.inputs)))
        return True

    rules = {
        "to-floor": lambda node, facts: swap(node, facts, "Ceil", "Floor"),
        "to-ceil": lambda node, facts: swap(node, facts, "Floor", "Ceil"),
    }
    monkeypatch.setattr(rewriting, "RULES", rules)
    build = Builder()
    build.node("Floor", "x")
    with pytest.raises(
        DataError, match="no end in 1000 rounds, the last of them by to-ceil, to-floor; leave one"
    ):
        graph.rewrite(graph.prepare(ir.from_proto(build.model())))
