"""What the JAX backend gives for every case: a backend is chosen once per process, so another one computes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def on_jax(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """Arrays by "case/data format/name"."""
    target = tmp_path_factory.mktemp("jax") / "arrays.npz"
    long = ["--long"] if request.config.getoption("--long") else []
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "keras_layers.on_jax", str(target), *long]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(target) as arrays:
        return dict(arrays)
