"""Architectures of other libraries, exported as these do, at several opsets, give what they give in ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import version_converter
from torch import nn

from downup.engine import Session
from downup.networks import export_onnx
from engine.windowed import assert_equal_in_windows, assert_refused_by_name
from networks.export.engines import enliven, run_onnxruntime
from networks_elsewhere import architectures as a

OPEN, FIXED = ((2, 64, 96), (1, 80, 64)), ((1, 96, 96),)
ODD = (1, 67, 75)


WITHOUT_SUMMARY = (a.UNetPlusPlus, a.DenseNet)

# The newest that torch's older exporter writes.
TRACED_OPSET = 20


def export_traced(network: nn.Module, path: Path, opset: int, has_open_sizes: bool) -> None:
    """As torch's older exporter does, which most files that are about were written by."""
    axes = {"x": {0: "batch", 2: "rows", 3: "columns"}} if has_open_sizes else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(1, 3, 96, 96),), str(path), dynamo=False,
            opset_version=min(opset, TRACED_OPSET),
            input_names=["x"], output_names=["y"], dynamic_axes=axes,
        )  # fmt: skip
    if opset > TRACED_OPSET:
        onnx.save(version_converter.convert_version(onnx.load(path), opset), path)


@pytest.mark.parametrize(
    ("make", "opset", "sizes"),
    [
        (a.UNetPlusPlus, 11, OPEN),
        (a.UNetPlusPlus, 17, OPEN),
        (a.PAN, 13, (*OPEN, ODD)),
        (a.UPerNet, 11, FIXED),
        (a.UPerNet, 21, FIXED),
        (a.BiSeNet, 11, (*OPEN, ODD)),
        (a.BiSeNet, 20, (*OPEN, ODD)),
        (a.DDRNet, 13, (*OPEN, ODD)),
        (a.DDRNet, 21, (*OPEN, ODD)),
        (a.DenseNet, 11, (*OPEN, ODD)),
        (a.DenseNet, 17, (*OPEN, ODD)),
    ],
    ids=lambda value: getattr(value, "__name__", None) or (str(value) if isinstance(value, int) else ""),
)
def test_a_traced_network_gives_the_same_scores(
    make: Callable[[], nn.Module], opset: int, sizes: tuple[tuple[int, int, int], ...], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    export_traced(enliven(make()), path, opset, sizes is not FIXED)
    session = check(path, sizes)
    if make in WITHOUT_SUMMARY:
        assert_equal_in_windows(session)
    else:
        assert_refused_by_name(session)


def test_pools_whose_other_way_is_unpooled_give_the_same_scores(tmp_path: Path) -> None:
    export_onnx(enliven(a.ENet()), torch.zeros(2, 3, 64, 64), tmp_path / "model.onnx")
    # Of other sizes its scores are smaller than the picture.
    assert_equal_in_windows(check(tmp_path / "model.onnx", OPEN), sizes=((320, 36), (8, 320)))


def check(path: Path, sizes: tuple[tuple[int, int, int], ...]) -> Session:
    session = Session(path, threads=2)
    for batch, rows, columns in sizes:
        pictures = np.random.default_rng(rows).standard_normal((batch, 3, rows, columns), dtype=np.float32)
        wanted, scores = run_onnxruntime(path, pictures), session.run(pictures)
        assert scores.shape == wanted.shape
        assert np.abs(scores - wanted).max() <= 2e-5 * np.abs(wanted).max()
        np.testing.assert_array_equal(session.labels(pictures), scores.argmax(1))
    return session
