"""How windows must lie: by hand, for small networks."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from downup import graph
from downup.errors import DataError
from graph.builders import Builder


def margins_of(build, tiles=None):
    model = graph.prepare(ir.from_proto(build.model()))
    rows, columns = graph.find_margins(model, graph.find_paths(model), tiles or {})
    assert rows == columns
    return rows


def test_a_convolution_reads_its_window():
    build = Builder()
    build.conv("x", 3, 2, 5, pads=[2] * 4)
    assert margins_of(build) == graph.Margin(period=1, before=2, after=2)


def test_a_block_of_a_pool_is_read_as_a_whole():
    build = Builder()
    low = build.conv(build.node("MaxPool", "x", kernel_shape=[4, 4], strides=[4, 4]), 3, 2, pads=[1] * 4)
    build.node("Resize", low, "", build.weight([1, 1, 4, 4]), mode="nearest")
    # Windows keep whole blocks of four, and read the neighbours of the first and the last.
    assert margins_of(build) == graph.Margin(period=4, before=4, after=4)


def test_tiles_are_read_as_a_whole():
    build = Builder()
    out = build.conv("x", 3, 2, pads=[1] * 4)
    assert margins_of(build, {out: [(graph.Tiles(4),) * 2]}) == graph.Margin(period=4, before=1, after=1)
    # Output 0 is in the tile from -3 to 0, and output 3 in that from 1 to 4.
    shifted = margins_of(build, {out: [(graph.Tiles(4, first=1),) * 2]})
    assert shifted == graph.Margin(period=4, before=4, after=2)


def test_a_tile_of_a_map_at_half_the_size_is_twice_as_wide_in_pixels():
    build = Builder()
    low = build.node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])
    out = build.conv(low, 3, 2, pads=[1] * 4)
    build.node("Resize", out, "", build.weight([1, 1, 2, 2]), mode="nearest")
    assert margins_of(build, {out: [(graph.Tiles(4),) * 2]}) == graph.Margin(period=8, before=2, after=2)


def test_what_a_map_lacks_at_its_end_is_read_more():
    """The last four pixels of the picture are cut off and zero: those before the end of a window must not be."""
    build = Builder()
    cut = build.node("Slice", "x", build.ints(0, 0), build.ints(-4, -4), build.ints(2, 3))
    build.node("Pad", cut, build.ints(0, 0, 0, 0, 0, 0, 4, 4))
    assert margins_of(build) == graph.Margin(period=1, before=0, after=4)


def test_what_an_edge_reflects_is_in_the_window():
    build = Builder()
    x = build.node("Pad", "x", build.ints(0, 0, 0, 0, 0, 0, 5, 5), mode="reflect")
    build.conv(x, 3, 2, 6, pads=[0] * 4)
    # Reads five pixels on: at the picture's end those are the five before.
    assert margins_of(build) == graph.Margin(period=1, before=5, after=10)


def test_windows_of_a_network_that_knows_half_of_its_picture_are_refused():
    """The left half is kept and the rest is zero: no window knows where the middle of the picture is."""
    build = Builder()
    size = build.node("Slice", build.node("Shape", "x"), build.ints(2), build.ints(4))
    half = build.node("Div", size, build.ints(2, 2))
    cut = build.node("Slice", "x", build.ints(0, 0), half, build.ints(2, 3))
    rest = build.node("Concat", build.ints(0, 0, 0, 0, 0, 0), build.node("Sub", size, half), axis=0)
    build.node("Pad", cut, rest)
    with pytest.raises(
        DataError, match=r"Slice 'n_slice3' .gives \d+ and \d+ samples for pictures that are 1 pixels apart"
    ):
        margins_of(build)


def test_pictures_of_one_size_are_not_cut():
    build = Builder()
    build.conv("x", 3, 2, pads=[1] * 4)
    model = graph.prepare(ir.from_proto(build.model(shape=("n", 3, 32, 48))))
    with pytest.raises(
        DataError, match="input 'x' is fixed to 32 x 48 pixels, so that no larger picture can be cut"
    ):
        graph.find_margins(model, graph.find_paths(model), {})
