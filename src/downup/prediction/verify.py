"""Labels computed again, at random places and with more around them than windows read: are they the same?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downup.data.problems import FileError
from downup.errors import ArgumentError, DataError
from downup.prediction.passes import gather_image
from downup.prediction.session import Session
from downup.prediction.sources import Image, open_label_file

Labels = Callable[[slice, slice], NDArray[Any]]
"""Labels of a part of a picture: of some rows and columns."""

_NAMED = 10
_KEPT = 256
_GATHERED = 1024


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        windows: how many places were computed again.
        pixels: how many pixels that were.
        different: how many of them have another label.
        first: the row, the column, the label in the file and the one found, of some that differ.
    """

    windows: int
    pixels: int
    different: int
    first: tuple[tuple[int, int, int, int], ...]


@contextmanager
def open_labels(path: Path, rows: int, columns: int) -> Iterator[Labels]:
    """Labels that `downup predict` wrote for a picture of so many rows and columns.

    Raises:
        ArgumentError: the file's name tells no format of labels.
        DataError: the file cannot be read, or holds no labels of such a picture.
    """
    with closing(open_label_file(path)) as file:
        _check_size(path, (file.rows, file.columns), (rows, columns))
        yield lambda rows, columns: file.samples(rows, columns)[:, :, 0]


def _check_size(path: Path, labels: tuple[int, ...], picture: tuple[int, int]) -> None:
    if labels != picture:
        sizes = [" x ".join(map(str, size)) for size in (labels, picture)]
        what = f"holds {sizes[0]} labels, but the picture has {sizes[1]} pixels"
        raise FileError(path, what, "give the labels of this picture")


def verify_labels(
    session: Session,
    image: Image,
    labels: Labels,
    *,
    windows: int = 20,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Verified:
    """Compute labels again at random places and compare them.

    Each place is at most 256 pixels a side; around it is read twice the session's halo and one stride more, so that other
    pixels lie at the edges than when the picture was labelled.

    Args:
        session: of the network that made the labels, with the same precision, on the same instruction set.
        image: the picture.
        labels: those in question.
        windows: how many places, at least 1.
        seed: chooses the places.
        progress: called after each with (places done, places, "").

    Raises:
        ArgumentError: `windows` is below 1.
        DataError: the picture cannot be read, or has no windows that are exact.
    """
    if windows < 1:
        raise ArgumentError(f"windows is {windows}; use at least 1")
    if session.gathering is not None:
        # What the labels were made of is found anew, in windows of another size perhaps.
        known = gather_image(session.gathering, image, lambda gatherer: max(gatherer.stride, _GATHERED))
        session = session.gathering.knowing(known)
    random = np.random.default_rng(seed)
    pixels = different = 0
    first: list[tuple[int, int, int, int]] = []
    for number in range(windows):
        rows, read_rows = _place(random, image.rows, session)
        columns, read_columns = _place(random, image.columns, session)
        found = session.labels(image.read(read_rows, read_columns))[
            rows.start - read_rows.start : rows.stop - read_rows.start,
            columns.start - read_columns.start : columns.stop - read_columns.start,
        ]
        written = labels(rows, columns)
        wrong = np.argwhere(found != written)
        pixels, different = pixels + found.size, different + len(wrong)
        first += [
            (rows.start + int(y), columns.start + int(x), int(written[y, x]), int(found[y, x]))
            for y, x in wrong[: _NAMED - len(first)]
        ]
        if progress is not None:
            progress(number + 1, windows, "")
    return Verified(windows, pixels, different, tuple(first))


def _place(random: np.random.Generator, length: int, session: Session) -> tuple[slice, slice]:
    """What is compared along an axis, and what is read for it."""
    stride, around = session.stride, 2 * session.halo + session.stride
    if length % session.multiple:
        raise DataError(
            f"the picture has a side of {length} pixels; windows of this network are exact only where it is a multiple of "
            f"{session.multiple}"
        )
    side = max(1, _KEPT // stride) * stride
    # From half a place outside on either side, moved in: the borders of the picture are seen often.
    last = max(0, -(-(length - side) // stride)) * stride
    start = min(max(0, int(random.integers(-side // 2, length - side // 2)) // stride * stride), last)
    stop = min(start + side, length)
    begin = max(0, start - around) // stride * stride
    end = min(length, -(-(stop + around) // stride) * stride)
    return slice(start, stop), slice(begin, end)
