"""A network whose file tells nothing of itself: how far its labels see is found in the graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from downup import engine, graph
from downup.errors import DataError
from engine.models import model_of, session_of
from engine.random_graphs import Maker
from engine.test_labels import network


def test_windows_that_see_the_halo_have_the_labels_of_the_whole():
    model, _ = network("convolution")
    session = session_of(model, 1)
    assert session.class_count == 4
    assert session.stride % 2 == 0
    # 3x3 at stride 2, doubled by a tent of two samples, 3x3.
    assert 2 <= session.halo <= 8
    x = np.random.default_rng(31).standard_normal((1, 3, 96, 80)).astype(np.float32)
    whole, start, halo = session.labels(x)[0], 2 * session.stride, session.halo
    window = session.labels(np.ascontiguousarray(x[:, :, start : start + 40, start : start + 40]))[0]
    # What is kept of a window lies at multiples of the stride, too.
    first = -(-halo // session.stride) * session.stride
    inside = slice(first, (40 - halo) // session.stride * session.stride)
    assert inside.stop > inside.start
    np.testing.assert_array_equal(window[inside, inside], whole[start:, start:][inside, inside])


def test_labels_of_fewer_places_than_pixels_have_no_halo():
    make = Maker(32)
    make.shapes["x"] = (1, 3, 16, 16)
    out = make.convolution("x", channels=4, kernel=(3, 3), stride=2)
    session = session_of(
        model_of(make.nodes, {"x": np.zeros((1, 3, 16, 16), np.float32)}, [out], make.weights)
    )
    with pytest.raises(DataError, match="one sample for 2 x 2 pixels; labels need one for each"):
        _ = session.halo
    with pytest.raises(DataError, match="one sample for 2 x 2 pixels"):
        _ = session.stride


def test_what_sees_the_whole_picture_is_named():
    make = Maker(33)
    make.shapes["x"] = (1, 3, 16, 16)
    pooled = make.add("GlobalAveragePool", ["x"], (1, 3, 1, 1))
    out = make.add("Mul", ["x", make.convolution(pooled, channels=3, kernel=(1, 1))], (1, 3, 16, 16))
    model = model_of(make.nodes, {"x": np.zeros((1, 3, 16, 16), np.float32)}, [out], make.weights)
    session = session_of(model)
    with pytest.raises(
        DataError, match=r"on the whole picture: GlobalAveragePool.* or go on with --approximate"
    ):
        _ = session.halo
    assert session.caveat == ""
    approximate = engine.Session(graph.prepare(ir.from_proto(model)), 1, approximate=True)
    assert (approximate.halo, approximate.stride) == (0, 1)
    assert "depend on the whole picture: GlobalAveragePool" in approximate.caveat
