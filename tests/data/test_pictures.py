"""Pictures of every kind come out as bytes; what cannot be read is refused in one sentence."""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downup.data import read_picture
from downup.data.pictures import open_image, upright_size
from downup.errors import ArgumentError, DataError

from .builders import picture, save


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "bmp", "PNG"])
def test_a_lossless_picture_comes_back_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", picture())
    np.testing.assert_array_equal(read_picture(path, "rgb"), picture())


def test_lossless_webp_comes_back_bit_for_bit(tmp_path: Path) -> None:
    path = save(tmp_path / "a.webp", picture(), lossless=True)
    np.testing.assert_array_equal(read_picture(path), picture())


def test_jpeg_keeps_size_and_nearly_the_colour(tmp_path: Path) -> None:
    flat = np.full((9, 7, 3), (200, 100, 50), np.uint8)
    read = read_picture(save(tmp_path / "a.jpg", flat, quality=95))
    assert read.shape == (9, 7, 3)
    assert np.abs(read.astype(int) - flat).max() <= 3


def test_brightness_is_the_weighted_sum_of_the_colours(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))
    grey = read_picture(path, "grey")
    assert grey.shape == (1, 3, 1)
    assert grey.ravel().tolist() == [76, 150, 29]


def test_a_grey_picture_is_repeated_in_three_channels(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    path = save(tmp_path / "a.png", grey)
    np.testing.assert_array_equal(read_picture(path, "rgb"), np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(read_picture(path, "grey"), grey[..., None])


def test_transparency_is_dropped_and_the_colour_under_it_stays(tmp_path: Path) -> None:
    pixels = np.dstack([picture(), np.zeros((6, 8), np.uint8)])
    np.testing.assert_array_equal(read_picture(save(tmp_path / "a.png", pixels)), picture())


def test_grey_with_transparency_is_read(tmp_path: Path) -> None:
    image = Image.merge("LA", [Image.fromarray(picture()[..., 0]), Image.new("L", (8, 6), 7)])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", "grey")[..., 0], picture()[..., 0])


def test_a_palette_picture_with_transparency_is_read_by_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=b"\x00\xff")
    assert read_picture(tmp_path / "a.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_black_and_white_becomes_0_and_255(tmp_path: Path) -> None:
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", "grey").ravel().tolist() == [0, 255]


def test_cmyk_is_converted(tmp_path: Path) -> None:
    Image.new("CMYK", (2, 1), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_16_bits_the_high_byte_is_taken(tmp_path: Path, suffix: str) -> None:
    levels = np.array([[0, 255, 256, 4095, 32896, 65535]], np.uint16)
    path = save(tmp_path / f"a.{suffix}", levels)
    assert read_picture(path, "grey").ravel().tolist() == [0, 0, 1, 15, 128, 255]
    assert read_picture(path, "rgb").shape == (1, 6, 3)


def test_of_16_bit_colour_the_high_byte_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_png(2, 1, depth=16, color=2, row=struct.pack(">6H", 256, 511, 512, 65535, 4096, 128)))
    assert read_picture(path).tolist() == [[[1, 1, 2], [255, 16, 0]]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_a_picture_is_turned_as_exif_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    corner = np.zeros((16, 24, 3), np.uint8)
    corner[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"a.{suffix}", corner, exif=exif)
    turns = {
        1: corner,
        2: corner[:, ::-1],
        3: corner[::-1, ::-1],
        4: corner[::-1],
        5: corner.transpose(1, 0, 2),
        6: np.rot90(corner, -1),
        7: np.rot90(corner, 2).transpose(1, 0, 2),
        8: np.rot90(corner),
    }
    read = read_picture(path)
    assert read.shape == turns[orientation].shape
    assert ((read > 127) == (turns[orientation] > 127)).mean() > 0.98
    with open_image(path) as image:
        size = upright_size(image)
    assert size == (read.shape[1], read.shape[0])


def test_another_channel_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="channels is 'bgr'; use 'rgb' or 'grey'"):
        read_picture(save(tmp_path / "a.png", picture()), "bgr")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png does not exist; check the name"):
        read_picture(tmp_path / "none.png")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.png is empty \(0 bytes\); copy or export it again"):
        read_picture(tmp_path / "a.png")


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(DataError, match=r"a\.png is a folder, not an image"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.txt"])
def test_another_format_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    Image.fromarray(picture()).save(tmp_path / name, format="GIF")
    with pytest.raises(
        DataError, match="is damaged, or no PNG, JPEG, TIFF, WebP or BMP file; export it again"
    ):
        read_picture(tmp_path / name)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp"])
def test_every_cut_of_a_file_is_refused_in_one_sentence(tmp_path: Path, suffix: str) -> None:
    whole = save(tmp_path / f"whole.{suffix}", picture(rows=40, columns=50)).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for end in range(1, len(whole) * 3 // 4, max(1, len(whole) // 60)):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=rf"cut\.{suffix} (is|has|holds) .*; ") as error:
            read_picture(path)
        assert "\n" not in str(error.value)


def test_flipped_bytes_give_a_picture_or_a_data_error(tmp_path: Path, is_long: bool) -> None:
    random = np.random.default_rng(0)
    for suffix in ("png", "jpg", "tif", "webp", "bmp"):
        whole = save(tmp_path / f"whole.{suffix}", picture(rows=20, columns=20)).read_bytes()
        for _ in range(400 if is_long else 40):
            data = bytearray(whole)
            for position in random.integers(0, len(data), 3):
                data[position] = random.integers(256)
            path = tmp_path / f"flipped.{suffix}"
            path.write_bytes(data)
            with contextlib.suppress(DataError):
                assert read_picture(path).shape[2] == 3


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png(60_000, 60_000, depth=8, color=0, row=b""))
    with pytest.raises(DataError, match=r"bomb\.png is larger than .* million pixels.*; cut it into parts"):
        read_picture(path)


def test_pages_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(picture(seed)) for seed in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"holds 3 pages or frames; save each as a file of its own"):
        read_picture(tmp_path / "a.tif")


def test_floating_point_levels_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.ones((2, 2), np.float32))
    with pytest.raises(DataError, match="floating-point levels, of unknown range; save it at 8 or 16 bits"):
        read_picture(path)


def test_levels_above_16_bits_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.array([[70_000]], np.int32))
    with pytest.raises(DataError, match="holds levels from 70000 to 70000"):
        read_picture(path)


def _png(width: int, height: int, depth: int, color: int, row: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", width, height, depth, color, 0, 0, 0)
    body = zlib.compress(b"\0" + row)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
