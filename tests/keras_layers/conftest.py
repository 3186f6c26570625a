"""What the JAX backend gives for every case: a backend is chosen once per process, so another one computes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).resolve().parent.parent
# Small images, each of another size: what XLA compiles for them need not be fast.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    "PYTHONPATH": str(TESTS),
}


def run_python(backend: str, *arguments: str) -> None:
    """Run Python in a process of its own, on a backend of Keras."""
    environment = {**os.environ, **ENVIRONMENT, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def on_jax(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """Arrays by "case/data format/name"."""
    target = tmp_path_factory.mktemp("jax") / "arrays.npz"
    long = ["--long"] if request.config.getoption("--long") else []
    run_python("jax", "-m", "keras_layers.on_jax", str(target), *long)
    with np.load(target) as arrays:
        return dict(arrays)
