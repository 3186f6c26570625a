"""The formats of results, and which one a file's name asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from downup.errors import ArgumentError
from downup.prediction.sinks.layer import Layer, Rows
from downup.prediction.sinks.npy import write_npy
from downup.prediction.sinks.ome_zarr import write_zarr
from downup.prediction.sinks.png import write_png
from downup.prediction.sinks.tiff import write_tiff

FORMATS = {"png": ".png", "tiff": ".tif", "npy": ".npy", "zarr": ".zarr"}
"""Suffix of each format."""

_BY_SUFFIX = {".png": "png", ".tif": "tiff", ".tiff": "tiff", ".npy": "npy", ".zarr": "zarr"}


def format_of(path: Path) -> str | None:
    """The format that a file's name asks for, or None.

    >>> format_of(Path("labels.TIF")), format_of(Path("labels"))
    ('tiff', None)
    """
    return _BY_SUFFIX.get(path.suffix.lower())


def write_layer(path: Path, kind: str, layer: Layer, rows: Rows, tags: Sequence[Any] = ()) -> None:
    """Write a result.

    Args:
        path: the file.
        kind: one of `FORMATS`.
        layer: what the values are.
        rows: the values.
        tags: of TIFF, further tags.

    Raises:
        ArgumentError: there is no such format.
        OSError: it cannot be written.
    """
    if kind == "png":
        write_png(path, layer, rows)
    elif kind == "tiff":
        write_tiff(path, layer, rows, tags)
    elif kind == "npy":
        write_npy(path, layer, rows)
    elif kind == "zarr":
        write_zarr(path, layer, rows)
    else:
        raise ArgumentError(f"format is {kind!r}; use one of {', '.join(FORMATS)}")
