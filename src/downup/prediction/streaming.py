"""Windows through a session: the next one is read, and the one before written, while one is labelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from downup.errors import DataError
from downup.prediction.session import Session
from downup.prediction.sources import Image
from downup.prediction.windows import Window

Made = TypeVar("Made")

Values = tuple[NDArray[Any], ...]
"""What a window gives: its labels, uint8 or uint16, then the probabilities of chosen classes; only pixels that are kept."""


def read_window(image: Image, window: Window) -> NDArray[np.uint8]:
    """The pixels that a window is labelled from, uint8 [rows, columns, channels].

    Raises:
        DataError: they cannot be read.
    """
    rows, columns = window.rows, window.columns
    try:
        return image.read(slice(rows.start, rows.stop), slice(columns.start, columns.stop))
    except OSError as error:
        raise DataError(f"{image.name}: cannot be read ({error.strerror or error})") from error


def window_values(
    session: Session,
    pixels: NDArray[np.uint8],
    window: Window,
    chosen: Sequence[int] = (),
    label_type: str = "uint8",
) -> Values:
    """Label a window.

    Args:
        session: what labels it.
        pixels: what was read, uint8 [rows, columns, channels].
        window: which part of it is kept.
        chosen: classes whose probability is wanted, by number.
        label_type: uint8 or uint16.

    Returns:
        the labels, and for each chosen class its probability, 255 for 1: [rows, columns] each, probabilities uint8.
    """
    kept = (window.rows.kept_of_read, window.columns.kept_of_read)
    if not chosen:
        return (np.ascontiguousarray(session.labels(pixels)[kept], label_type),)
    labels, probabilities = session.labels_and_probabilities(pixels, chosen)
    shares = np.rint(probabilities[kept] * 255).astype(np.uint8)
    return (
        np.ascontiguousarray(labels[kept], label_type),
        *(np.ascontiguousarray(plane) for plane in np.moveaxis(shares, 2, 0)),
    )


def stream(
    image: Image,
    windows: Sequence[Window],
    todo: Sequence[int],
    work: Callable[[NDArray[np.uint8], Window], Made],
    keep: Callable[[int, Made], None],
) -> None:
    """Work on windows one after the other.

    Args:
        image: where they are read.
        windows: all of a picture.
        todo: the numbers of those to work on.
        work: makes something of the pixels that were read of a window.
        keep: takes the number of a window and what was made of it; called on a thread of its own.
    """

    def read(number: int) -> NDArray[np.uint8]:
        return read_window(image, windows[number])

    # The largest first: memory is then as large as it will ever be, or its lack shows at once. A session that meets
    # ever larger windows may leave holes that it cannot fill.
    todo = sorted(todo, key=lambda number: -_read_pixels(windows[number]))[:1] + list(todo)
    todo = list(dict.fromkeys(todo))
    # The first error of reader, session or writer ends all three: leaving the block waits for the two threads.
    with ThreadPoolExecutor(1, "reader") as reader, ThreadPoolExecutor(1, "writer") as writer:
        ahead = reader.submit(read, todo[0]) if todo else None
        behind: Future[None] | None = None
        for place, number in enumerate(todo, start=1):
            assert ahead is not None
            pixels = ahead.result()
            ahead = reader.submit(read, todo[place]) if place < len(todo) else None
            made = work(pixels, windows[number])
            if behind is not None:
                behind.result()
            behind = writer.submit(keep, number, made)
        if behind is not None:
            behind.result()


def _read_pixels(window: Window) -> int:
    return (window.rows.stop - window.rows.start) * (window.columns.stop - window.columns.start)
