"""Labels on their way: a plain file that holds each window by itself, from which results are written in order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from downup.prediction.windows import Window


class WorkFile:
    """A number for each pixel of a picture, window after window.

    It is written and read by place, not mapped: mapped pages count as memory of the process. Windows that were never
    written take no room on the disk.

    Args:
        path: the file; made if it is not there.
        windows: what the picture is cut into.
        dtype: of a number: uint8 or uint16.
    """

    def __init__(self, path: Path, windows: Sequence[Window], dtype: str = "uint8") -> None:
        self.path, self.dtype = path, np.dtype(dtype)
        self._windows = windows
        self._places = [0]
        for window in windows:
            self._places.append(self._places[-1] + _rows(window) * _columns(window) * self.dtype.itemsize)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        os.ftruncate(self._descriptor, self._places[-1])
        # Windows that begin in one row, by that row: results are read row by row.
        self._bands: dict[int, list[int]] = {}
        for number, window in enumerate(windows):
            self._bands.setdefault(window.rows.first, []).append(number)

    @property
    def rows(self) -> int:
        """Of the picture."""
        return max(window.rows.last for window in self._windows)

    @property
    def columns(self) -> int:
        """Of the picture."""
        return max(window.columns.last for window in self._windows)

    def write(self, number: int, values: NDArray[Any]) -> int:
        """Write the kept pixels of a window; returns their checksum.

        Raises:
            OSError: there is no room, or the file cannot be written.
        """
        data = np.ascontiguousarray(values).data.cast("B")
        done = 0
        while done < len(data):
            done += os.pwrite(self._descriptor, data[done:], self._places[number] + done)
        return crc32(data)

    def checksum(self, number: int) -> int:
        """The checksum of what stands in the place of a window."""
        return crc32(self._read(self._places[number], self._places[number + 1] - self._places[number]))

    def read_rows(self, first: int, last: int) -> NDArray[Any]:
        """Rows of the whole picture, [last - first, columns]."""
        found = np.empty((last - first, self.columns), self.dtype)
        for numbers in self._bands.values():
            span = self._windows[numbers[0]].rows
            top, end = max(first, span.first), min(last, span.last)
            if top >= end:
                continue
            for number in numbers:
                columns = self._windows[number].columns
                wide = columns.last - columns.first
                row = wide * self.dtype.itemsize
                place = self._places[number] + (top - span.first) * row
                part = np.frombuffer(self._read(place, (end - top) * row), self.dtype)
                found[top - first : end - first, columns.first : columns.last] = part.reshape(-1, wide)
        return found

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _read(self, place: int, count: int) -> bytes:
        parts, done = [], 0
        while done < count:
            part = os.pread(self._descriptor, count - done, place + done)
            if not part:
                raise OSError(f"{self.path}: ends too early")
            parts.append(part)
            done += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _rows(window: Window) -> int:
    return window.rows.last - window.rows.first


def _columns(window: Window) -> int:
    return window.columns.last - window.columns.first
