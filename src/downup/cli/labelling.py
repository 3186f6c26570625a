"""What labels the pictures of a command: the engine on a CPU, torch on a GPU."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from downup.cli.console import need_torch
from downup.errors import ArgumentError

if TYPE_CHECKING:
    from downup.data import ClassInfo
    from downup.prediction import Session
    from downup.training import RunFolder


@dataclass(frozen=True)
class Labeller:
    """A session, and what is known of it.

    Attributes:
        session: labels windows.
        classes: their names and colours.
        channels: what the session sees of a picture.
        file: what it was made from.
    """

    session: Session
    classes: tuple[ClassInfo, ...]
    channels: Literal["rgb", "grey"]
    file: Path


def labeller_of(
    path: Path, command: str, device: str, threads: int | None, approximate: bool = False
) -> Labeller:
    """A trained network, from the folder of its run or from an ONNX file that downup wrote.

    Raises:
        ArgumentError: `device` is not there, or cannot run an ONNX file.
        DataError: the files cannot be used, or the ONNX file tells nothing of classes and pixels.
        MissingPackageError: torch is needed, and not installed.
    """
    if path.is_file():
        from downup.engine import Session as EngineSession

        if device not in ("auto", "cpu"):
            raise ArgumentError(
                f"device is {device!r}, but {path} runs on the CPU; give the run folder instead"
            )
        made = EngineSession(path, threads, approximate=approximate)
        return Labeller(made, made.about.classes, made.about.channels, path)
    from downup.training.results import read_classes
    from downup.training.run_folder import open_run

    folder = open_run(path)
    session = session_of(folder, command, device, threads)
    from downup.engine import Session as EngineSession

    file = folder.model if isinstance(session, EngineSession) else folder.best
    return Labeller(session, read_classes(folder), folder.read_config()["channels"], file)


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
