"""Passes over a picture that go before its labels, where these ask for numbers of the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from downup.prediction.session import Gatherer, Gathering, Known, Parts
from downup.prediction.sources import Image
from downup.prediction.streaming import stream
from downup.prediction.windows import Window, windows_of


@dataclass(frozen=True)
class Pass:
    """One of them.

    Attributes:
        number: from 1.
        count: all passes, that of the labels among them.
        gatherer: what is gathered.
        known: what the passes before it gave.
        windows: of the picture.
    """

    number: int
    count: int
    gatherer: Gatherer
    known: Known
    windows: list[Window]


def gather(
    gathering: Gathering,
    size: tuple[int, int],
    window_for: Callable[[Gatherer], int],
    run: Callable[[Pass, Callable[[int, Parts], None]], None],
    known: Known | None = None,
    note: Callable[[Known], None] = lambda _: None,
) -> dict[str, NDArray[np.float32]]:
    """The numbers of the whole picture that labels ask for.

    Args:
        gathering: the passes.
        size: rows and columns of the picture.
        window_for: the side of the windows of a pass.
        run: gathers the windows of a pass, in any order, and hands on the number and the parts of each.
        known: what an earlier run found.
        note: takes all that is known, after each pass.

    Raises:
        DataError: the picture cannot be read, or its windows have not the numbers of the whole.
    """
    found = dict(known or {})
    for number in range(gathering.done(found), gathering.passes):
        gatherer = gathering.gatherer(found)
        windows = windows_of(gatherer, *size, window_for(gatherer))
        total: Parts = {}

        def add(_: int, parts: Parts, gatherer: Gatherer = gatherer) -> None:
            nonlocal total
            total = gatherer.add(total, parts)

        run(Pass(number + 1, gathering.passes + 1, gatherer, found, windows), add)
        found |= gatherer.finish(total)
        note(found)
    return found


def gather_window(
    gatherer: Gatherer, size: tuple[int, int], pixels: NDArray[np.uint8], window: Window
) -> Parts:
    """What a window adds to the numbers of a picture of some rows and columns."""
    rows, columns = (
        slice(span.kept_of_read.start, None if span.last == length else span.kept_of_read.stop)
        for span, length in zip((window.rows, window.columns), size, strict=True)
    )
    return gatherer.gather(pixels, rows, columns)


def gather_image(
    gathering: Gathering, image: Image, window_for: Callable[[Gatherer], int]
) -> Mapping[str, NDArray[np.float32]]:
    """The same in this process, from an image."""
    size = image.rows, image.columns

    def run(item: Pass, add: Callable[[int, Parts], None]) -> None:
        stream(
            image, item.windows, range(len(item.windows)), partial(gather_window, item.gatherer, size), add
        )

    return gather(gathering, size, window_for, run)
