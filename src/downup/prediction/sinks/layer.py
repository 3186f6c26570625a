"""What results are written from: a value for each pixel, read from the top to the bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layer:
    """What the values of a result are.

    Attributes:
        name: "labels", or that of the class whose probability it is.
        palette: of labels, 256 times red, green and blue; of probabilities none.
        classes: the names of the classes, by label.
        notes: what is to be said of the result, such as that it is approximate.
    """

    name: str
    palette: bytes | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Rows of a result.

    Attributes:
        rows, columns: its size.
        read: the rows from a first up to a last one, uint8 [rows, columns].
        at_once: rows that are in memory at a time.
    """

    rows: int
    columns: int
    read: Callable[[int, int], NDArray[np.uint8]]
    at_once: int

    def blocks(self, at_once: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """All rows, so many at a time."""
        step = at_once or self.at_once
        for first in range(0, self.rows, step):
            yield self.read(first, min(first + step, self.rows))

    def every(self, step: int) -> Rows:
        """Every `step`-th row and column, from the first: a smaller copy by nearest pixels."""
        rows, columns = -(-self.rows // step), -(-self.columns // step)

        def read(first: int, last: int) -> NDArray[np.uint8]:
            found = np.empty((last - first, columns), np.uint8)
            for row in range(first, last):
                found[row - first] = self.read(row * step, row * step + 1)[0, ::step]
            return found

        return Rows(rows, columns, read, self.at_once)
