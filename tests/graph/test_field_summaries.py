"""Numbers of a whole picture: what may be made of them, and in which order they can be known."""

from __future__ import annotations

import re

import onnx_ir as ir
import pytest

from downup import graph
from graph.builders import Builder


def paths_of(build):
    """The network that `build` makes, and its paths."""
    make = Builder(5)
    model = graph.prepare(ir.from_proto(make.model(build(make), opset=18)))
    return model, graph.find_paths(model)


def squeezed(make, x="x"):
    return make.node("Mul", x, make.node("Sigmoid", make.node("GlobalAveragePool", x)))


def spread(make, x, pooled):
    sizes = make.node(
        "Concat",
        make.ints(1, 3),
        make.node("Slice", make.node("Shape", x), make.ints(2), make.ints(4)),
        axis=0,
    )
    return make.node("Resize", pooled, "", "", sizes, mode="linear")


def test_blocks_one_behind_another_are_known_one_after_the_other():
    model, paths = paths_of(lambda make: squeezed(make, squeezed(make)))
    assert paths.refused == ()
    levels = graph.find_levels(model, paths.summaries)
    assert [[item.kind for item in level] for level in levels] == [["mean"], ["mean"]]


def test_blocks_side_by_side_are_known_together():
    def build(make):
        largest = make.node("ReduceMax", "x", make.ints(3, 2))
        total = make.node("ReduceSum", "x", make.ints(-2, -1))
        return make.node("Add", squeezed(make), make.node("Sub", largest, total))

    model, paths = paths_of(build)
    (level,) = graph.find_levels(model, paths.summaries)
    assert sorted(item.kind for item in level) == ["max", "mean", "sum"]


def test_what_no_output_needs_is_not_asked_for():
    def build(make):
        make.node("GlobalAveragePool", "x")
        return make.node("Relu", "x")

    model, paths = paths_of(build)
    assert graph.find_levels(model, paths.summaries) == ()


def resized_window(make):
    pooled = make.node("GlobalAveragePool", "x")
    return make.node(
        "Add", "x", make.node("AveragePool", spread(make, "x", pooled), kernel_shape=[3, 3], pads=[1] * 4)
    )


def counted(make):
    """A mean made of a sum and of the picture's size, which a window does not know."""
    shape = make.node("Cast", make.node("Slice", make.node("Shape", "x"), make.ints(2), make.ints(3)), to=1)
    return make.node("Mul", "x", make.node("Div", make.node("ReduceSum", "x", make.ints(2, 3)), shape))


def spread_unevenly(make):
    pooled = make.node("ConvTranspose", make.node("GlobalAveragePool", "x"), make.normal(3, 3, 2, 2))
    return make.node("Add", "x", spread(make, "x", pooled))


def half_reduced(make):
    return make.node("Mul", "x", make.node("ReduceMean", "x", make.ints(2)))


def turned(make):
    """The mean over columns and channels."""
    turned = make.node("Transpose", "x", perm=[0, 2, 3, 1])
    return make.node("Mul", turned, make.node("ReduceMean", turned, make.ints(2, 3)))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (resized_window, "AveragePool .*depends on the place"),
        (counted, "Div .*depends on the size of the picture"),
        (spread_unevenly, "Resize .*spreads more than one number"),
        (half_reduced, "ReduceMean .*sums over the rows or columns"),
        (turned, "ReduceMean .*sums over the rows or columns"),
    ],
)
def test_what_windows_cannot_have_of_such_numbers_is_refused_by_name(build, words):
    _, paths = paths_of(build)
    assert any(re.match(words, text) for text in paths.refused), paths.refused
