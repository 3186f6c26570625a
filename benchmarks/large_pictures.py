"""Large pictures to label: the Earth sample enlarged, written block by block as a tiled TIFF.

python benchmarks/large_pictures.py 8 earth.tif              43200 x 21600, a gigapixel, 2.8 GB
python benchmarks/large_pictures.py 8 part.tif --rows 7000   the first so many rows of it
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from downup.data import earth

TILE = 512


def write(path: Path, factor: int, rows: int | None = None, columns: int | None = None) -> tuple[int, int]:
    """Write the picture `factor` times as large, bilinearly, or its first rows and columns; returns its size."""
    source = Image.fromarray(earth.picture("rgb"))
    rows = factor * source.height if rows is None else rows
    columns = factor * source.width if columns is None else columns
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        tiles = _tiles(source, factor, rows, columns)
        writer.write(
            tiles,
            shape=(rows, columns, 3),
            dtype=np.uint8,
            tile=(TILE, TILE),
            photometric="rgb",
            metadata=None,
        )
    return rows, columns


def _tiles(source: Image.Image, factor: int, rows: int, columns: int) -> Iterator[NDArray[np.uint8]]:
    for top in range(0, rows, TILE):
        for left in range(0, columns, TILE):
            height, width = min(TILE, rows - top), min(TILE, columns - left)
            # Pillow reads the samples around a fractional box, so that blocks join without a seam.
            box = (left / factor, top / factor, (left + width) / factor, (top + height) / factor)
            part = np.asarray(source.resize((width, height), Image.Resampling.BILINEAR, box=box))
            yield np.pad(part, ((0, TILE - height), (0, TILE - width), (0, 0)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("factor", type=int, help="so many times as large along each axis")
    parser.add_argument("path", type=Path, help="TIFF file to write")
    parser.add_argument("--rows", type=int, help="only the first rows")
    parser.add_argument("--columns", type=int, help="only the first columns")
    arguments = parser.parse_args()
    rows, columns = write(arguments.path, arguments.factor, arguments.rows, arguments.columns)
    print(f"{arguments.path}: {rows} x {columns} pixels, {arguments.path.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
