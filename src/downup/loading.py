"""`downup.load`: a network from wherever it is, ready to run on the engine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from downup.engine import Precision, Session
from downup.errors import ArgumentError, DataError

_MODEL = "model.onnx"


def load(
    source: Any, *, example: Any = None, threads: int | None = None, precision: Precision = "fast"
) -> Session:
    """Make a network ready to run.

    Args:
        source: an ONNX file of any framework; the folder of a training run; or a torch module.
        example: of a torch module, a tensor [batch, channels, height, width] that it takes, each size at least 2.
        threads: how many threads a run may use; None for all that this process may run on.
        precision: "fast"; "exact" for convolutions that multiply every weight with its sample, and take longer; or
            "bfloat16" for products in bfloat16 where the processor is faster at them: see `downup.engine.Session`.

    Raises:
        ArgumentError: `source` is a module without an example, or something else altogether.
        DataError: the file or folder cannot be used.
    """
    if isinstance(source, (str, os.PathLike)):
        return Session(_file_of(Path(source)), threads, precision=precision)
    if not hasattr(source, "state_dict"):
        raise ArgumentError(
            f"source is a {type(source).__name__}; give an ONNX file, the folder of a run, or a torch module"
        )
    if example is None:
        raise ArgumentError("source is a torch module but example is None; give a tensor that it takes")
    from downup.networks import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _MODEL
        export_onnx(source, example, path)
        return Session(path, threads, precision=precision)


def _file_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    if not (path / _MODEL).is_file():
        raise DataError(f"{path}: has no {_MODEL}; write it with: downup export {path} -o {path / _MODEL}")
    return path / _MODEL
