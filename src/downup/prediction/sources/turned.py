"""Pictures that are stored on their side or mirrored, read upright."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from downup.prediction.sources.image import Image

# EXIF's orientation: whether rows and columns change places, then which of the two runs backwards.
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


class TurnedImage:
    """An image as a viewer shows it.

    Args:
        stored: the image as it lies in its file.
        orientation: EXIF's number, 1 to 8.
    """

    def __init__(self, stored: Image, orientation: int) -> None:
        self._stored = stored
        self._is_transposed, self._is_row_flipped, self._is_column_flipped = _TURNS[orientation]
        sizes = (stored.rows, stored.columns)
        self.rows, self.columns = sizes[::-1] if self._is_transposed else sizes
        self.name = stored.name

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """See `Image.read`."""
        if self._is_row_flipped:
            rows = slice(self.rows - rows.stop, self.rows - rows.start)
        if self._is_column_flipped:
            columns = slice(self.columns - columns.stop, self.columns - columns.start)
        read = (
            self._stored.read(columns, rows).swapaxes(0, 1)
            if self._is_transposed
            else self._stored.read(rows, columns)
        )
        read = read[::-1] if self._is_row_flipped else read
        return np.ascontiguousarray(read[:, ::-1] if self._is_column_flipped else read)

    def read_memory(self, rows: int, columns: int) -> int:
        """See `Image.read_memory`: what the stored image takes, and the window before it is turned."""
        inner = (columns, rows) if self._is_transposed else (rows, columns)
        return self._stored.read_memory(*inner) + 3 * rows * columns

    def identity(self) -> dict[str, Any]:
        """See `Image.identity`."""
        return self._stored.identity()

    def close(self) -> None:
        """See `Image.close`."""
        self._stored.close()
