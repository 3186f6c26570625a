"""What runs in each process of a cluster: it reads, labels and writes windows by their number."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from downup import kernels
from downup.errors import DownupError
from downup.prediction.passes import gather_window
from downup.prediction.session import Known, Parts
from downup.prediction.sources import open_image
from downup.prediction.streaming import read_window, window_values
from downup.prediction.windows import Window
from downup.prediction.work_file import WorkFile


@dataclass(frozen=True)
class Task:
    """All that a worker has to know to label any window of a picture; the paths are the same on every machine.

    Attributes:
        model: an ONNX file that `downup.engine.Session` runs.
        picture: a file as `open_image` takes it.
        layers: the files that windows are written into, labels first.
        label_type: of labels, uint8 or uint16.
        windows: all of the picture, by their number.
        channels: what the network sees, "rgb" or "grey".
        chosen: classes whose probability is written too, by number.
        memory: bytes that a format may take that can only be decoded whole.
        threads: of the engine.
        level: of OME-Zarr, which level is labelled.
        known: numbers of the whole picture, where its windows ask for them.
        is_gathering: whether more of these are gathered; else windows are labelled.
        isa: the instruction set, by default the one in use here: labels are the same bits for each of them only.
    """

    model: Path
    picture: Path
    layers: tuple[Path, ...]
    windows: Sequence[Window]
    channels: str
    chosen: tuple[int, ...]
    memory: int
    threads: int
    level: int = 0
    label_type: str = "uint8"
    known: Known | None = None
    is_gathering: bool = False
    isa: str = field(default_factory=kernels.active_isa)


@dataclass(frozen=True)
class Result:
    """What became of a window: the checksums of what was written, or why there are none.

    Attributes:
        checksums: one for each layer; empty if it failed.
        parts: what was gathered instead.
        error: a sentence, or "".
        errno: of the system, where it said why; else 0.
    """

    checksums: tuple[int, ...] = ()
    parts: Parts | None = None
    error: str = ""
    errno: int = 0


class Worker:
    """Labels windows of one picture.

    Some calls run at a time, on threads of their own: while one labels, the next reads, and the one before writes.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._reading, self._labelling = Lock(), Lock()

    def open(self) -> str:
        """Open the files; returns a sentence about what cannot be used, or ""."""
        from downup.engine import Session

        task = self._task
        try:
            if task.isa not in kernels.available_isas():
                return (
                    f"has no {task.isa}, which the others label with; set DOWNUP_ISA to one that all machines have, "
                    f"such as {kernels.available_isas()[0]}"
                )
            kernels.select_isa(task.isa)
            session = Session(task.model, task.threads)
            gathering = session.gathering
            self._session = session
            if gathering is not None and task.known is not None:
                if task.is_gathering:
                    self._gatherer = gathering.gatherer(task.known)
                else:
                    self._session = gathering.knowing(task.known)
            self._image = open_image(task.picture, task.channels, task.memory, task.level)
            missing = [path for path in task.layers if not path.exists()]
            if missing:
                return f"{missing[0]} is not there"
            types = (task.label_type, *["uint8"] * len(task.chosen))
            self._layers = [
                WorkFile(path, task.windows, dtype) for path, dtype in zip(task.layers, types, strict=False)
            ]
        except (DownupError, OSError) as error:
            return str(error)
        return ""

    def where(self) -> tuple[str, int]:
        """The machine and the process."""
        return socket.gethostname(), os.getpid()

    def label(self, number: int) -> Result:
        """Read, label and write a window."""
        task = self._task
        window = task.windows[number]
        try:
            with self._reading:
                pixels = read_window(self._image, window)
            if task.is_gathering:
                size = self._image.rows, self._image.columns
                with self._labelling:
                    return Result(parts=gather_window(self._gatherer, size, pixels, window))
            with self._labelling:
                values = window_values(self._session, pixels, window, task.chosen, task.label_type)
            checksums = [layer.write(number, part) for layer, part in zip(self._layers, values, strict=True)]
            for layer in self._layers:
                layer.sync()  # so that the other machines of a shared disk see it
        except OSError as error:
            return Result(error=error.strerror or str(error), errno=error.errno or 0)
        except (DownupError, MemoryError) as error:
            return Result(error=str(error) or "not enough memory")
        return Result(tuple(checksums))
