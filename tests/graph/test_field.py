"""How far outputs see: what the intervals say is what changes when the picture is changed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx_ir as ir
import pytest

from downup import graph
from downup.errors import DataError
from graph.builders import Builder, run_onnx


def fields_of(model):
    return graph.find_fields(graph.prepare(ir.from_proto(model)))


class Positive(Builder):
    """Weights above zero: what a sample reads, changes it."""

    def normal(self, *shape):
        return self.weight(self.random.uniform(0.5, 1, shape) / max(1, np.prod(shape[1:])))


def seen(model, size=96, channels=3):
    """For each output row, the first and last input row that it depends on: found by raising one row after the other."""
    x = np.random.default_rng(0).uniform(0.5, 1, (1, channels, size, size)).astype(np.float32)
    batch = np.repeat(x, size + 1, axis=0)
    for row in range(size):
        batch[row, :, row] += 100
    (outputs,) = run_onnx(model, {"x": batch})
    depends = (outputs[:size] != outputs[size]).any(axis=(1, 3)).T
    return [(np.flatnonzero(rows)[0], np.flatnonzero(rows)[-1]) if rows.any() else None for rows in depends]


def assert_seen(model, channels=3):
    """The intervals are right and tight."""
    ((rows, columns),) = fields_of(model).values()
    before = after = 0
    size, count = 96, 0
    for sample, ends in enumerate(seen(model, size, channels)):
        start, stop = int(sample * rows.stride // 1), int(-(-(sample + 1) * rows.stride // 1))
        # Far from the edges, where a crop or a padding would hide what is read.
        if start - rows.before - rows.period < 0 or stop + rows.after + rows.period > size:
            continue
        assert ends is not None
        before, after, count = max(before, start - ends[0]), max(after, ends[1] - stop + 1), count + 1
    assert count >= rows.period / rows.stride, "the picture is too small to tell"
    assert (rows.before, rows.after) == (max(0, before), max(0, after))
    return rows, columns


def test_a_convolution_sees_its_window():
    build = Positive()
    build.conv("x", 3, 2, 5, dilations=[2, 1], strides=[2, 1], pads=[4, 2, 4, 2])
    rows, columns = assert_seen(build.model())
    # Window of 9 samples centred on sample 2 i, which stands for samples 2 i and 2 i + 1.
    assert rows == graph.Field(Fraction(2), Fraction(0), before=4, after=3, period=2)
    assert columns == graph.Field(Fraction(1), Fraction(0), before=2, after=2, period=1)


def test_down_and_up_again():
    build = Positive()
    low = build.node("MaxPool", build.conv("x", 3, 2), kernel_shape=[2, 2], strides=[2, 2])
    low = build.conv(low, 2, 2)
    build.node("ConvTranspose", low, build.normal(2, 1, 2, 2), strides=[2, 2])
    rows, _ = assert_seen(build.model())
    # Output 1 reads row 1 of the block, whose neighbour block reaches from -2 to 3, and one row more on each side.
    assert rows == graph.Field(Fraction(1), Fraction(0), before=4, after=4, period=2)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("where", ["half_pixel", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("scale", [2, 3, 1.5, 0.5])
def test_interpolation(mode, where, scale):
    build = Positive()
    low = build.node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])
    attributes = {"mode": mode, "coordinate_transformation_mode": where}
    if where == "asymmetric":
        attributes["nearest_mode"] = "floor"
    build.node("Resize", low, "", build.weight([1, 1, scale, scale]), **attributes)
    rows, _ = assert_seen(build.model())
    assert rows.stride == 2 / Fraction(scale)


def skip_network(**conv):
    build = Positive()
    x = build.conv("x", 3, 2)
    low = build.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    low = build.conv(low, 2, 2, **conv)
    lower = build.conv(build.node("AveragePool", low, kernel_shape=[2, 2], strides=[2, 2]), 2, 3)
    shape = build.node("Shape", lower)
    doubled = build.node("Mul", build.node("Slice", shape, build.ints(2), build.ints(4)), build.ints(2, 2))
    sizes = build.node("Concat", build.node("Slice", shape, build.ints(0), build.ints(2)), doubled, axis=0)
    up = build.node("Resize", lower, "", "", sizes, mode="linear")
    joined = build.node("Concat", up, low, axis=1)
    up = build.node("ConvTranspose", joined, build.normal(5, 2, 4, 4), strides=[2, 2], pads=[1] * 4)
    build.conv(build.node("Add", up, x), 2, 2)
    return build


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_skips_join_paths_that_see_unequally_far(dilation):
    build = skip_network(dilations=[dilation] * 2, pads=[dilation] * 4)
    rows, _ = assert_seen(build.model())
    assert (rows.stride, rows.period) == (1, 4)


def test_unpooling_sees_what_its_pool_saw():
    build = Positive()
    pooled = build.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], outputs=2)
    low = build.conv(pooled, 3, 3)
    build.node("MaxUnpool", low, f"{pooled}:1", kernel_shape=[2, 2], strides=[2, 2])
    build.conv(build.nodes[-1].output[0], 3, 2)
    ((rows, _),) = fields_of(build.model()).values()
    # One row of the last window, then the block, its neighbours, and their two rows.
    assert (rows.before, rows.after, rows.period) == (4, 4, 2)


def test_crops_and_padding_shift():
    build = Positive()
    x = build.node("Pad", "x", build.ints(0, 0, 5, 5, 0, 0, 5, 5), mode="reflect")
    x = build.conv(x, 3, 2, 7, pads=[0] * 4)
    build.node("Slice", x, build.ints(2, 2), build.ints(-2, -2), build.ints(2, 3))
    rows, _ = fields_of(build.model())[build.nodes[-1].output[0]]
    assert rows == graph.Field(Fraction(1), Fraction(0), before=3, after=3, period=1)


def test_shuffles_and_other_layouts_are_followed():
    build = Positive()
    x = build.node("Transpose", build.node("SpaceToDepth", "x", blocksize=2), perm=[0, 2, 3, 1])
    x = build.node("LayerNormalization", x, build.weight(np.ones(12)), axis=-1)
    x = build.node("MatMul", x, build.normal(12, 8))
    x = build.node("Transpose", x, perm=[0, 3, 1, 2])
    shape = build.node("Shape", x)
    hw = build.node("Slice", shape, build.ints(2), build.ints(4))
    x = build.node("Reshape", x, build.node("Concat", build.ints(-1, 2, 4), hw, axis=0))
    x = build.node("Transpose", x, perm=[0, 2, 1, 3, 4])
    x = build.node("Reshape", x, build.node("Concat", build.ints(-1, 8), hw, axis=0))
    x = build.node("DepthToSpace", x, blocksize=2)
    build.node("ArgMax", build.conv(x, 2, 3), axis=1, keepdims=0)
    ((rows, columns),) = fields_of(build.model()).values()
    assert rows == columns == graph.Field(Fraction(1), Fraction(0), before=2, after=2, period=2, multiple=2)


def test_rows_and_columns_that_are_one_axis_for_a_while_are_followed():
    build = Positive()
    low = build.node("SpaceToDepth", "x", blocksize=2)
    flat = build.node("Reshape", low, build.ints(0, 4, 3, -1))
    taps = build.node("Cast", build.node("ArgMax", flat, axis=1, keepdims=0), to=1)
    head = build.node("Slice", build.node("Shape", low), build.ints(2), build.ints(4))
    back = build.node("Reshape", taps, build.node("Concat", build.ints(-1, 3), head, axis=0))
    build.conv(back, 3, 2)
    ((rows, columns),) = fields_of(build.model()).values()
    # The block of two itself, and its neighbours' two.
    assert (
        rows == columns == graph.Field(Fraction(2), Fraction(1, 2), before=2, after=2, period=2, multiple=2)
    )


def test_neighbours_of_rows_and_columns_that_are_one_axis_are_refused():
    build = Builder()
    flat = build.node("Reshape", "x", build.ints(0, 3, -1))
    build.node("Conv", flat, build.normal(2, 3, 3), pads=[1, 1])
    with pytest.raises(DataError, match=r"Conv .n_conv1. .works on rows and columns that are one axis"):
        fields_of(build.model())


def test_pictures_that_are_filled_up_at_their_end_and_cut_again_are_followed():
    """Pictures are padded behind their end to a multiple of the stride, and the scores cut to size again."""
    build = Builder()
    size = build.node("Slice", build.node("Shape", "x"), build.ints(2), build.ints(4))
    missing = build.node("Mod", build.node("Neg", size), build.ints(4, 4))
    x = build.node("Pad", "x", build.node("Concat", build.ints(0, 0, 0, 0, 0, 0), missing, axis=0))
    low = build.node("MaxPool", build.conv(x, 3, 2), kernel_shape=[4, 4], strides=[4, 4])
    up = build.node("ConvTranspose", low, build.normal(2, 2, 4, 4), strides=[4, 4])
    build.node("Slice", up, build.ints(0, 0), size, build.ints(2, 3))
    ((rows, _),) = fields_of(build.model()).values()
    assert (rows.stride, rows.before, rows.after, rows.period) == (1, 4, 4, 4)


@pytest.mark.parametrize("seed", range(12))
def test_a_shifted_picture_gives_shifted_outputs(seed):
    random = np.random.default_rng(seed)
    dilation = int(random.integers(1, 4))
    model = skip_network(dilations=[dilation] * 2, pads=[dilation] * 4).model()
    ((rows, _),) = fields_of(model).values()
    x = random.standard_normal((1, 3, 128, 128)).astype(np.float32)
    shift = rows.period * int(random.integers(1, 5))
    (whole,), (part,) = run_onnx(model, {"x": x}), run_onnx(model, {"x": x[:, :, shift:, shift:]})
    inner = slice(rows.before, 128 - shift - rows.after)
    np.testing.assert_allclose(
        part[:, :, inner, inner], whole[:, :, shift:, shift:][:, :, inner, inner], rtol=1e-4, atol=1e-4
    )


def gate(build):
    return build.node(
        "Mul", "x", build.node("Sigmoid", build.conv(build.node("GlobalAveragePool", "x"), 3, 3, 1))
    )


def two_gates(build):
    x = gate(build)
    return build.node("Mul", x, build.node("Sigmoid", build.node("ReduceMean", x, axes=[2, 3])))


def to_size(build):
    low = build.node("AveragePool", "x", kernel_shape=[2, 2], strides=[1, 1])
    return build.node("Resize", low, "", "", build.node("Shape", "x"), mode="linear")


def enlarged_again(build):
    low = build.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    low = build.node("MaxPool", low, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    return build.node("Resize", low, "", "", build.node("Shape", "x"), mode="linear")


def padded_by_size(build):
    return build.conv("x", 3, 2, pads=[0] * 4, auto_pad="SAME_UPPER", strides=[2, 2])


@pytest.mark.parametrize(("network", "multiple"), [(enlarged_again, 4), (padded_by_size, 2)])
def test_what_holds_for_some_sizes_alone_is_told_for_these(network, multiple):
    build = Builder()
    network(build)
    ((rows, columns),) = fields_of(build.model()).values()
    assert rows.multiple == columns.multiple == multiple


def indices(build):
    return build.node(
        "Cast", f"{build.node('MaxPool', 'x', kernel_shape=[2, 2], strides=[2, 2], outputs=2)}:1", to=1
    )


def another_plane(build):
    pooled = build.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], outputs=2)
    size = build.node("Add", build.node("Shape", "x"), build.ints(0, 0, 1, 1))
    return build.node("MaxUnpool", pooled, f"{pooled}:1", size, kernel_shape=[2, 2], strides=[2, 2])


def attention(build):
    flat = build.node("Reshape", "x", build.ints(0, 3, -1))
    return build.node("MatMul", flat, build.node("Transpose", flat, perm=[0, 2, 1]))


def embedding(build):
    return build.node("Add", "x", build.normal(16, 1))


def grid(build):
    width = build.node("Gather", build.node("Shape", "x"), build.weight(3, np.int64))
    places = build.node("Range", build.weight(0, np.int64), width, build.weight(1, np.int64))
    return build.node("Add", "x", build.node("Cast", places, to=1))


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (embedding, ("Add 'n_add0'", "depends on the place")),
        (gate, ("GlobalAveragePool 'n_globalaveragepool0'",)),
        (two_gates, ("GlobalAveragePool 'n_globalaveragepool0'", "ReduceMean 'n_reducemean4'")),
        (to_size, ("Resize 'n_resize2'", "no fixed multiple")),
        (indices, ("output", "tells places in the plane")),
        (another_plane, ("MaxUnpool 'n_maxunpool3'", "another size than was pooled")),
        (attention, ("MatMul 'n_matmul2'", "multiplies over the picture")),
        (grid, ("Add 'n_add4'", "depends on the size of the picture")),
        (lambda b: b.node("InstanceNormalization", "x", b.normal(3), b.normal(3)), ("InstanceNormalization",)),
        (lambda b: b.node("Softmax", "x", axis=-1), ("Softmax", "rows or columns")),
        (lambda b: b.node("Slice", "x", b.ints(-8), b.ints(100), b.ints(2)), ("Slice", "size of the picture")),
        (
            lambda b: b.node("Resize", "x", "", b.weight([1, 1, 2, 2]), mode="linear",
                coordinate_transformation_mode="align_corners"),
            ("Resize", "align_corners"),
        ),
    ],
)  # fmt: skip
def test_what_needs_the_whole_picture_is_refused_by_name(network, names):
    build = Builder()
    network(build)
    with pytest.raises(DataError) as caught:
        fields_of(build.model(shape=("n", 3, 16, 16) if network is embedding else ("n", 3, "h", "w")))
    for name in names:
        assert name in str(caught.value)
