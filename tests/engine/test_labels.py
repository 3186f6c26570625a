"""Labels of pictures: the number of the largest score, also where scores are resized last."""

from __future__ import annotations

import tracemalloc

import numpy as np
import onnx
import pytest

import downup
from downup import engine
from downup.data import ClassInfo, NetworkMetadata
from downup.errors import ArgumentError, DataError
from engine.models import model_of, session_of
from engine.random_graphs import Maker

ABOUT = NetworkMetadata(
    classes=tuple(ClassInfo(f"class {i}", (i, i, i)) for i in range(4)),
    channels="rgb",
    mean=(0.5, 0.4, 0.3),
    deviation=(0.2, 0.25, 0.3),
    stride=2,
    halo=9,
)


def network(last="resize"):
    """Half the size and back: by a resize, or with a convolution after it."""
    make = Maker(11)
    x = np.random.default_rng(12).standard_normal((1, 3, 26, 34)).astype(np.float32)
    make.shapes["x"] = x.shape
    low = make.activation(make.convolution("x", channels=16, kernel=(3, 3), stride=2))
    low = make.convolution(low, channels=4, kernel=(1, 1))
    scales = make.numbers([1, 1, 2, 2], np.float32)
    out = make.add("Resize", [low, "", scales], (1, 4, 26, 34), mode="linear")
    if last != "resize":
        out = make.convolution(out, channels=4, kernel=(3, 3))
    return model_of(make.nodes, {"x": x}, [out], make.weights), x


def with_metadata(model, path):
    for key, value in ABOUT.to_properties().items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return engine.Session(path, threads=1)


@pytest.mark.parametrize("last", ["resize", "convolution"])
def test_labels_are_those_of_the_scores(last):
    model, x = network(last)
    session = session_of(model, 2)
    labels = session.labels(x)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, session.run(x).argmax(axis=1))
    assert len(np.unique(labels)) > 1


def test_more_than_256_classes_have_labels_of_two_bytes():
    make = Maker(3)
    make.shapes["x"] = (1, 3, 9, 14)
    out = make.convolution("x", channels=300, kernel=(1, 1))
    session = session_of(
        model_of(make.nodes, {"x": np.zeros((1, 3, 9, 14), np.float32)}, [out], make.weights)
    )
    x = np.random.default_rng(4).standard_normal((1, 3, 9, 14)).astype(np.float32)
    labels, shares = session.labels_and_probabilities(x, [7, 299])
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, session.run(x).argmax(axis=1))
    np.testing.assert_array_equal(labels, session.labels(x))
    np.testing.assert_array_equal(shares, session.probabilities(x, [7, 299]))
    assert labels.max() > 256


def test_a_picture_is_normalised_as_its_file_tells(tmp_path):
    model, _ = network()
    session = with_metadata(model, tmp_path / "model.onnx")
    picture = np.random.default_rng(13).integers(0, 256, (26, 34, 3)).astype(np.uint8)
    x = (picture / 255 - np.array(ABOUT.mean)) / np.array(ABOUT.deviation)
    scores = session.run(x.astype(np.float32).transpose(2, 0, 1)[None])
    labels = session.labels(picture)
    assert labels.shape == (26, 34)
    assert (labels == scores[0].argmax(axis=0)).mean() > 0.999
    assert session.class_count == 4


def test_what_a_file_claims_of_its_reach_is_not_believed(tmp_path):
    session = with_metadata(network("convolution")[0], tmp_path / "model.onnx")
    assert (session.about.stride, session.about.halo) == (2, 9)
    plain = session_of(network("convolution")[0])
    assert (session.stride, session.halo) == (plain.stride, plain.halo)
    assert session.halo < 9


def test_a_file_without_metadata_labels_arrays_but_no_pictures():
    model, x = network()
    session = session_of(model)
    assert session.labels(x).shape == (1, 26, 34)
    with pytest.raises(DataError, match="says neither classes nor normalisation"):
        session.labels(np.zeros((8, 8, 3), np.uint8))


def test_a_picture_of_other_channels_is_refused(tmp_path):
    model, _ = network()
    session = with_metadata(model, tmp_path / "model.onnx")
    with pytest.raises(ArgumentError, match=r"picture has shape \[8, 8, 1\]; use uint8 \[rows, columns, 3\]"):
        session.labels(np.zeros((8, 8, 1), np.uint8))


def test_load_takes_a_file_a_run_or_a_module(tmp_path):
    import torch

    model, x = network()
    onnx.save(model, tmp_path / "model.onnx")
    expected = downup.load(tmp_path / "model.onnx", threads=1).run(x)
    np.testing.assert_array_equal(downup.load(tmp_path).run(x), expected)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU())
    given = torch.from_numpy(x)
    found = downup.load(module, example=torch.zeros(2, 3, 16, 16)).run(x)
    np.testing.assert_allclose(found, module(given).detach().numpy(), atol=1e-5)
    empty = tmp_path / "run"
    empty.mkdir()
    for wrong, message in (
        (empty, "has no model.onnx; write it with: downup export"),
        (7, "source is a int"),
        (module, "example is None"),
    ):
        with pytest.raises((ArgumentError, DataError), match=message):
            downup.load(wrong)


@pytest.mark.parametrize("last", ["resize", "convolution"])
def test_probabilities_are_the_softmax_of_the_scores(last, tmp_path):
    model, x = network(last)
    session = session_of(model, 2)
    scores = session.run(x).astype(np.float64)
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = session.probabilities(x, [2, 0])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[:, [2, 0]].transpose(0, 2, 3, 1), rtol=1e-5)
    np.testing.assert_allclose(session.probabilities(x).sum(axis=3), 1, rtol=1e-5)
    picture = np.zeros((26, 34, 3), np.uint8)
    assert with_metadata(model, tmp_path / "model.onnx").probabilities(picture, [1]).shape == (26, 34, 1)
    with pytest.raises(ArgumentError, match="classes names 4; use numbers from 0 to 3"):
        session.probabilities(x, [1, 4])


@pytest.mark.parametrize("last", ["Softmax", "Sigmoid"])
def test_a_network_that_ends_in_probabilities_is_believed(last):
    model, x = network("convolution")
    model.graph.node.append(
        onnx.helper.make_node(
            last, [model.graph.output[0].name], ["sure"], **({"axis": 1} if last == "Softmax" else {})
        )
    )
    model.graph.output[0].name = "sure"
    session = session_of(model)
    np.testing.assert_array_equal(session.probabilities(x), session.run(x).transpose(0, 2, 3, 1))


@pytest.mark.parametrize("last", ["resize", "convolution"])
def test_the_memory_of_labels_is_told_before_it_is_taken(last, tmp_path):
    model, _ = network(last)
    session = with_metadata(model, tmp_path / "model.onnx")
    picture = np.zeros((900, 700, 3), np.uint8)
    tracemalloc.start()
    told = session.label_memory(900, 700)
    assert tracemalloc.get_traced_memory()[1] < told / 10
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    session.labels(picture)
    taken = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert 0.9 * told < taken < told + (4 << 20)


def test_plans_of_one_size_take_the_same_memory_however_often_they_are_made():
    session = session_of(network("convolution")[0])
    assert len({session.label_memory(900, 700) for _ in range(12)}) == 1


def test_plans_of_all_sizes_share_one_block():
    model, _ = network("convolution")
    session = session_of(model)
    sizes = [(300, 400), (600, 400), (600, 800), (300, 800), (200, 200)]
    pictures = [np.zeros((1, 3, *size), np.float32) for size in sizes]
    largest = max(session.label_memory(*size) for size in sizes)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for picture in (*pictures, *pictures):
        session.labels(picture)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert kept < largest + (4 << 20)
