"""How large windows may be, so that labelling keeps to a number of bytes."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from downup.errors import ArgumentError, DataError
from downup.prediction.session import InWindows
from downup.prediction.sources import Image
from downup.prediction.windows import Window, windows_of

DEFAULT_MEMORY = 2 << 30
# Pixels kept along an axis of a window at most. Twice as many would read little less twice, but more is lost when
# a machine stops, and progress comes in larger steps.
_LARGEST_WINDOW = 4096
# What Python, its threads and the writing of results take as they run.
_RESERVE = 48 << 20

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_bytes(text: str) -> int:
    """A number of bytes as people write it.

    Raises:
        ArgumentError: it is none.

    >>> parse_bytes("2GB"), parse_bytes("1.5 GiB"), parse_bytes("800m")
    (2000000000, 1610612736, 800000000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    if found is None or (found[3] and not found[2]):
        raise ArgumentError(f"memory is {text!r}; use a number with a unit, such as 2GB, 800MB or 1.5GiB")
    units = _BINARY_UNITS if found[3] else _UNITS
    return int(float(found[1]) * units[found[2]])


def memory_now() -> int:
    """Bytes that this process holds at the moment."""
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        return int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    # Elsewhere the most that it ever held, in bytes on macOS.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def choose_window(
    session: InWindows,
    image: Image,
    *,
    memory: int,
    held: int,
    extra: int = 0,
    whole: InWindows | None = None,
) -> int:
    """The side of windows as large as memory allows, as `split` takes it.

    Args:
        session: what labels a window.
        image: the picture.
        memory: bytes that the whole process may hold while it labels.
        held: bytes of these that it held before the session worked on anything: the blocks of memory that a session has
            worked in stay with it, and are counted as what its next window takes.
        extra: bytes for each pixel that results beside the labels take.
        whole: what takes the picture as a whole where that fits, however large it is, since windows are dear.

    Raises:
        ArgumentError: not even the smallest windows fit; the message tells what would be enough.
        DataError: the session can label this picture only as a whole, and that does not fit.
    """

    def needed(window: int, worker: InWindows = session) -> int:
        taken = window_memory(worker, image, windows_of(worker, image.rows, image.columns, window), extra)
        return held + _RESERVE + taken

    side = max(image.rows, image.columns)
    if (whole or side <= _LARGEST_WINDOW) and needed(side, whole or session) <= memory:
        return side
    try:
        return _largest(session, image.name, needed, memory, min(_LARGEST_WINDOW, side))
    except DataError:
        if needed(side, whole or session) <= memory:
            return side
        raise


def _largest(session: InWindows, name: str, needed: Callable[[int], int], memory: int, most: int) -> int:
    """The largest multiple of the session's stride that fits and is hardly more than `most`."""
    stride = session.stride
    low, high = 1, max(1, most // stride)
    if needed(high * stride) <= memory:
        return high * stride
    if (least := needed(stride)) > memory:
        raise ArgumentError(
            f"memory is {memory / 1e6:.0f} MB, but labelling {name} takes {least / 1e6:.0f} MB even in the "
            f"smallest windows, of {stride} pixels with {session.halo} more on each side; "
            f"use --memory {-(-least // 10**6)}MB or more"
        )
    while low < high - 1:
        middle = (low + high) // 2
        if needed(middle * stride) <= memory:
            low = middle
        else:
            high = middle
    return low * stride


def window_memory(session: InWindows, image: Image, windows: list[Window], extra: int = 0) -> int:
    """Bytes that labelling a picture in such windows takes beyond what the process holds."""
    rows = max(window.rows.stop - window.rows.start for window in windows)
    columns = max(window.columns.stop - window.columns.start for window in windows)
    channels = 3
    # Pixels of this window and the next; labels of this one and of the one before, cut out and as bytes.
    pixels = rows * columns * (2 * channels + 4 + extra)
    # Results are written from whole rows of the picture, some at a time.
    finishing = 4 * image.columns * ROWS_AT_ONCE
    return max(session.label_memory(rows, columns) + image.read_memory(rows, columns) + pixels, finishing)


ROWS_AT_ONCE = 512
"""Rows of the whole picture that results are written from at a time."""
