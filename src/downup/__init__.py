"""downup: down-sampling and up-sampling for semantic segmentation.

The names below are loaded on first use, so that what needs no torch works where torch is not installed.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_SUBMODULES = frozenset(
    {
        "catalog",
        "data",
        "engine",
        "errors",
        "evaluation",
        "geometry",
        "graph",
        "keras",
        "kernels",
        "networks",
        "nn",
        "ops",
        "prediction",
        "taps",
        "training",
    }
)

# Names of the package itself, and where they are.
_NAMES = {"load": "downup.loading", "Taps": "downup.taps", "reuse_memory": "downup.kernels"}

__all__ = ["__version__", *sorted(_SUBMODULES), *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_NAMES})
