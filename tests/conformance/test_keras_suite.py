"""The 2-D layer tests that the keras package ships, with downup's operators in torch's place and layers in Keras's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from conformance.keras_in_place import LAYERS, OPERATORS

TESTS = Path(__file__).resolve().parent.parent
PACKAGE = Path(keras.__file__).parent / "src"
FILES = (
    "layers/pooling/max_pooling_test.py",
    "layers/pooling/average_pooling_test.py",
    "layers/pooling/adaptive_pooling2d_test.py",
    "layers/convolutional/conv_test.py",
    "layers/convolutional/conv_transpose_test.py",
    "layers/reshaping/up_sampling2d_test.py",
)
# What else reaches the operators: Keras's functions, which its layers call. (Those on images ask for TensorFlow.)
FUNCTIONS = ("ops/nn_test.py",)
# Kernels that computed, by the beginning of their names. Convolution runs on torch's; some pools there are of whole numbers.
KERNELS = ("du_max_pool2d", "du_resample2d")


@pytest.mark.parametrize("what", ["operators", "layers"])
def test_the_tests_that_keras_ships_pass_in_our_place(
    what: str, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    counts = tmp_path / "counts.json"
    environment = {
        **os.environ,
        "KERAS_BACKEND": "torch",
        "DOWNUP_IN_PLACE": what,
        "DOWNUP_COUNTS": str(counts),
        "PYTHONPATH": str(TESTS),
    }
    files = [str(PACKAGE / name) for name in (*FILES, *(FUNCTIONS if what == "operators" else ()))]
    options = [
        "-q",
        "-p",
        "conformance.keras_in_place",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
    ]
    # In the tests of functions, those of the operators that are replaced.
    chosen = "2d or 2D or UpSampling or max_pool or average_pool or conv or resize"
    command = [sys.executable, "-m", "pytest", *options, "-k", chosen, *files]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    summary = done.stdout.strip().splitlines()[-1]
    passed = re.search(r"(\d+) passed", summary)
    assert passed is not None
    assert int(passed[1]) >= 100, summary

    counted = json.loads(counts.read_text(encoding="utf-8"))
    tell(
        f"Keras's tests with downup's {what}: {summary}\n  {counted['calls']}\n  native: {counted['native']}"
    )
    for name in OPERATORS if what == "operators" else LAYERS:
        # Keras tests its adaptive pools, of which there are no layers here, no more often.
        least = 4 if name.startswith("adaptive") else 15
        assert counted["calls"].get(name, 0) >= least, f"{name}: {counted['calls']}"
    for name in KERNELS:
        assert sum(n for kernel, n in counted["native"].items() if kernel.startswith(name)) >= 10, counted[
            "native"
        ]
