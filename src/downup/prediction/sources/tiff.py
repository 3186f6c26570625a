"""TIFF and BigTIFF, in tiles or strips, read where a window needs them."""

from __future__ import annotations

import logging
import os
import struct
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from downup.data.problems import FileError
from downup.errors import MissingPackageError
from downup.prediction.sources.fingerprint import fingerprint
from downup.prediction.sources.pixels import Colors, to_pixels
from downup.prediction.sources.rows_file import RowsFile
from downup.prediction.sources.tiff_colors import colors_of, orientation_of

_AGAIN = "copy or export it again"
_JPEG = (6, 7, 34892, 33007)
_REDUCED_OR_MASK = 1 | 4
# GeoTIFF: scale and place of pixels, a transformation instead of these, and what the coordinates mean.
_GEOGRAPHIC = (33550, 33922, 34264, 34735, 34736, 34737)

# What tifffile finds odd is either of no matter here, or refused by name below.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


class TiffImage:
    """The one picture of a TIFF file; smaller copies of it and masks are passed over.

    Decoded tiles and strips of the last window stay, so that the next one along the row decodes none of them again.

    Raises:
        FileError: the file is damaged, truncated, holds several pages or samples of an unknown kind.
        MissingPackageError: its compression needs a package that is not installed.
    """

    def __init__(self, path: Path, channels: str) -> None:
        self.name, self._path, self._channels = str(path), path, channels
        self._file, self._page = _open(path)
        try:
            self._colors: Colors = colors_of(self._page, path)
            self.orientation = orientation_of(self._page)
            self.rows, self.columns = int(self._page.imagelength), int(self._page.imagewidth)
            _check_places(self._page, path)
        except BaseException:
            self._file.close()
            raise
        page = self._page
        self._is_separate = page.planarconfig == 2 and page.samplesperpixel > 1
        self._planes = int(page.samplesperpixel) if self._is_separate else 1
        self._inner = 1 if self._is_separate else int(page.samplesperpixel)
        if page.is_tiled:
            self._high, self._wide = int(page.tilelength), int(page.tilewidth)
        else:
            self._high, self._wide = min(int(page.rowsperstrip), self.rows), self.columns
        self._across, self._down = ceil(self.columns / self._wide), ceil(self.rows / self._high)
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        self._decoded: dict[int, NDArray[Any]] = {}
        self._plain = self._rows_files()
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """See `Image.read`."""
        samples = self.samples(rows, columns)
        if samples.dtype == np.bool_ or self._page.bitspersample == 1:
            samples = samples.astype(np.uint8) * np.uint8(255)
        return to_pixels(samples, self._colors, self._channels, self.name)

    def samples(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The numbers of a window as they stand in the file, [rows, columns, samples]."""
        if self._plain is not None:
            parts = [plane.read(rows, columns) for plane in self._plain]
            return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return self._assembled(rows, columns)

    def read_memory(self, rows: int, columns: int) -> int:
        """See `Image.read_memory`: the window's samples, and the tiles or strips that it touches."""
        pixel = self._colors.count * int(self._page.dtype.itemsize)
        window = 2 * rows * columns * pixel
        if self._plain is not None:
            return window
        # Of strips, all the rows that a window reads lie decoded, from edge to edge.
        high = min((ceil(rows / self._high) + 1) * self._high, self._down * self._high)
        wide = min((ceil(columns / self._wide) + 1) * self._wide, self._across * self._wide)
        return window + high * wide * pixel

    def identity(self) -> dict[str, Any]:
        """See `Image.identity`."""
        return fingerprint(self._path)

    @property
    def geographic_tags(self) -> tuple[Any, ...]:
        """Where the picture lies on the Earth, as tifffile writes tags; empty if it does not say."""
        tags = [self._page.tags.get(code) for code in _GEOGRAPHIC]
        return tuple((tag.code, tag.dtype, tag.count, tag.value, True) for tag in tags if tag is not None)

    def close(self) -> None:
        """See `Image.close`."""
        self._file.close()
        os.close(self._descriptor)
        for plane in self._plain or ():
            plane.close()

    # ------------------------------------------------------------ compressed, or in tiles

    def _assembled(self, rows: slice, columns: slice) -> NDArray[Any]:
        shape = (rows.stop - rows.start, columns.stop - columns.start, self._planes * self._inner)
        window = np.empty(shape, self._page.dtype)
        needed = {
            (plane * self._down + down) * self._across + across: (plane, down, across)
            for plane in range(self._planes)
            for down in range(rows.start // self._high, ceil(rows.stop / self._high))
            for across in range(columns.start // self._wide, ceil(columns.stop / self._wide))
        }
        self._decoded = {index: part for index, part in self._decoded.items() if index in needed}
        for index, (plane, down, across) in needed.items():
            part = self._decoded.get(index)
            if part is None:
                part = self._decoded[index] = self._decode(index)
            top, left = down * self._high, across * self._wide
            first, last = max(rows.start, top), min(rows.stop, top + self._high)
            left_most, right_most = max(columns.start, left), min(columns.stop, left + self._wide)
            window[
                first - rows.start : last - rows.start,
                left_most - columns.start : right_most - columns.start,
                plane * self._inner : (plane + 1) * self._inner,
            ] = part[first - top : last - top, left_most - left : right_most - left]
        return window

    def _decode(self, index: int) -> NDArray[Any]:
        """A tile or strip [rows, columns, samples]."""
        shape = (self._high, self._wide, self._inner)
        if self._counts[index] == 0:
            # A tile that was never written: GDAL leaves those out that hold nothing but the fill value.
            return np.full(shape, self._page.nodata or 0, self._page.dtype)
        stored = os.pread(self._descriptor, self._counts[index], self._offsets[index])
        tables: dict[str, Any] = {}
        if self._page.compression in _JPEG:
            tables = {"jpegtables": self._page.jpegtables, "jpegheader": self._page.jpegheader}
        try:
            part, _, _ = self._page.decode(stored, index, **tables)
        # Decoders raise whatever their parsing runs into.
        except Exception as error:
            if "imagecodecs" in str(error):
                name = getattr(self._page.compression, "name", self._page.compression)
                raise MissingPackageError(
                    f"{self._path}: its compression {name} needs imagecodecs; "
                    "install it with: pip install 'downup[images]'"
                ) from error
            kind = "tile" if self._page.is_tiled else "strip"
            what = f"is damaged at {kind} {index} of {len(self._counts)} ({error})"
            raise FileError(self._path, what, _AGAIN) from error
        decoded: NDArray[Any] = np.asarray(part)[0]
        return decoded

    # ------------------------------------------------------------ uncompressed strips

    def _rows_files(self) -> list[RowsFile] | None:
        """Where the rows lie, if they can be read in parts as they are."""
        page = self._page
        is_plain = page.compression == 1 and page.predictor == 1 and page.fillorder == 1
        if page.is_tiled or not is_plain or page.bitspersample not in (8, 16):
            return None
        dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        row = self.columns * self._inner * int(dtype.itemsize)

        def place(plane: int, y: int) -> int:
            strip = plane * self._down + y // self._high
            return int(self._offsets[strip]) + y % self._high * row

        return [
            RowsFile(
                self._path,
                lambda y, plane=plane: place(plane, y),  # type: ignore[misc]
                self.columns,
                self._inner,
                dtype,
            )
            for plane in range(self._planes)
        ]


def _open(path: Path) -> tuple[tifffile.TiffFile, Any]:
    try:
        file = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, struct.error, ValueError, IndexError, OverflowError) as error:
        raise FileError(path, f"is damaged, or no TIFF file ({error})", _AGAIN) from error
    try:
        # pages[0] as a full page, whatever tifffile would rather make of a series.
        pages = [page for page in file.pages if not int(page.aspage().subfiletype) & _REDUCED_OR_MASK]
    # Of a damaged directory the parser raises whatever it runs into.
    except Exception as error:
        file.close()
        raise FileError(path, f"is damaged ({error})", _AGAIN) from error
    if len(pages) != 1:
        file.close()
        raise FileError(path, f"holds {len(pages)} pages", "save each as a file of its own")
    return file, pages[0].aspage()


def _check_places(page: Any, path: Path) -> None:
    """Refuse a picture that is not all there, before anything of its size is made."""
    expected = prod(int(count) for count in page.chunked)
    if len(page.dataoffsets) < expected or len(page.databytecounts) < expected:
        what = (
            f"says it has {page.imagelength} x {page.imagewidth} pixels, but holds "
            f"{len(page.dataoffsets)} of the {expected} parts that these take"
        )
        raise FileError(path, what, _AGAIN)
    size = path.stat().st_size
    ends = np.asarray(page.dataoffsets, np.float64) + np.asarray(page.databytecounts, np.float64)
    if ends.max() > size:
        raise FileError(path, f"ends at byte {size}, but its pixels go on to {ends.max():.0f}", _AGAIN)
    if page.compression == 1 and not page.is_tiled and 0 not in page.databytecounts:
        samples = prod((int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)))
        if sum(page.databytecounts) < samples * page.bitspersample // 8:
            what = f"says it has {page.imagelength} x {page.imagewidth} pixels, but holds fewer"
            raise FileError(path, what, _AGAIN)


def geographic_tags(image: object) -> tuple[Any, ...]:
    """Of a GeoTIFF that is read as it is stored, where it lies on the Earth; empty of anything else."""
    return image.geographic_tags if isinstance(image, TiffImage) else ()
