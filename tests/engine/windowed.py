"""A picture run in windows, put together again, and compared with the whole of it, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from downup.errors import DataError
from downup.prediction import Span, Window, windows_of


def in_windows(run, x, parts):
    """What `run` gives of each window of a picture, put together."""
    whole = None
    for part in parts:
        rows, columns = part.rows, part.columns
        read = run(np.ascontiguousarray(x[:, :, rows.start : rows.stop, columns.start : columns.stop]))
        kept = read[..., rows.kept_of_read, columns.kept_of_read]
        if whole is None:
            whole = np.empty((*kept.shape[:-2], *x.shape[2:]), kept.dtype)
        whole[..., rows.first : rows.last, columns.first : columns.last] = kept
    return whole


def closest(margins, size, window):
    """Windows that read no more than they must: each axis, and each side of it, by itself."""
    rows, columns = (
        [
            Span(
                max(first - margin.before, 0) // margin.period * margin.period,
                min(-(-(first + kept + margin.after) // margin.period) * margin.period, length),
                first,
                min(first + kept, length),
            )
            for first in range(0, length, kept)
        ]
        for margin, length in zip(margins, size, strict=True)
        for kept in [max(1, window // margin.period) * margin.period]
    )
    return [Window(row, column) for row in rows for column in columns]


def even(session, size, window):
    """Windows as pictures are labelled in."""
    return windows_of(session, *size, window)


def assert_equal_in_windows(session, seed=0, sizes=None):
    """Long and short sides, odd ones and multiples of all strides, or `sizes`; returns how many windows there were.

    The network takes pictures of one input.
    """
    (shape,) = session.example_shapes(32, 32).values()
    random, windows = np.random.default_rng(seed), 0
    for rows, columns in sizes or sizes_of(session):
        x = random.standard_normal((1, shape[1], rows, columns)).astype(np.float32)
        parts = closest(session.margins, (rows, columns), session.stride)
        scores = in_windows(session.run, x, parts)
        np.testing.assert_array_equal(scores.view(np.int32), session.run(x).view(np.int32))
        labels = in_windows(session.labels, x, even(session, (rows, columns), 2 * session.stride))
        np.testing.assert_array_equal(labels, session.labels(x))
        windows += len(parts)
    assert windows > 3
    return windows


def sizes_of(session):
    long = session.stride + 2 * session.halo + 1
    sizes = [(-(-long // 32) * 32, 33), (7, long + 36)]
    multiple = session.multiple
    return [tuple(-(-side // multiple) * multiple for side in size) for size in sizes]


def assert_refused_by_name(session):
    """Nodes are named that see the whole picture."""
    with pytest.raises(DataError, match="labels depend on the whole picture: ") as caught:
        _ = session.halo
    assert session.whole_picture_nodes
    assert all(node in str(caught.value) for node in session.whole_picture_nodes)
