"""Opens whatever holds a picture, by what it is."""

from __future__ import annotations

import os
from pathlib import Path

from downup.data.pictures import CHANNELS
from downup.data.problems import FileError
from downup.errors import ArgumentError
from downup.prediction.sources.array import ArrayImage, NpyImage, Sliceable
from downup.prediction.sources.decoded import DecodedImage
from downup.prediction.sources.image import Image
from downup.prediction.sources.ome_zarr import ZarrImage, is_zarr
from downup.prediction.sources.tiff import TiffImage
from downup.prediction.sources.turned import TurnedImage

_TIFF_BEGINS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_image(
    source: str | os.PathLike[str] | Sliceable, channels: str, memory: int = 2 << 30, level: int = 0
) -> Image:
    """Open a picture to be read in parts.

    Args:
        source: a file: TIFF, `.npy`, PNG, JPEG, BMP or WebP; a folder of Zarr or OME-Zarr; or anything with a shape and
            slicing.
        channels: "rgb" or "grey": what the network sees.
        memory: bytes that a format may take that can only be decoded whole.
        level: of OME-Zarr, which one: 0 for the picture itself, higher ones are smaller.

    Raises:
        ArgumentError: there are no such channels.
        DataError: the file is missing, damaged, too large to be decoded whole, or of a kind that is not read.
    """
    if channels not in CHANNELS:
        raise ArgumentError(f"channels is {channels!r}; use 'rgb' or 'grey'")
    if not isinstance(source, (str, os.PathLike)):
        return ArrayImage(source, channels)
    path = Path(source)
    if is_zarr(path):
        return ZarrImage(path, channels, level)
    if level:
        raise ArgumentError(
            f"level is {level}, but {path} is no Zarr; only OME-Zarr has levels to choose from"
        )
    begins = _beginning(path)
    if begins in _TIFF_BEGINS:
        image = TiffImage(path, channels)
        return image if image.orientation == 1 else TurnedImage(image, image.orientation)
    if path.suffix.lower() == ".npy":
        return NpyImage(path, channels)
    return DecodedImage(path, channels, memory)


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except FileNotFoundError as error:
        raise FileError(path, "does not exist", "check the name") from error
    except IsADirectoryError as error:
        raise FileError(path, "is a folder, not an image", "name the pictures in it") from error
    except PermissionError as error:
        raise FileError(path, "may not be read", "change its permissions") from error
