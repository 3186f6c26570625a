"""What prediction asks of whatever runs a network: the one door between pictures and a framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Known = Mapping[str, NDArray[np.float32]]
"""Numbers of a whole picture, by name."""

Parts = Mapping[str, Any]
"""What some windows add to such numbers; can be sent to other processes."""


class InWindows(Protocol):
    """Works on windows of a picture.

    Windows that begin at multiples of `stride`, and end at them or where the picture ends, give what the whole picture gives
    for what lies at least `halo` pixels inside of them, from and to multiples of `stride`.
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

    def label_memory(self, rows: int, columns: int) -> int:
        """Bytes that work on a picture of such a size takes beyond those of the picture and of what the process holds."""
        ...


class Gatherer(InWindows, Protocol):
    """A pass over a picture, in which numbers of the whole are gathered from windows."""

    def gather(self, pixels: NDArray[np.uint8], rows: slice, columns: slice) -> Parts:
        """What is kept of a window adds: some rows and columns of its pixels, with a stop of None where the picture ends."""
        ...

    def add(self, total: Parts, parts: Parts) -> Parts:
        """Both together; in whatever order windows are added, the end is the same."""
        ...

    def finish(self, total: Parts) -> Known:
        """The numbers, once all windows were added."""
        ...


class Gathering(Protocol):
    """The passes over a picture that its labels in windows ask for."""

    @property
    def passes(self) -> int:
        """How many there are."""
        ...

    @property
    def nodes(self) -> tuple[str, ...]:
        """What asks for them, by name."""
        ...

    def done(self, known: Known) -> int:
        """How many gave what is known."""
        ...

    def gatherer(self, known: Known) -> Gatherer:
        """The next one."""
        ...

    def reserve(self, rows: int, columns: int) -> None:
        """Have the memory ready that labels of such a window take: the passes before them then work in it, too."""
        ...

    def knowing(self, known: Known) -> Session:
        """A session for the windows of a picture of which all is known; before, it tells how they lie."""
        ...


class Session(InWindows, Protocol):
    """Labels a picture of any size."""

    @property
    def gathering(self) -> Gathering | None:
        """What must be gathered of a picture before its windows are labelled; None of most networks.

        Where there is any, the session itself can label the whole of a picture only, and has no halo.
        """
        ...

    @property
    def caveat(self) -> str:
        """What is to be said of labels that are made in windows; "" where they are those of the whole picture."""
        ...

    @property
    def class_count(self) -> int:
        """How many classes there are; labels are smaller."""
        ...

    def labels(self, picture: NDArray[np.uint8]) -> NDArray[Any]:
        """The class of each pixel of uint8 [rows, columns, channels]: [rows, columns], uint16 of more than 256 classes."""
        ...

    def probabilities(
        self, picture: NDArray[np.uint8], classes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """How sure the network is of each of `classes` at each pixel, from 0 to 1: [rows, columns, class]; None for all."""
        ...

    def labels_and_probabilities(
        self, picture: NDArray[np.uint8], classes: Sequence[int] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Both at once, in little more time than one of them."""
        ...
