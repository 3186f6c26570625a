"""What labelling asks of a picture of any size: windows of it, and how to know it again."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Image(Protocol):
    """A picture that is read in parts, upright and in the channels that a network sees."""

    @property
    def name(self) -> str:
        """What messages call it: its file."""
        ...

    @property
    def rows(self) -> int:
        """Its height in pixels."""
        ...

    @property
    def columns(self) -> int:
        """Its width in pixels."""
        ...

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """The pixels of a window, uint8 [rows, columns, channels].

        Raises:
            DataError: this part of the file is damaged or cannot be read.
        """
        ...

    def read_memory(self, rows: int, columns: int) -> int:
        """Bytes that reading windows of at most such a size takes, beyond the window that is returned."""
        ...

    def identity(self) -> dict[str, Any]:
        """What tells this picture from another or a changed one, as JSON can hold it."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
