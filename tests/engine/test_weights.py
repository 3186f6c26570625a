"""Weights are let go once they are packed, and read again where a size of picture needs them packed otherwise."""

from __future__ import annotations

import gc
import os

import numpy as np
import onnx
import pytest
from onnx import helper

from downup import graph
from downup.engine import Session
from downup.errors import DataError
from engine.models import model_of, run_peer

EVEN, ODD = (1, 8, 12, 20), (1, 8, 11, 15)


@pytest.fixture
def network():
    """A convolution that pads even and odd sides differently, so that each needs weights of its own."""
    weight = np.random.default_rng(3).standard_normal((16, 8, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])]
    return model_of(nodes, {"x": np.zeros(EVEN, np.float32)}, ["y"], {"w": weight})


def picture(shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def check(session, network, shape):
    x = picture(shape)
    np.testing.assert_allclose(session.run(x), run_peer(network, {"x": x})["y"], rtol=1e-4, atol=1e-4)


def held(session):
    """Bytes of the weights that a session's network has in memory."""
    arrays = [value.const_value.numpy() for value in session._model.graph.initializers.values()]
    return sum(array.nbytes for array in arrays if 0 not in array.strides)


@pytest.mark.parametrize("fate", ["deleted", "replaced"])
def test_weights_are_read_again_from_a_file_whose_name_is_gone(fate, network, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(network, path)
    session = Session(path, threads=1)
    assert held(session) == 16 * 8 * 9 * 4
    check(session, network, EVEN)
    assert held(session) == 0
    if fate == "deleted":
        path.unlink()
    else:
        (tmp_path / "other").write_bytes(b"something else")
        (tmp_path / "other").rename(path)
    for shape in (ODD, EVEN, (2, 8, 13, 13)):
        check(session, network, shape)
        assert held(session) == 0
    x = picture(ODD)
    np.testing.assert_array_equal(session.labels(x), session.run(x).argmax(1))


def test_a_file_that_was_written_into_is_refused(network, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(network, path)
    session = Session(path, threads=1)
    check(session, network, EVEN)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match=r"model.onnx: was written into since it was loaded") as caught:
        session.run(picture(ODD))
    assert str(caught.value).count("model.onnx") == 1
    # What was packed still runs.
    check(session, network, EVEN)


def test_weights_beside_the_file_stay(network, tmp_path):
    path = tmp_path / "model.onnx"
    outside = onnx.ModelProto()
    outside.CopyFrom(network)
    onnx.save(outside, path, save_as_external_data=True, size_threshold=0, location="weights")
    session = Session(path, threads=1)
    check(session, network, EVEN)
    (tmp_path / "weights").unlink()
    check(session, network, ODD)


def test_weights_of_a_model_that_was_given_stay(network, tmp_path):
    onnx.save(network, tmp_path / "model.onnx")
    model = graph.read(tmp_path / "model.onnx")
    session = Session(model, threads=1)
    check(session, network, EVEN)
    (weight,) = model.graph.initializers.values()
    assert np.isfinite(weight.const_value.numpy()).all()
    check(session, network, ODD)


def test_a_session_that_is_gone_leaves_no_file_open(network, tmp_path):
    onnx.save(network, tmp_path / "model.onnx")
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    session = Session(tmp_path / "model.onnx", threads=1)
    check(session, network, EVEN)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del session
    assert len(os.listdir("/proc/self/fd")) == before
