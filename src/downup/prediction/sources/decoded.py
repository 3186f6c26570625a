"""Pictures of formats that are decoded whole: PNG, JPEG, BMP, WebP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from downup.data.pictures import image_pixels, open_image
from downup.data.problems import FileError
from downup.prediction.sources.fingerprint import fingerprint

# Bytes of a pixel while it is decoded: as Pillow holds it, turned, converted, and as an array.
_PEAK_BYTES = 4 + 4 + 4 + 3


class DecodedImage:
    """A picture that lies in memory as a whole.

    Args:
        path: the file.
        channels: "rgb" or "grey".
        memory: bytes that decoding may take.

    Raises:
        FileError: the file is damaged, or larger than `memory` allows.
    """

    def __init__(self, path: Path, channels: str, memory: int) -> None:
        self.name, self._path = str(path), path
        with any_size(), open_image(path) as image:
            # As it is stored: whether it is turned may stand behind the pixels.
            columns, rows = image.size
            needed = rows * columns * _PEAK_BYTES
            if needed > memory:
                what = (
                    f"has {rows} x {columns} pixels, and {image.format} is decoded whole, in "
                    f"{needed / 1e9:.1f} GB, but {max(memory, 0) / 1e9:.1f} GB are left of --memory"
                )
                cure = "allow more, or convert it to a tiled TIFF or to Zarr, which are read in parts"
                raise FileError(path, what, cure)
            self._pixels = image_pixels(image, channels, path)
        self.rows, self.columns = self._pixels.shape[:2]

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """See `Image.read`."""
        return self._pixels[rows, columns]

    def read_memory(self, rows: int, columns: int) -> int:
        """See `Image.read_memory`: nothing, all of it is there."""
        return 0

    def identity(self) -> dict[str, Any]:
        """See `Image.identity`."""
        return fingerprint(self._path)

    def close(self) -> None:
        """See `Image.close`."""
        self._pixels = np.empty((0, 0, 1), np.uint8)


@contextmanager
def any_size() -> Iterator[None]:
    """Let Pillow open pictures of any size: what is too large is refused by the memory that it would take."""
    limit, PillowImage.MAX_IMAGE_PIXELS = PillowImage.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        PillowImage.MAX_IMAGE_PIXELS = limit
