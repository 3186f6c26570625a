"""Labels as they stand in a file, of any format that they are written in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from downup.data.pictures import open_image
from downup.data.problems import FileError
from downup.errors import ArgumentError
from downup.prediction.sources.array import NpyImage
from downup.prediction.sources.decoded import any_size
from downup.prediction.sources.ome_zarr import ZarrImage, is_zarr
from downup.prediction.sources.tiff import TiffImage


class LabelFile(Protocol):
    """A number for each pixel, read in parts."""

    rows: int
    columns: int

    def samples(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The numbers of a window, [rows, columns, 1]."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def open_label_file(path: Path) -> LabelFile:
    """Open labels.

    Raises:
        ArgumentError: the file's name tells no format of labels.
        DataError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    if is_zarr(path):
        return ZarrImage(path, "grey")
    if suffix in (".tif", ".tiff"):
        return TiffImage(path, "grey")
    if suffix == ".npy":
        if not path.exists():
            raise FileError(path, "does not exist", "check the name")
        return NpyImage(path, "grey")
    if suffix == ".png":
        return _DecodedLabels(path)
    raise ArgumentError(
        f"labels is {str(path)!r}; give the .png, .tif, .npy or .zarr that downup predict wrote"
    )


class _DecodedLabels:
    def __init__(self, path: Path) -> None:
        with any_size(), open_image(path) as image:
            if image.mode not in ("P", "L", "I;16", "I;16B", "I"):
                what = f"is a picture of mode {image.mode}, not of labels"
                raise FileError(path, what, "give what predict wrote")
            self._numbers: NDArray[Any] = np.asarray(image)[:, :, None]
        self.rows, self.columns = self._numbers.shape[:2]

    def samples(self, rows: slice, columns: slice) -> NDArray[Any]:
        return self._numbers[rows, columns]

    def close(self) -> None:
        pass
