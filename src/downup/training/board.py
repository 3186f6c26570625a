"""The optional log for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from downup.errors import MissingPackageError


class Board:
    """Writes one point per epoch and curve; without a folder it writes nothing."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    @classmethod
    @contextmanager
    def opened(cls, folder: Path | None) -> Iterator[Board]:
        """Open the log in `folder`, or one that writes nothing where that is None.

        Raises:
            MissingPackageError: tensorboard is not installed.
        """
        if folder is None:
            yield cls(None)
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPackageError(
                "tensorboard is not installed; install it with: pip install 'downup[tensorboard]'"
            ) from error
        with SummaryWriter(folder) as writer:
            yield cls(writer)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add the row of one epoch."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name not in ("epoch", "step"):
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()
