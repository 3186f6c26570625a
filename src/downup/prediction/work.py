"""The folder of what is done of a picture, `.NAME.downup` beside its output: it outlives whatever stops the process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from downup.errors import DataError
from downup.files import move_file
from downup.prediction.budget import ROWS_AT_ONCE
from downup.prediction.manifest import Manifest
from downup.prediction.session import Known
from downup.prediction.sinks import Rows
from downup.prediction.streaming import Values
from downup.prediction.windows import Window
from downup.prediction.work_file import WorkFile

_MANIFEST = "manifest.jsonl"


class Work:
    """Windows that are done, and from what they were made; held by one process at a time.

    A folder in which no window is done is removed when the process lets go of it.

    Args:
        out: the file that is made from it in the end.

    Raises:
        DataError: another process holds it.
        OSError: it cannot be made.
    """

    def __init__(self, out: Path) -> None:
        self.path = work_path(out)
        self._out = out
        self.path.mkdir(parents=True, exist_ok=True)
        self._manifest = Manifest(self.path / _MANIFEST)
        self._files: list[WorkFile] = []
        self._windows: Sequence[Window] = ()

    @property
    def done(self) -> int:
        """How many windows are done."""
        return len(self._manifest.done)

    @property
    def is_finished(self) -> bool:
        """Whether the results are written, and this folder is left as a mark of it."""
        return self._manifest.is_finished and self._out.exists()

    @property
    def window(self) -> int | None:
        """The side of the windows that are done, or None if there are none."""
        about = self._manifest.about
        return None if about is None or not self._is_begun else about["settings"]["window"]

    @property
    def known(self) -> Known:
        """Numbers of the whole picture."""
        return self._manifest.known

    def learn(self, known: Known) -> None:
        """Keep such numbers."""
        self._manifest.learn(known)

    @property
    def _is_begun(self) -> bool:
        return bool(self.done or self.known)

    def start(
        self, about: Mapping[str, Any], windows: Sequence[Window], types: Sequence[str], resume: bool
    ) -> list[int]:
        """Begin, or go on.

        Args:
            about: the model, the picture and the settings, as `Manifest` keeps them.
            windows: all that there are.
            types: of the values of each pixel, uint8 or uint16.
            resume: go on with what is there.

        Returns:
            the numbers of the windows that are still to be done.

        Raises:
            DataError: something is done already, and `resume` is not set or it was made from something else; or there
                is not room enough on the disk.
        """
        if self._is_begun and not resume:
            raise DataError(
                f"{self._out}: {self.done} of {len(windows)} windows are done from a run that was stopped; "
                f"go on with --resume, or remove {self.path} to begin anew"
            )
        if self._is_begun:
            self._manifest.check(about)
        else:
            # Files of their own, in case workers of a run that was stopped still write into the old ones.
            for old in self.path.glob("layer*.bytes"):
                old.unlink()
        self._windows = windows
        if self.is_finished:
            return []
        self._files = [
            WorkFile(self.path / f"layer{layer}.bytes", windows, dtype) for layer, dtype in enumerate(types)
        ]
        if not self._is_begun:
            self._manifest.begin(about)
        todo = [number for number in range(len(windows)) if not self._is_whole(number)]
        for number in todo:
            self._manifest.done.pop(number, None)
        self._check_room(todo)
        return todo

    def write(self, number: int, values: Values) -> None:
        """Keep the values of a window."""
        self._add(number, [file.write(number, part) for file, part in zip(self._files, values, strict=True)])

    def note(self, number: int, checksums: Sequence[int]) -> None:
        """Take note of a window that another process wrote into `layers`.

        Raises:
            DataError: what stands there is something else.
        """
        if list(checksums) != [file.checksum(number) for file in self._files]:
            raise DataError(
                f"{self.path}: window {number} is not what a worker wrote there; the folder must be on a disk that all "
                "machines share"
            )
        self._add(number, checksums)

    @property
    def layers(self) -> tuple[Path, ...]:
        """The files that windows are written into."""
        return tuple(file.path for file in self._files)

    def _add(self, number: int, checksums: Sequence[int]) -> None:
        if self._manifest.add(number, checksums):
            for file in self._files:
                file.sync()
            self._manifest.sync()

    def rows(self, layer: int) -> Rows:
        """The values of a layer, once all windows are done."""
        file = self._files[layer]
        return Rows(file.rows, file.columns, file.read_rows, ROWS_AT_ONCE, file.dtype.name)

    def publish(self, path: Path, write: Callable[[Path], object]) -> None:
        """Let `write(path in this folder)` make a result, and put it at `path` in one step.

        Whenever the process or the machine stops, `path` is the old file or the new one, whole, and nothing else is
        left beside it.
        """
        written = self.path / f"result{path.suffix}"
        if written.is_dir():
            shutil.rmtree(written)
        write(written)
        if path.is_dir():
            # A folder takes the place of an old one in two steps; between them the work is still here.
            old = self.path / f"old{path.suffix}"
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        move_file(written, path)

    def finish(self, leave_mark: bool) -> None:
        """Remove what the results were written from.

        leave_mark: keep the manifest, so that a resumed run over many pictures passes this one over.
        """
        if not leave_mark:
            self.close()
            shutil.rmtree(self.path)
            return
        self._manifest.finish()
        for file in self._files:
            file.close()
            file.path.unlink()
        self._files = []

    def close(self) -> None:
        """Let go of the folder."""
        for file in self._files:
            file.close()
        self._files = []
        self._manifest.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.path.exists():
            return
        is_empty = not self._is_begun
        self.close()
        if is_empty:
            shutil.rmtree(self.path, ignore_errors=True)

    def _is_whole(self, number: int) -> bool:
        noted = self._manifest.done.get(number)
        if noted is None:
            return False
        return noted == [file.checksum(number) for file in self._files]

    def _check_room(self, todo: Sequence[int]) -> None:
        windows = [self._windows[number] for number in todo]
        needed = sum(file.dtype.itemsize for file in self._files) * sum(
            (part.rows.last - part.rows.first) * (part.columns.last - part.columns.first) for part in windows
        )
        free = shutil.disk_usage(self.path).free
        if needed > free:
            raise DataError(
                f"{self._out}: its labels take {needed / 1e6:.4g} MB on the way, but {free / 1e6:.4g} MB are free "
                "on the disk; free some, or choose another place"
            )


def is_begun(out: Path) -> bool:
    """Whether there is any work of an output that is not to be thrown away unasked."""
    manifest = work_path(out) / _MANIFEST
    return manifest.exists() and manifest.read_bytes().count(b"\n") > 1


def work_path(out: Path) -> Path:
    """Where the work of an output lies."""
    return out.with_name(f".{out.name}.downup")
