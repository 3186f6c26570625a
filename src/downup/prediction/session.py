"""What prediction asks of whatever runs a network: the one door between pictures and a framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Session(Protocol):
    """Labels a picture of any size.

    The label of a pixel depends on the pixels at most `halo` away, and on its position only by the remainder
    after division by `stride`: so windows that start at multiples of `stride`, and see `halo` pixels more on
    every side, get the labels that the whole picture gets.
    """

    @property
    def stride(self) -> int:
        """Shift a picture by a multiple of this many pixels and its labels shift with it; at least 1."""
        ...

    @property
    def halo(self) -> int:
        """How far the label of a pixel sees, in pixels; at least 0."""
        ...

    @property
    def class_count(self) -> int:
        """How many classes there are; labels are smaller."""
        ...

    def labels(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class of each pixel of uint8 [rows, columns, channels], as uint8 [rows, columns]."""
        ...

    def probabilities(
        self, picture: NDArray[np.uint8], classes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """How sure the network is of each of `classes` at each pixel, from 0 to 1: [rows, columns, class]; None for all."""
        ...

    def label_memory(self, rows: int, columns: int) -> int:
        """Bytes that labelling a picture of such a size takes beyond those of the picture and of what the process holds."""
        ...
