"""Reading a picture or a mask file: what Pillow decodes, in the few forms that others take."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from downup.data.problems import FileError
from downup.data.samples import Pixels
from downup.errors import ArgumentError, DataError

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})
_FORMAT_NAMES = "PNG, JPEG, TIFF, WebP or BMP"
CHANNELS = {"rgb": 3, "grey": 1}

_ORIENTATION_TAG = 0x0112
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")


def read_picture(path: Path | str, channels: str = "rgb") -> Pixels:
    """Read a picture into bytes, turned the way a viewer shows it.

    Of 16-bit levels the high byte is taken, `level >> 8`, whatever the picture holds, so that all are scaled
    alike, in training and later. Brightness is `0.299 red + 0.587 green + 0.114 blue`. Transparency is
    dropped: a pixel keeps its colour.

    Args:
        path: a PNG, JPEG, TIFF, WebP or BMP file; RGB, grey, palette, CMYK, with or without transparency.
        channels: "rgb", or "grey" for brightness alone.

    Returns:
        uint8 [height, width, 3 or 1].

    Raises:
        DataError: the file is missing, damaged, of another format or of a kind with no bytes to read.
    """
    if channels not in CHANNELS:
        raise ArgumentError(f"channels is {channels!r}; use 'rgb' or 'grey'")
    with open_image(path) as image:
        return image_pixels(image, channels, Path(path))


@contextmanager
def open_image(path: Path | str) -> Generator[Image.Image]:
    """Open an image file, and turn whatever goes wrong until it is closed into one sentence.

    Raises:
        DataError: the file is missing, empty, damaged, too large, or not an image of the known formats.
    """
    path = Path(path)
    again = "copy or export it again, or remove it"
    try:
        with Image.open(path, formats=FORMATS) as image:
            pages = getattr(image, "n_frames", 1)
            if pages > 1 and image.format != "MPO":
                raise FileError(path, f"holds {pages} pages or frames", "save each as a file of its own")
            yield image
    except (DataError, ArgumentError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise FileError(path, "does not exist", "check the name") from error
    except IsADirectoryError as error:
        raise FileError(path, "is a folder, not an image", "move its files up, or remove it") from error
    except PermissionError as error:
        raise FileError(path, "may not be read", "change its permissions") from error
    except UnidentifiedImageError as error:
        size = path.stat().st_size
        what = f"is damaged, or no {_FORMAT_NAMES} file" if size else "is empty (0 bytes)"
        cure = "export it again as one of these, or remove it" if size else again
        raise FileError(path, what, cure) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FileError(
            path, "is larger than 89 million pixels, too large to be read whole", "cut it into parts"
        ) from error
    # On damaged files Pillow's decoders raise whatever their parsing runs into, not only OSError.
    except Exception as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise FileError(path, f"is damaged ({reason})", again) from error


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation says; without one it comes back as it is."""
    if not is_turned(image):
        return image
    return ImageOps.exif_transpose(image)


def is_turned(image: Image.Image) -> bool:
    """Tell whether a viewer turns or mirrors the stored pixels. TIFF files are turned by Pillow itself."""
    return image.format != "TIFF" and image.getexif().get(_ORIENTATION_TAG, 1) in range(2, 9)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) as `read_picture` will give them, from the header alone."""
    # Of a TIFF file Pillow gives the size after turning.
    is_sideways = image.format != "TIFF" and image.getexif().get(_ORIENTATION_TAG, 1) in range(5, 9)
    return (image.height, image.width) if is_sideways else (image.width, image.height)


def high_bytes(image: Image.Image, path: Path) -> Pixels:
    """Return the upper byte of each 16-bit level."""
    levels = np.asarray(image)
    if levels.size and (levels.min() < 0 or levels.max() > 65535):
        what = f"holds levels from {levels.min()} to {levels.max()}"
        raise FileError(path, what, "save it with levels from 0 to 255, or to 65535 in 16 bits")
    return (levels >> 8).astype(np.uint8)


def image_pixels(image: Image.Image, channels: str, path: Path) -> Pixels:
    """Return the bytes of an open picture, as `read_picture` does; `path` is for the message."""
    image = upright(image)
    mode = "RGB" if channels == "rgb" else "L"
    if image.mode in (*_SIXTEEN_BIT_MODES, "I"):
        grey = high_bytes(image, path)
        return np.repeat(grey[..., None], CHANNELS[channels], axis=2)
    if image.mode == "F":
        raise FileError(path, "holds floating-point levels, of unknown range", "save it at 8 or 16 bits")
    if image.mode == "P":
        # By way of RGBA, since a palette with transparency warns otherwise.
        image = image.convert("RGBA")
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return pixels if pixels.ndim == 3 else pixels[..., None]
