"""What results are written from: a value for each pixel, read from the top to the bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downup.data.colors import Color


@dataclass(frozen=True)
class Layer:
    """What the values of a result are.

    Attributes:
        name: "labels", or that of the class whose probability it is.
        palette: of labels in bytes, 256 times red, green and blue; else none.
        classes: the names of the classes, by label.
        colors: theirs.
        notes: what is to be said of the result, such as that it is approximate.
    """

    name: str
    palette: bytes | None = None
    classes: tuple[str, ...] = ()
    colors: tuple[Color, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Rows of a result.

    Attributes:
        rows, columns: its size.
        read: the rows from a first up to a last one, [rows, columns].
        at_once: rows that are in memory at a time.
        label_type: of the values, uint8 or uint16.
    """

    rows: int
    columns: int
    read: Callable[[int, int], NDArray[Any]]
    at_once: int
    label_type: str = "uint8"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return np.dtype(self.label_type)

    def blocks(self, at_once: int | None = None) -> Iterator[NDArray[Any]]:
        """All rows, so many at a time."""
        step = at_once or self.at_once
        for first in range(0, self.rows, step):
            yield self.read(first, min(first + step, self.rows))

    def every(self, step: int) -> Rows:
        """Every `step`-th row and column, from the first: a smaller copy by nearest pixels."""
        rows, columns = -(-self.rows // step), -(-self.columns // step)

        def read(first: int, last: int) -> NDArray[Any]:
            found = np.empty((last - first, columns), self.dtype)
            for row in range(first, last):
                found[row - first] = self.read(row * step, row * step + 1)[0, ::step]
            return found

        return Rows(rows, columns, read, self.at_once, self.label_type)
