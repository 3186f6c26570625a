"""What labels the pictures of a command: the engine on a CPU, torch on a GPU."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from downup.cli.console import need_torch

if TYPE_CHECKING:
    from downup.prediction import Session
    from downup.training import RunFolder


def session_of(folder: RunFolder, command: str, device: str, threads: int | None) -> Session:
    """A run's network, ready to label.

    Raises:
        ArgumentError: `device` is not there.
        DataError: the run's files do not belong together.
        MissingPackageError: the run has no model.onnx, or is wanted on a GPU, and torch is not installed.
    """
    if importlib.util.find_spec("torch") is not None and device != "cpu":
        from downup.training.plan import resolve_device

        device = resolve_device(device)
    if device in ("auto", "cpu") and folder.model.is_file():
        from downup.engine import Session as EngineSession

        return EngineSession(folder.model, threads)
    need_torch(command)
    from downup.training import load_session

    return load_session(folder, device=device, threads=threads)
