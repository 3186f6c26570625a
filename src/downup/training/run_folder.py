"""The folder of one training run: what is in it, and how each file gets there whole or not at all."""

from __future__ import annotations

import csv
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from downup.errors import DataError
from downup.files import replace_file

CONFIG_VERSION = 1


class RunFolder:
    """Paths of a run, and reading and writing of those files that need no torch.

    ```
    config.json       options, network, normalisation, what it was trained on
    classes.json      name and colour of each class
    history.csv       one row per epoch
    last.safetensors  everything needed to go on
    best.safetensors  the weights with the best validation mIoU
    model.onnx        the same weights for any engine, with classes, colours and normalisation
    metrics.json      scores of the best weights on the validation pictures
    report.html       curves, scores, best and worst pictures
    overlays/         validation pictures with their labels laid over them
    ```
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.classes = self.path / "classes.json"
        self.history = self.path / "history.csv"
        self.metrics = self.path / "metrics.json"
        self.last = self.path / "last.safetensors"
        self.best = self.path / "best.safetensors"
        self.model = self.path / "model.onnx"
        self.report = self.path / "report.html"
        self.overlays = self.path / "overlays"
        self.tensorboard = self.path / "tensorboard"

    def has_run(self) -> bool:
        """Whether there is anything to lose here: a run that came to its first checkpoint."""
        return self.last.exists()

    def create(self) -> None:
        """Make the folder, with its parents."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot make the run folder ({error.strerror}); choose another"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process, so that two trainings never write into one run.

        The lock is on the open folder itself: it leaves no file behind and ends with the process, however
        that ends.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DataError(
                    f"{self.path}: another process is training in this folder; wait for it or choose another"
                ) from error
            yield
        finally:
            os.close(descriptor)

    def write_config(self, values: Mapping[str, Any]) -> None:
        """Write config.json."""
        write_json(self.config, values)

    def read_config(self) -> dict[str, Any]:
        """Read config.json, refusing what this version does not understand."""
        values = read_json(self.config)
        if not isinstance(values, dict) or values.get("version") != CONFIG_VERSION:
            version = values.get("version") if isinstance(values, dict) else None
            raise DataError(
                f"{self.config}: version is {version!r}, this downup reads version {CONFIG_VERSION}; "
                "train again or use the downup that wrote it"
            )
        return values

    def write_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write history.csv with the columns of the first row; numbers keep all their digits."""
        lines = (
            [] if not rows else [list(rows[0]), *([_plain(value) for value in row.values()] for row in rows)]
        )

        def write(path: Path) -> None:
            with path.open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(lines)

        replace_file(self.history, write)

    def read_history(self) -> list[dict[str, float]]:
        """Read history.csv; every value becomes a float, an empty one nan."""
        if not self.history.exists():
            return []
        with self.history.open(newline="") as file:
            rows = csv.DictReader(file)
            return [
                {name: float(value) if value else math.nan for name, value in row.items()} for row in rows
            ]


def open_run(path: str | os.PathLike[str]) -> RunFolder:
    """Return the run at `path`, which must hold a trained network.

    Raises:
        DataError: nothing is there, or training has not yet reached its first result.
    """
    run = RunFolder(path)
    if not run.path.is_dir():
        raise DataError(f"{run.path}: no such run folder; make one with: downup train DATA -o {run.path}")
    if not run.config.exists():
        raise DataError(
            f"{run.path}: not a run folder (no config.json); make one with: downup train DATA -o RUN"
        )
    if not run.best.exists():
        raise DataError(
            f"{run.path}: no trained weights yet (no best.safetensors); "
            f"finish its first epoch with: downup train DATA -o {run.path} --resume"
        )
    return run


def write_json(path: Path, values: Any) -> None:
    """Write indented JSON in one step; nan and infinity become null, which every reader understands."""
    text = json.dumps(_finite(values), indent=2, ensure_ascii=False) + "\n"
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:
    """Read JSON, naming the file when it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; is {path.parent} a run folder?") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); restore it or train again") from error


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return value
