"""A plugin of pytest, for Keras's own tests: downup's operators in place of torch's, or downup's layers in place of Keras's.

Which of the two says DOWNUP_IN_PLACE, "operators" or "layers". How often each was called, and how often a kernel of the
native library ran, is written to the file DOWNUP_COUNTS.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras.src.backend.torch.image
import keras.src.backend.torch.nn
import keras.src.layers
import pytest

import downup.keras
from downup import kernels, ops

CALLS: Counter[str] = Counter()
NATIVE: Counter[str] = Counter()

# Operators by the names that torch.nn.functional has for them.
OPERATORS = (
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool2d",
    "conv2d",
    "conv_transpose2d",
    "interpolate",
    "max_pool2d",
)
LAYERS = ("AveragePooling2D", "Conv2D", "Conv2DTranspose", "MaxPooling2D", "UpSampling2D")


def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    # With its signature, which Keras reads.
    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        CALLS[name] += 1
        return function(*arguments, **options)

    return call


class InPlace:
    """A library, some of whose functions are others."""

    def __init__(self, library: Any, functions: dict[str, Callable[..., Any]]) -> None:
        self._library = library
        for name, function in functions.items():
            setattr(self, name, counted(name, function))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


def counted_kernel(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        NATIVE[name] += 1
        return function(*arguments)

    return call


def count_kernels() -> None:
    """Those that compute on images, wherever a module has bound them."""
    names = [name for name in dir(kernels.lib) if name.startswith(("du_max_", "du_resample2d", "du_pixel_"))]
    functions = {name: getattr(kernels.lib, name) for name in names}
    modules = [module for name, module in sys.modules.items() if name.startswith("downup.")]
    for module in modules:
        for bound, value in list(vars(module).items()):
            for name, function in functions.items():
                if value is function:
                    setattr(module, bound, counted_kernel(name, function))


def replace_operators() -> None:
    functions = {name: getattr(ops, name) for name in OPERATORS}
    nn, image = keras.src.backend.torch.nn, keras.src.backend.torch.image
    nn.tnn = InPlace(nn.tnn, functions)
    image.F = InPlace(image.F, functions)


def replace_layers() -> None:
    for name in LAYERS:
        ours = getattr(downup.keras, name)
        ours.call = counted(name, ours.call)
        setattr(keras.src.layers, name, ours)
        setattr(keras.layers, name, ours)


def pytest_configure(config: pytest.Config) -> None:
    # The marks that Keras's own configuration, which is not shipped, would name.
    config.addinivalue_line("markers", "requires_trainable_backend: of backends with gradients")
    count_kernels()
    {"operators": replace_operators, "layers": replace_layers}[os.environ["DOWNUP_IN_PLACE"]]()


def pytest_sessionfinish() -> None:
    counts = {"calls": dict(sorted(CALLS.items())), "native": dict(sorted(NATIVE.items()))}
    Path(os.environ["DOWNUP_COUNTS"]).write_text(json.dumps(counts), encoding="utf-8")
