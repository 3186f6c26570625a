"""What prediction asks of whatever runs a network: the one door between pictures and a framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Session(Protocol):
    """Labels a picture of any size.

    Windows that begin at multiples of `stride`, and end at them or where the picture ends, give the labels of the
    whole picture for what lies at least `halo` pixels inside of them, from and to multiples of `stride`.
    """

    @property
    def stride(self) -> int:
        """Windows, and what is kept of them, begin and end at multiples of this many pixels; at least 1."""
        ...

    @property
    def halo(self) -> int:
        """How much further than what is kept of it a window reads on each side, in pixels; at least 0."""
        ...

    @property
    def multiple(self) -> int:
        """Only pictures of a multiple of so many rows and columns may be cut into windows; at least 1."""
        ...

    @property
    def caveat(self) -> str:
        """What is to be said of labels that are made in windows; "" where they are those of the whole picture."""
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
