"""Zarr of versions 2 and 3 as pictures: arrays, and the levels of OME-Zarr."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downup.data.problems import FileError
from downup.errors import ArgumentError, MissingPackageError
from downup.prediction.sources.array import layout_of
from downup.prediction.sources.pixels import check_levels, colors_of_count, to_pixels

_MARKS = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: Path) -> bool:
    """Whether a folder is an array or a group of Zarr."""
    return any((path / mark).is_file() for mark in _MARKS)


class ZarrImage:
    """A picture in a folder of Zarr; of OME-Zarr, one of its levels.

    Chunks that are missing hold the fill value, as the format has it.

    Args:
        path: the folder of an array, or of a group that says it is OME-Zarr.
        channels: "rgb" or "grey".
        level: which level, 0 for the picture itself, higher ones are smaller.

    Raises:
        FileError: it is damaged, or no picture.
        ArgumentError: there is no such level.
        MissingPackageError: zarr is not installed.
    """

    def __init__(self, path: Path, channels: str, level: int = 0) -> None:
        self.name, self._path, self._channels = str(path), path, channels
        self._array, axes = _open(path, level)
        self._dtype = np.dtype(self._array.dtype).newbyteorder("=")
        check_levels(self._dtype, self.name)
        shape = tuple(int(size) for size in self._array.shape)
        if axes is None:
            self.rows, self.columns, axis, self._colors = layout_of(shape, self.name)
            axes = ["y", "x"] if len(shape) == 2 else ["c", "y", "x"] if axis == 0 else ["y", "x", "c"]
        else:
            self.rows, self.columns = shape[axes.index("y")], shape[axes.index("x")]
            count = shape[axes.index("c")] if "c" in axes else 1
            self._colors = colors_of_count(count, self.name)
            long = [
                f"{shape[n]} along {axis}"
                for n, axis in enumerate(axes)
                if axis not in "cyx" and shape[n] > 1
            ]
            if long:
                cure = "save the picture that is meant as an array of its own"
                raise FileError(path, f"holds more than one picture: {', '.join(long)}", cure)
        self._axes = axes

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """See `Image.read`."""
        return to_pixels(self.samples(rows, columns), self._colors, self._channels, self.name)

    def samples(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The numbers of a window as they stand in the file, [rows, columns, samples]."""
        place = tuple({"y": rows, "x": columns, "c": slice(None)}.get(axis, 0) for axis in self._axes)
        try:
            samples = np.asarray(self._array[place], self._dtype)
        # Codecs raise whatever their parsing runs into.
        except Exception as error:
            what = (
                f"is damaged in rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}"
            )
            raise FileError(self._path, f"{what} ({error})", "copy or export it again") from error
        kept = [axis for axis in self._axes if axis in "cyx"]
        if "c" not in kept:
            kept, samples = [*kept, "c"], samples[..., None]
        return samples.transpose([kept.index(axis) for axis in "yxc"])

    def read_memory(self, rows: int, columns: int) -> int:
        """See `Image.read_memory`: the window's samples, and the chunks that it touches."""
        chunk = dict(zip(self._axes, self._array.chunks, strict=True))
        high = (ceil(rows / chunk["y"]) + 1) * chunk["y"]
        wide = (ceil(columns / chunk["x"]) + 1) * chunk["x"]
        pixel = self._colors.count * int(self._dtype.itemsize)
        return int(2 * rows * columns + high * wide) * pixel

    def identity(self) -> dict[str, Any]:
        """See `Image.identity`: what describes it, and name, size and time of every chunk."""
        digest = hashlib.sha256()
        folder = self._path / str(self._array.path)
        for file in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
            about = file.stat()
            digest.update(f"{file.relative_to(folder)} {about.st_size} {about.st_mtime_ns}\n".encode())
        return {
            "path": str(self._path.resolve()),
            "array": str(self._array.path),
            "shape": [int(size) for size in self._array.shape],
            "files_sha256": digest.hexdigest(),
        }

    def close(self) -> None:
        """See `Image.close`."""


def _open(path: Path, level: int) -> tuple[Any, list[str] | None]:
    """The array, and the names of its axes if it tells them."""
    try:
        import zarr
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: Zarr needs a package; install it with: pip install 'downup[images]'"
        ) from error
    try:
        found = zarr.open(str(path), mode="r")
    # Of damaged metadata the parser raises whatever it runs into.
    except Exception as error:
        raise FileError(path, f"is damaged, or no Zarr ({error})", "copy or export it again") from error
    if isinstance(found, zarr.Array):
        if level:
            raise ArgumentError(f"level is {level}, but {path} is one array; leave it out")
        return found, None
    attributes: Mapping[str, Any] = dict(found.attrs)
    scales = attributes.get("ome", attributes).get("multiscales")
    if not scales:
        arrays = sorted(name for name, _ in found.arrays())
        cure = f"name one of its arrays: {', '.join(arrays)}" if arrays else "name an array in it"
        raise FileError(path, "is a group that tells of no picture (no multiscales)", cure)
    datasets = scales[0]["datasets"]
    if not 0 <= level < len(datasets):
        raise ArgumentError(f"level is {level}, but {path} has {len(datasets)}; use 0 to {len(datasets) - 1}")
    axes = [
        axis["name"] if isinstance(axis, Mapping) else str(axis) for axis in scales[0].get("axes", "tczyx")
    ]
    try:
        array: Any = found[datasets[level]["path"]]
    except KeyError as error:
        raise FileError(
            path, f"has no array {datasets[level]['path']!r}", "copy or export it again"
        ) from error
    if len(axes) != len(array.shape) or "y" not in axes or "x" not in axes:
        raise FileError(path, f"has axes {axes} but shape {list(array.shape)}", "export it again")
    return array, axes
