"""Tiled TIFF with smaller copies of itself: what viewers and geographic programs open at once, however large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from downup.prediction.sinks.layer import Layer, Rows

_TILE = 512
# From here on the offsets of a classic TIFF file might not reach, so BigTIFF is written.
_CLASSIC_BYTES = 2 << 30
_REDUCED = 1


def write_tiff(path: Path, layer: Layer, rows: Rows, tags: Sequence[Any] = ()) -> None:
    """Write tiles compressed with deflate, and copies of half, a quarter ... the size until one tile holds it.

    Copies keep every second pixel of the one before, so that each value in them is that of a pixel.

    Args:
        path: what to write.
        layer: what the values are.
        rows: the values.
        tags: further tags as tifffile takes them, such as the geographic ones of the picture.
    """
    steps = [1]
    while max(rows.rows, rows.columns) > _TILE * steps[-1]:
        steps.append(2 * steps[-1])
    options: dict[str, Any] = {
        "dtype": rows.dtype,
        "tile": (_TILE, _TILE),
        "compression": "zlib",
        "photometric": "minisblack",
        "metadata": None,
        "software": "downup",
        "maxworkers": 1,
    }
    if layer.palette is not None:
        levels = np.frombuffer(layer.palette, np.uint8).reshape(256, 3).T.astype(np.uint16)
        options |= {"photometric": "palette", "colormap": levels * 257}
    is_big = rows.rows * rows.columns * rows.dtype.itemsize >= _CLASSIC_BYTES
    with tifffile.TiffWriter(path, bigtiff=is_big) as file:
        for number, step in enumerate(steps):
            copy = rows.every(step) if number else rows
            place = (
                {"subifds": len(steps) - 1, "extratags": list(tags), "description": _described(layer)}
                if number == 0
                else {"subfiletype": _REDUCED}
            )
            file.write(_tiles(copy), shape=(copy.rows, copy.columns), **options, **place)


def _described(layer: Layer) -> str:
    names = "; ".join(f"{label} {name}" for label, name in enumerate(layer.classes))
    return (
        "\n".join([f"{layer.name}: {names}" if names else layer.name, *layer.notes])
        .encode("ascii", "replace")
        .decode()
    )


def _tiles(rows: Rows) -> Iterator[NDArray[Any]]:
    for block in rows.blocks(_TILE):
        for left in range(0, rows.columns, _TILE):
            tile = np.zeros((_TILE, _TILE), rows.dtype)
            part = block[:, left : left + _TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile
