"""Training: from folders of pictures and masks to a run folder with a trained network.

`RunFolder`, `open_run` and `TrainConfig` need no torch; the rest is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from downup.training.config import TrainConfig
from downup.training.progress import TableProgress, TrainProgress
from downup.training.run_folder import RunFolder, open_run

if TYPE_CHECKING:
    from downup.training.export import export_run
    from downup.training.loop import TrainResult, train
    from downup.training.session import load_session

__all__ = [
    "RunFolder",
    "TableProgress",
    "TrainConfig",
    "TrainProgress",
    "TrainResult",
    "export_run",
    "load_session",
    "open_run",
    "train",
]

_NEEDS_TORCH = {"export_run": "export", "TrainResult": "loop", "train": "loop", "load_session": "session"}


def __getattr__(name: str) -> Any:
    if name in _NEEDS_TORCH:
        return getattr(importlib.import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
