"""TIFF in parts: the same bytes as when it is read whole, of every kind; what is damaged or lies is refused by name."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from downup.data import read_picture
from downup.errors import DataError
from downup.prediction.sources import open_image

Array = np.ndarray[Any, Any]
ReadAll = Callable[[Any], Array]

LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles": {"tile": (32, 16)},
    "tiles, deflate": {"tile": (16, 48), "compression": "zlib"},
    "tiles, LZW, predictor": {"tile": (32, 32), "compression": "lzw", "predictor": True},
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "strips, deflate, predictor": {"rowsperstrip": 10, "compression": "zlib", "predictor": True},
    "big-endian": {"rowsperstrip": 9, "byteorder": ">"},
    "BigTIFF": {"tile": (32, 32), "bigtiff": True},
}
SEPARATE = {"planarconfig": "separate"}
KINDS: dict[str, tuple[Callable[[Array], Array], dict[str, Any]]] = {
    "RGB": (lambda x: x, {"photometric": "rgb"}),
    "grey": (lambda x: x[..., 1], {"photometric": "minisblack"}),
    "inverted grey": (lambda x: x[..., 1], {"photometric": "miniswhite"}),
    "16-bit grey": (lambda x: x[..., 1].astype(np.uint16) * 250 + 7, {"photometric": "minisblack"}),
    "CMYK": (lambda x: np.dstack([x, x[..., :1] // 2]), {"photometric": "separated"}),
    "RGBA": (lambda x: np.dstack([x, x[..., 1]]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    "multiplied RGBA": (
        lambda x: np.dstack([x // 2, np.maximum(x[..., 1], 128)]),
        {"photometric": "rgb", "extrasamples": ["assocalpha"]},
    ),
    "separate planes": (lambda x: np.moveaxis(x, 2, 0).copy(), {"photometric": "rgb", **SEPARATE}),
}


def write(path: Path, data: Array, **options: Any) -> Path:
    top = {name: options.pop(name) for name in ("bigtiff", "byteorder") if name in options}
    with tifffile.TiffWriter(path, **top) as file:
        file.write(data, metadata=None, **options)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_windows_hold_the_bytes_of_the_whole_picture(
    tmp_path: Path, read_all: ReadAll, random_picture: Array, kind: str, layout: str
):
    make, options = KINDS[kind]
    path = write(tmp_path / "a.tif", make(random_picture), **options, **LAYOUTS[layout])
    for channels in ("rgb", "grey"):
        image = open_image(path, channels)
        assert (image.rows, image.columns) == (101, 83)
        np.testing.assert_array_equal(read_all(image), read_picture(path, channels))


@pytest.mark.parametrize("layout", ["tiles", "strips", "big-endian"])
def test_of_16_bits_a_channel_the_high_byte_is_taken(
    tmp_path: Path, read_all: ReadAll, random_picture: Array, layout: str
):
    deep = random_picture.astype(np.uint16) * 256 + 200
    path = write(tmp_path / "a.tif", deep, photometric="rgb", **LAYOUTS[layout])
    np.testing.assert_array_equal(read_all(open_image(path, "rgb")), random_picture)


def test_a_palette_gives_its_colours(tmp_path: Path, read_all: ReadAll, random_picture: Array):
    colors = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16)
    path = write(
        tmp_path / "a.tif",
        random_picture[..., 0],
        photometric="palette",
        colormap=colors * 257,
        tile=(16, 16),
    )
    np.testing.assert_array_equal(read_all(open_image(path, "rgb")), colors.T[random_picture[..., 0]])


def test_two_levels_are_black_and_white(tmp_path: Path, read_all: ReadAll):
    bits = np.random.default_rng(1).integers(0, 2, (50, 70)).astype(bool)
    PillowImage.fromarray(bits).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_all(open_image(tmp_path / "a.tif", "grey"))[..., 0], bits * 255)


def test_jpeg_in_tiles_is_decoded(tmp_path: Path, read_all: ReadAll, random_picture: Array):
    path = write(
        tmp_path / "a.tif",
        random_picture,
        photometric="rgb",
        tile=(32, 32),
        compression="jpeg",
        subsampling=(1, 1),
    )
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].photometric == 6
    difference = read_all(open_image(path, "rgb")).astype(int) - random_picture
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("layout", ["tiles", "strips"])
def test_a_picture_on_its_side_is_read_upright(
    tmp_path: Path, read_all: ReadAll, random_picture: Array, orientation: int, layout: str
):
    tags = [(274, 3, 1, orientation, True)]
    path = write(tmp_path / "a.tif", random_picture, photometric="rgb", extratags=tags, **LAYOUTS[layout])
    np.testing.assert_array_equal(read_all(open_image(path, "rgb")), read_picture(path, "rgb"))


def test_smaller_copies_and_masks_are_passed_over(tmp_path: Path, read_all: ReadAll, random_picture: Array):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(random_picture, photometric="rgb", metadata=None)
        file.write(random_picture[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
    np.testing.assert_array_equal(read_all(open_image(tmp_path / "a.tif", "rgb")), random_picture)


def test_tiles_that_were_never_written_are_black(tmp_path: Path, read_all: ReadAll):
    tiles = iter([np.full((16, 16), 9, np.uint8), None])
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(tiles, shape=(16, 32), dtype=np.uint8, tile=(16, 16), compression="zlib", metadata=None)
    pixels = read_all(open_image(tmp_path / "a.tif", "grey"))[..., 0]
    assert (pixels[:, :16] == 9).all()
    assert (pixels[:, 16:] == 0).all()


def read_whole(path: Path) -> None:
    image = open_image(path, "rgb")
    try:
        image.read(slice(0, image.rows), slice(0, image.columns))
    finally:
        image.close()


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_whole(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (np.zeros((9, 9), np.float32), {"photometric": "minisblack"}, "floating-point levels of 32 bits"),
        (np.zeros((9, 9), np.int16), {"photometric": "minisblack"}, "signed levels of 16 bits"),
        (np.zeros((9, 9), np.uint32), {"photometric": "minisblack"}, "levels of 32 bits"),
        (np.zeros((9, 9, 5), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "5 bands"),
        (np.zeros((2, 9, 9), np.uint8), {"photometric": "minisblack"}, "holds 2 pages"),
        (np.zeros((9, 9, 3), np.uint8), {"photometric": "cielab"}, "kind CIELAB"),
    ],
)
def test_what_is_no_picture_of_bytes_is_refused_by_name(
    tmp_path: Path, data: Array, options: dict[str, Any], words: str
):
    assert words in refusal(write(tmp_path / "a.tif", data, **options))


@pytest.mark.parametrize("layout", ["tiles, deflate", "one strip", "strips", "strips, deflate, predictor"])
def test_a_truncated_file_is_refused_before_any_work(tmp_path: Path, random_picture: Array, layout: str):
    path = write(tmp_path / "a.tif", random_picture, photometric="rgb", **LAYOUTS[layout])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.7)])
    with pytest.raises(DataError, match=r"ends at byte|is damaged"):
        open_image(path, "rgb")


@pytest.mark.parametrize("layout", ["tiles, deflate", "one strip", "strips", "strips, deflate, predictor"])
@pytest.mark.parametrize("side", [2**31, 2**31 - 1, 70000])
def test_a_header_that_lies_about_the_size_is_refused_at_once(
    tmp_path: Path, random_picture: Array, layout: str, side: int
):
    path = write(tmp_path / "a.tif", random_picture, photometric="rgb", **LAYOUTS[layout])
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        places = [(tags[code].valueoffset, tags[code].dtype) for code in (256, 257)]
    for place, kind in places:
        struct.pack_into("<I" if kind == 4 else "<H", content, place, side if kind == 4 else 65535)
    path.write_bytes(content)
    assert "pixels, but holds" in refusal(path)


def test_a_damaged_tile_is_named(tmp_path: Path, random_picture: Array):
    path = write(tmp_path / "a.tif", random_picture, photometric="rgb", tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].dataoffsets[4]
    content = bytearray(path.read_bytes())
    content[place : place + 20] = b"x" * 20
    path.write_bytes(content)
    assert "is damaged at tile 4 of 12" in refusal(path)


def test_reading_along_a_row_decodes_no_tile_twice(
    tmp_path: Path, random_picture: Array, monkeypatch: pytest.MonkeyPatch
):
    path = write(tmp_path / "a.tif", random_picture, photometric="rgb", rowsperstrip=16, compression="zlib")
    image = open_image(path, "rgb")
    decoded: list[int] = []
    decode = image._decode  # type: ignore[attr-defined]
    monkeypatch.setattr(image, "_decode", lambda index: decoded.append(index) or decode(index))
    for left in (0, 20, 40):
        image.read(slice(10, 40), slice(left, left + 30))
    image.close()
    assert decoded == [0, 1, 2]
