"""What loading a network takes along, and what it leaves where it is."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
from onnx import helper

from engine.models import model_of, run_peer


def padded_network():
    """A convolution over a picture that is padded to even sizes, as exporters write that: (model, weights of it)."""
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "axes"], ["plane"], axis=0),
        helper.make_node("Mod", ["plane", "two"], ["rest"]),
        helper.make_node("Sub", ["two", "rest"], ["missing"]),
        helper.make_node("Div", ["missing", "one"], ["same"]),
        helper.make_node("Slice", ["same", "zero", "two"], ["sides"]),
        helper.make_node("Concat", ["none", "sides"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads"], ["larger"]),
        helper.make_node("Conv", ["larger", "weight"], ["y"]),
    ]
    numbers = np.random.default_rng(2)
    weights = {
        "axes": np.array([2, 3]),
        "two": np.array([2]),
        "one": np.array([1]),
        "zero": np.array([0]),
        "none": np.zeros(6, dtype=np.int64),
        "weight": numbers.standard_normal((5, 3, 3, 3), dtype=np.float32),
    }
    x = numbers.standard_normal((1, 3, 9, 12), dtype=np.float32)
    return model_of(nodes, {"x": x}, ["y"], weights), x


def test_a_network_is_loaded_without_algebra_pictures_or_the_reference(tmp_path):
    model, x = padded_network()
    onnx.save(model, tmp_path / "network.onnx")
    np.save(tmp_path / "x.npy", x)
    program = (
        "import sys, numpy, downup.engine\n"
        f"session = downup.engine.Session({str(tmp_path / 'network.onnx')!r}, 1)\n"
        f"numpy.save({str(tmp_path / 'y.npy')!r}, session.run(numpy.load({str(tmp_path / 'x.npy')!r})))\n"
        "print([name for name in ('sympy.core', 'PIL', 'onnx.reference', 'torch') if name in sys.modules])\n"
        # What was put off is there for whoever asks for it.
        "import onnx_ir, sympy\n"
        "print(onnx_ir.SymbolicDim('n') + 1, sympy.Integer(2) + 2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "n + 1 4"]
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), run_peer(model, {"x": x})["y"], rtol=1e-4, atol=1e-5
    )
