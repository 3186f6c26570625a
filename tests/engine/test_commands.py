"""`downup inspect` and `downup bench`."""

from __future__ import annotations

import onnx
import pytest
from typer.testing import CliRunner

from downup.cli import app
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


def test_bench_times_the_engines_that_are_installed(file):
    done = RUNNER.invoke(app, ["bench", file, "--size", "32x32", "--rounds", "2", "--threads", "1"])
    assert done.exit_code == 0, done.output
    for name in ("downup", "ONNX Runtime", "OpenVINO"):
        assert name in done.output


def test_a_size_that_is_none_is_refused(file):
    done = RUNNER.invoke(app, ["inspect", file, "--size", "big"])
    assert done.exit_code == 1
    assert "use rows x columns, such as 480x640" in done.output
