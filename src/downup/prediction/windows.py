"""Splits a picture into windows whose labels, put together, are those of the whole picture."""

from __future__ import annotations

from dataclasses import dataclass

from downup.errors import ArgumentError, DataError
from downup.prediction.session import InWindows


@dataclass(frozen=True)
class Span:
    """A window along one axis: pixels `start` to `stop` are read, of which `first` to `last` are kept.

    The ends `stop` and `last` are exclusive.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def kept_of_read(self) -> slice:
        """Where the kept pixels lie among those read."""
        return slice(self.first - self.start, self.last - self.start)


@dataclass(frozen=True)
class Window:
    """A window of a picture: one span of its rows, one of its columns."""

    rows: Span
    columns: Span


def split(in_rows: int, in_columns: int, *, window: int, halo: int, stride: int) -> list[Window]:
    """Cut a picture into windows, row by row; each pixel is kept by exactly one.

    Args:
        in_rows: height of the picture, at least 1.
        in_columns: width of the picture, at least 1.
        window: at most so many pixels are kept along an axis, at least 1; rounded down to a multiple of
            `stride`, or up to `stride`. An axis that is no longer than a window with its halo is not cut.
        halo: pixels that are read on each side of those kept, where the picture has them; at least 0.
        stride: windows start at multiples of it, at least 1.

    Returns:
        windows of about equal size, so that none needs more memory than another.

    Raises:
        ArgumentError: an argument is below its range.

    >>> [(w.columns.start, w.columns.stop, w.columns.first, w.columns.last)
    ...  for w in split(1, 100, window=40, halo=5, stride=8)]
    [(0, 48, 0, 40), (32, 88, 40, 80), (72, 100, 80, 100)]
    """
    for name, value, least in (
        ("in_rows", in_rows, 1),
        ("in_columns", in_columns, 1),
        ("window", window, 1),
        ("halo", halo, 0),
        ("stride", stride, 1),
    ):
        if value < least:
            raise ArgumentError(f"{name} is {value}; use {name} >= {least}")
    return [
        Window(rows, columns)
        for rows in _spans(in_rows, window, halo, stride)
        for columns in _spans(in_columns, window, halo, stride)
    ]


def windows_of(session: InWindows, in_rows: int, in_columns: int, window: int) -> list[Window]:
    """Cut a picture into windows whose labels are those that a session gives of the whole.

    Args:
        session: what labels a window.
        in_rows: height of the picture, at least 1.
        in_columns: width of the picture, at least 1.
        window: as in `split`; a picture no larger than it is not cut, whatever the session says of windows.

    Raises:
        ArgumentError: an argument is below its range.
        DataError: labels depend on the whole picture, or on more of its size than windows can keep.
    """
    if 1 <= in_rows <= window and 1 <= in_columns <= window:
        return [Window(Span(0, in_rows, 0, in_rows), Span(0, in_columns, 0, in_columns))]
    parts = split(in_rows, in_columns, window=window, halo=session.halo, stride=session.stride)
    multiple = session.multiple
    for name, span, length in (
        ("rows", parts[0].rows, in_rows),
        ("columns", parts[0].columns, in_columns),
    ):
        if span.stop < length and length % multiple:
            raise DataError(
                f"the picture has {length} {name}, but windows of this network are exact only where these are a multiple "
                f"of {multiple}; use a window of {max(in_rows, in_columns)} for the whole at once, or cut the picture"
            )
    return parts


def _spans(length: int, window: int, halo: int, stride: int) -> list[Span]:
    window = max(window // stride, 1) * stride
    if length <= window + 2 * halo:
        return [Span(0, length, 0, length)]
    count = -(-length // window)
    kept = _up(-(-length // count), stride)
    return [
        Span(
            max(first - halo, 0) // stride * stride,
            # Up to a multiple, so that a network that pads to one pads nothing inside the picture.
            min(_up(first + kept + halo, stride), length),
            first,
            min(first + kept, length),
        )
        for first in range(0, length, kept)
    ]


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
