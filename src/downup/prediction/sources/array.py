"""Arrays as pictures: `.npy` files, and any object with a shape and slicing."""

from __future__ import annotations

import hashlib
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from downup.data.problems import FileError
from downup.prediction.sources.fingerprint import fingerprint
from downup.prediction.sources.pixels import Colors, check_levels, colors_of_count, to_pixels
from downup.prediction.sources.rows_file import RowsFile

_SAMPLED = 64


class Sliceable(Protocol):
    """What has a shape, an element type and parts: an array of NumPy, Zarr, Dask, h5py and others."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes by axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of an element."""
        ...

    def __getitem__(self, place: Any, /) -> Any:
        """A part of it."""
        ...


class ArrayImage:
    """A picture in anything that can be sliced.

    Args:
        array: uint8 or uint16 [rows, columns], [rows, columns, 1, 3 or 4] or [1, 3 or 4, rows, columns].
        channels: "rgb" or "grey": what the network sees.
        name: what messages call it.

    Raises:
        FileError: it is of another shape or type.
    """

    def __init__(self, array: Sliceable, channels: str, name: str = "image") -> None:
        self.name = name
        self._array, self._channels = array, channels
        self._dtype = np.dtype(array.dtype).newbyteorder("=")
        check_levels(self._dtype, name)
        self.rows, self.columns, self._axis, self._colors = layout_of(tuple(array.shape), name)

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """See `Image.read`."""
        place = (slice(None), rows, columns) if self._axis == 0 else (rows, columns)
        samples = np.asarray(self._array[place], self._dtype)
        if samples.ndim == 2:
            samples = samples[:, :, None]
        elif self._axis == 0:
            samples = np.moveaxis(samples, 0, -1)
        return to_pixels(samples, self._colors, self._channels, self.name)

    def read_memory(self, rows: int, columns: int) -> int:
        """See `Image.read_memory`."""
        # What is sliced, and once more as it is turned into bytes.
        return 2 * rows * columns * self._colors.count * int(self._dtype.itemsize)

    def identity(self) -> dict[str, Any]:
        """See `Image.identity`: shape, type and nine small windows of it."""
        digest = hashlib.sha256()
        for row in (0, self.rows // 2, max(self.rows - _SAMPLED, 0)):
            for column in (0, self.columns // 2, max(self.columns - _SAMPLED, 0)):
                rows = slice(row, min(row + _SAMPLED, self.rows))
                digest.update(self.read(rows, slice(column, min(column + _SAMPLED, self.columns))).data)
        return {
            "shape": [int(size) for size in self._array.shape],
            "dtype": str(self._dtype),
            "samples_sha256": digest.hexdigest(),
        }

    def close(self) -> None:
        """See `Image.close`."""


def layout_of(shape: tuple[int, ...], name: str) -> tuple[int, int, int, Colors]:
    """Rows, columns, the axis of the channels (-1 if last or none) and their meaning.

    Raises:
        FileError: this is no picture.
    """
    if len(shape) not in (2, 3) or prod(shape) == 0:
        what = f"has shape {list(shape)}"
        raise FileError(Path(name), what, "give [rows, columns] or [rows, columns, 1, 3 or 4]")
    if len(shape) == 2:
        return shape[0], shape[1], -1, Colors("L")
    if shape[2] not in (1, 3, 4) and shape[0] in (1, 3, 4):
        return shape[1], shape[2], 0, colors_of_count(shape[0], name)
    return shape[0], shape[1], -1, colors_of_count(shape[2], name)


class NpyImage:
    """A picture in a `.npy` file, of the shapes that `ArrayImage` takes.

    Raises:
        FileError: it is damaged, of another shape or type, or lies column by column.
    """

    def __init__(self, path: Path, channels: str) -> None:
        self.name, self._path, self._channels = str(path), path, channels
        shape, self._dtype, start = _header(path)
        check_levels(self._dtype.newbyteorder("="), self.name)
        self.rows, self.columns, axis, self._colors = layout_of(shape, self.name)
        if path.stat().st_size < start + prod(shape) * self._dtype.itemsize:
            raise FileError(path, f"ends before its {list(shape)} pixels do", "copy or save it again")
        planes, samples = (self._colors.count, 1) if axis == 0 else (1, self._colors.count)
        row = self.columns * samples * self._dtype.itemsize
        self._planes = [
            RowsFile(
                path,
                lambda y, first=start + plane * self.rows * row: first + y * row,  # type: ignore[misc]
                self.columns,
                samples,
                self._dtype,
            )
            for plane in range(planes)
        ]

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """See `Image.read`."""
        return to_pixels(self.samples(rows, columns), self._colors, self._channels, self.name)

    def samples(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The numbers of a window as they stand in the file, [rows, columns, samples]."""
        read = [plane.read(rows, columns) for plane in self._planes]
        return read[0] if len(read) == 1 else np.concatenate(read, axis=2)

    def read_memory(self, rows: int, columns: int) -> int:
        """See `Image.read_memory`."""
        return 2 * rows * columns * self._colors.count * int(self._dtype.itemsize)

    def identity(self) -> dict[str, Any]:
        """See `Image.identity`."""
        return fingerprint(self._path)

    def close(self) -> None:
        """See `Image.close`."""
        for plane in self._planes:
            plane.close()


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and where the samples begin."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, is_by_column, dtype = read(file)
        except (ValueError, KeyError) as error:
            raise FileError(
                path, f"is damaged, or no .npy file ({error})", "save it again with numpy.save"
            ) from None
        start = file.tell()
    if is_by_column and len(shape) > 1:
        raise FileError(path, "lies column by column", "save numpy.ascontiguousarray of it")
    return tuple(shape), dtype, start
