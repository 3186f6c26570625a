"""Pictures that are decoded whole: read as ever, but never more than memory allows."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from downup.data import read_picture
from downup.errors import ArgumentError, DataError
from downup.prediction.sources import open_image

Array = np.ndarray[Any, Any]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_windows_are_those_of_the_whole_picture(
    tmp_path: Path, read_all: Callable[[Any], Array], random_picture: Array, suffix: str
):
    path = tmp_path / f"a{suffix}"
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.fromarray(random_picture).save(path, **({} if suffix == ".bmp" else {"exif": exif}))
    image = open_image(path, "grey")
    assert (image.rows, image.columns) == ((101, 83) if suffix == ".bmp" else (83, 101))
    np.testing.assert_array_equal(read_all(image), read_picture(path, "grey"))


def test_what_would_take_too_much_memory_is_refused_by_its_header(tmp_path: Path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path = tmp_path / "a.png"
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(DataError, match=r"a\.png has 2147483647 x 2147483647 pixels.*tiled TIFF or to Zarr"):
        open_image(path, "rgb")


def test_more_memory_takes_larger_pictures(tmp_path: Path):
    PillowImage.new("L", (1000, 1000)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="PNG is decoded whole"):
        open_image(tmp_path / "a.png", "rgb", memory=10_000_000)
    assert open_image(tmp_path / "a.png", "rgb", memory=20_000_000).rows == 1000


def test_what_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"missing\.png does not exist"):
        open_image(tmp_path / "missing.png", "rgb")
    with pytest.raises(DataError, match="is a folder"):
        open_image(tmp_path, "rgb")
    with pytest.raises(ArgumentError, match="channels is 'bgr'"):
        open_image(tmp_path / "a.png", "bgr")
