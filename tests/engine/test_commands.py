"""`downup inspect` and `downup bench`."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from onnx import helper
from typer.testing import CliRunner

from downup.cli import app
from downup.data import ClassInfo
from downup.networks import NetworkConfig, build
from downup.training.export import write_model
from engine.models import model_of
from engine.random_graphs import Maker
from engine.test_labels import network

RUNNER = CliRunner()


@pytest.fixture
def file(tmp_path):
    model, _ = network("convolution")
    onnx.save(model, tmp_path / "model.onnx")
    return str(tmp_path / "model.onnx")


def test_inspect_lists_the_steps_and_their_times(file):
    done = RUNNER.invoke(app, ["inspect", file, "--size", "32x48", "--time", "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert "1x3x32x48" in done.output
    assert "multiply-adds" in done.output
    assert "share" in done.output
    assert "least ms" in done.output
    assert re.search(
        r"ms on 1 threads, \d+% of what they allow: [\d,]+ billion multiply-adds a second", done.output
    )
    # Four pixels back for one phase of the doubling, three ahead for the other.
    reach = "at most 8 x 8 pixels; a sample for every 1 x 1, the first centred on -1/2, -1/2; shifts with the picture "
    reach += "by multiples of 2 x 2"
    assert reach in done.output


def test_inspect_tells_how_windows_must_lie(file):
    done = RUNNER.invoke(app, ["inspect", file, "--size", "32x32"])
    said = " ".join(done.output.split())
    assert "windows with the bits of the whole begin and end at multiples of" in said
    assert "of what they keep" not in said
    assert "behind what they keep" in said


def test_inspect_shows_the_exact_algorithms(tmp_path):
    make = Maker(4)
    make.shapes["x"] = (1, 3, 32, 32)
    y = make.convolution(make.convolution("x", channels=16, kernel=(3, 3)), channels=16, kernel=(3, 3))
    file = str(tmp_path / "model.onnx")
    onnx.save(model_of(make.nodes, {"x": np.zeros((1, 3, 32, 32), np.float32)}, [y], make.weights), file)
    shown = {}
    for precision in ("fast", "exact"):
        done = RUNNER.invoke(app, ["inspect", file, "--size", "32x32", "--precision", precision])
        assert done.exit_code == 0, done.output
        shown[precision] = done.output
    assert "winograd" in shown["fast"]
    assert "winograd" not in shown["exact"]
    done = RUNNER.invoke(app, ["inspect", file, "--precision", "best"])
    assert done.exit_code == 2
    assert "'best' is not one of 'fast', 'exact', 'bfloat16'" in " ".join(
        done.output.replace("│", " ").split()
    )


def test_inspect_tells_what_keeps_a_network_from_being_shifted(tmp_path):
    pooled = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    onnx.save(model_of([pooled], {"x": np.zeros((1, 3, 8, 8), np.float32)}, ["y"]), tmp_path / "model.onnx")
    done = RUNNER.invoke(app, ["inspect", str(tmp_path / "model.onnx"), "--size", "8x8"])
    assert done.exit_code == 0, done.output
    assert "Reach: the output depends on the whole picture: GlobalAveragePool 'y'" in done.output


def test_bench_times_the_engines_that_are_installed(file):
    done = RUNNER.invoke(app, ["bench", file, "--size", "32x32", "--rounds", "2", "--threads", "1"])
    assert done.exit_code == 0, done.output
    for name in ("downup", "ONNX Runtime", "OpenVINO"):
        assert name in done.output


def test_bench_times_torch_on_the_network_that_a_file_names(tmp_path):
    config = NetworkConfig(model="unet", classes=3, width=0.01)
    write_model(
        build(config),
        tmp_path / "model.onnx",
        classes=tuple(ClassInfo(f"class {i}", (i, i, i)) for i in range(3)),
        channels="rgb",
        normalization=([0.5] * 3, [0.2] * 3),
    )
    done = RUNNER.invoke(app, ["bench", str(tmp_path / "model.onnx"), "--size", "32x32", "--rounds", "1"])
    assert done.exit_code == 0, done.output
    assert "│ torch" in done.output


def test_a_size_that_is_none_is_refused(file):
    done = RUNNER.invoke(app, ["inspect", file, "--size", "big"])
    assert done.exit_code == 1
    assert "use rows x columns, such as 480x640" in done.output
