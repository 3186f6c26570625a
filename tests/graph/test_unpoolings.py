"""Un-poolings that torch's exporters spell as a scatter become un-poolings by the pool's own indices again."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from downup import engine, graph
from downup.errors import DataError
from downup.networks import export_onnx
from engine.windowed import assert_equal_in_windows
from graph.builders import Builder, run_onnx
from graph.test_rules import operators, rewritten
from networks.export.engines import enliven


class Unpooling(nn.Module):
    """Down and up again by torch's own pair, twice, telling the size as networks do that take pictures of any."""

    def __init__(self, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(*pair, 3, padding=1) for pair in pairwise((3, 5, 4, 4, 5, 2)))
        self.pool = nn.MaxPool2d(size, stride, padding, return_indices=True)
        self.unpool = nn.MaxUnpool2d(size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        first = self.layers[0](x)
        x, positions = self.pool(first)
        second = self.layers[1](x)
        x, deeper = self.pool(second)
        x = self.unpool(self.layers[2](x), deeper, second.shape[2:])
        return self.layers[4](self.unpool(self.layers[3](x), positions, first.shape[2:]))


class WithoutSize(nn.Module):
    """Torch un-pools odd pictures to smaller ones, in which its positions lie elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)


def export_plainly(network, path):
    """As torch exports, with nothing of ours."""
    free = torch.export.Dim.DYNAMIC
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(2, 3, 64, 96),), str(path), dynamo=True, verbose=False,
            dynamic_shapes=({0: free, 2: free, 3: free},),
        )  # fmt: skip


def export_ours(network, path):
    export_onnx(network, torch.zeros(2, 3, 64, 96), path)


def assert_unpooled(path, sizes):
    """The scatters are gone, ONNX Runtime finds no bit changed, and the engine's windows are exact."""
    ours = graph.read(path)
    changes = [change.rule for change in graph.rewrite(ours, ["scatter-to-unpool"])]
    assert changes == ["scatter-to-unpool"] * operators(ours).count("MaxUnpool")
    assert changes
    assert not {"ScatterND", "ScatterElements", "Mod", "Sub"} & set(operators(ours))
    model, proto = onnx.load(path), ir.to_proto(ours)
    session = engine.Session(path, threads=1)
    (name,) = (value.name for value in model.graph.input)
    for size in sizes:
        x = np.random.default_rng(size[1]).standard_normal((size[0], 3, *size[1:]), dtype=np.float32)
        (wanted,), (found,) = run_onnx(model, {name: x}), run_onnx(proto, {name: x})
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_allclose(session.run(x), wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())
    assert assert_equal_in_windows(session) > 1


WINDOWS = [(2, 2, 0), (3, 2, 1), (3, 3, 1), (2, 3, 0)]


@pytest.mark.parametrize("export", [export_plainly, export_ours])
def test_scatters_of_exporters_become_unpoolings(export, is_long, tmp_path):
    for window in WINDOWS if is_long else WINDOWS[1:2]:
        export(enliven(Unpooling(*window)), tmp_path / "model.onnx")
        if export is export_ours and window == (2, 2, 0):
            continue  # these are told by taps
        assert_unpooled(tmp_path / "model.onnx", [(2, 40, 56), (1, 37, 43)])


def test_other_images_than_were_pooled_stay_scatters(tmp_path):
    export_plainly(WithoutSize(), tmp_path / "model.onnx")
    assert graph.rewrite(graph.read(tmp_path / "model.onnx"), ["scatter-to-unpool"]) == []
    with pytest.raises(DataError, match="reckons with places in the plane"):
        _ = engine.Session(tmp_path / "model.onnx").halo


def reckoned(build, starts):
    """As an exporter that was taught un-pooling writes it: by places that were reckoned to torch's planes and back."""
    pooled = build.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], outputs=2)
    each = build.node("MaxPool", "x", kernel_shape=[1, 1], strides=[1, 1], outputs=2)
    corner = build.node("Slice", f"{each}:1", build.ints(0, 0), build.ints(1, 1), build.ints(2, 3))
    places = build.node("Add", build.node("Sub", f"{pooled}:1", corner), starts)
    build.node("MaxUnpool", pooled, places, build.node("Shape", "x"), kernel_shape=[2, 2], strides=[2, 2])


@pytest.mark.parametrize(("plane", "rules"), [(64, ["scatter-to-unpool"]), (32, [])])
def test_places_that_were_reckoned_to_planes_and_back_are_the_pools_own(plane, rules):
    build = Builder()
    reckoned(build, build.weight(plane * np.arange(3).reshape(1, 3, 1, 1), np.int64))
    ours, found = rewritten(
        build.model(shape=(1, 3, 8, 8)), "scatter-to-unpool", sizes=[(1, 8, 8)], tolerance=0
    )
    assert found == rules
    assert len(operators(ours)) == (3 if rules else 7)
