"""Samples that lie uncompressed in a file, row by row: read where a window needs them, never mapped.

Mapped pages would count as memory of the process until the system takes them back; what is read here does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downup.data.problems import FileError


class RowsFile:
    """Rows of samples at known places of a file.

    Args:
        path: the file.
        row_at: where each row begins, in bytes.
        columns: pixels of a row.
        samples: of a pixel, side by side.
        dtype: of a sample, with its byte order.
    """

    def __init__(
        self, path: Path, row_at: Callable[[int], int], columns: int, samples: int, dtype: np.dtype[Any]
    ) -> None:
        self._path, self._row_at = path, row_at
        self._columns, self._samples, self._dtype = columns, samples, dtype
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The samples of a window, [rows, columns, samples], in the byte order of this machine."""
        shape = (rows.stop - rows.start, columns.stop - columns.start, self._samples)
        found = np.empty(shape, self._dtype)
        pixel = self._samples * self._dtype.itemsize
        for row, into in zip(range(rows.start, rows.stop), found, strict=True):
            self._fill(memoryview(into).cast("B"), self._row_at(row) + columns.start * pixel)
        return found.astype(self._dtype.newbyteorder("="), copy=False)

    def _fill(self, into: memoryview, at: int) -> None:
        done = 0
        while done < len(into):
            count = os.preadv(self._descriptor, [into[done:]], at + done)
            if count == 0:
                raise FileError(self._path, "ends before its pixels do", "copy or export it again")
            done += count

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
