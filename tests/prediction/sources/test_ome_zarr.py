"""Zarr as pictures: both versions, the levels of OME-Zarr, and what its chunks may lack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from downup.errors import ArgumentError, DataError
from downup.prediction.sources import find_pictures, open_image

Array = np.ndarray[Any, Any]
ReadAll = Callable[[Any], Array]


def ome(path: Path, picture: Array, version: int) -> Path:
    """A picture as microscopes write it, with a smaller copy."""
    group = zarr.create_group(str(path), zarr_format=version)
    stack = np.moveaxis(picture, 2, 0)[None, :, None]
    for level in range(2):
        copy = stack[..., :: 2**level, :: 2**level]
        array = group.create_array(str(level), shape=copy.shape, chunks=(1, 1, 1, 16, 32), dtype=copy.dtype)
        array[:] = copy
    scales = [{"axes": [{"name": axis} for axis in "tczyx"], "datasets": [{"path": "0"}, {"path": "1"}]}]
    group.attrs.update({"ome": {"multiscales": scales}} if version == 3 else {"multiscales": scales})
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2"])
def test_windows_of_an_array_are_those_of_the_picture(
    tmp_path: Path, read_all: ReadAll, random_picture: Array, version: int, is_first: bool, dtype: str
):
    data = random_picture if dtype == "u1" else random_picture.astype(np.uint16) * 256 + 9
    data = np.moveaxis(data, 2, 0) if is_first else data
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=data.shape,
        chunks=(20, 30, 3)[: data.ndim],
        dtype=dtype,
        zarr_format=version,
    )
    array[:] = data
    np.testing.assert_array_equal(read_all(open_image(tmp_path / "a.zarr", "rgb")), random_picture)


@pytest.mark.parametrize("version", [2, 3])
def test_a_level_of_ome_zarr_is_chosen(
    tmp_path: Path, read_all: ReadAll, random_picture: Array, version: int
):
    path = ome(tmp_path / "a.zarr", random_picture, version)
    np.testing.assert_array_equal(read_all(open_image(path, "rgb")), random_picture)
    np.testing.assert_array_equal(read_all(open_image(path, "rgb", level=1)), random_picture[::2, ::2])
    with pytest.raises(ArgumentError, match=r"level is 2, but .*a\.zarr has 2; use 0 to 1"):
        open_image(path, "rgb", level=2)
    assert find_pictures([tmp_path]).pictures == (path,)
    assert find_pictures([path]).pictures == (path,)


def test_missing_chunks_hold_the_fill_value(tmp_path: Path, read_all: ReadAll):
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(40, 40), chunks=(20, 20), dtype="u1", fill_value=7, zarr_format=2
    )
    array[:] = 200
    (tmp_path / "a.zarr" / "1.0").unlink()
    pixels = read_all(open_image(tmp_path / "a.zarr", "grey"))[..., 0]
    assert (pixels[20:, :20] == 7).all()
    assert np.count_nonzero(pixels == 200) == 3 * 400


def test_a_damaged_chunk_is_named_by_its_place(tmp_path: Path):
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(40, 40), chunks=(20, 20), dtype="u1", zarr_format=2
    )
    array[:] = np.random.default_rng(0).integers(0, 256, (40, 40))
    (tmp_path / "a.zarr" / "1.0").write_bytes(b"nothing that can be decoded")
    image = open_image(tmp_path / "a.zarr", "grey")
    image.read(slice(0, 20), slice(0, 40))
    with pytest.raises(DataError, match=r"a\.zarr is damaged in rows 10 to 30, columns 0 to 5"):
        image.read(slice(10, 30), slice(0, 5))


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, random_picture: Array):
    group = zarr.create_group(str(tmp_path / "group.zarr"))
    group.create_array("inner", shape=(4, 4), dtype="u1")
    with pytest.raises(
        DataError, match=r"is a group that tells of no picture .* name one of its arrays: inner"
    ):
        open_image(tmp_path / "group.zarr", "rgb")
    zarr.create_array(str(tmp_path / "float.zarr"), shape=(4, 4), dtype="f4")
    with pytest.raises(DataError, match=r"float\.zarr holds floating-point levels"):
        open_image(tmp_path / "float.zarr", "rgb")
    path = ome(tmp_path / "deep.zarr", random_picture, 3)
    group = zarr.open_group(str(path))
    del group["0"]
    group.create_array("0", shape=(1, 3, 5, 40, 40), chunks=(1, 1, 1, 40, 40), dtype="u1")
    with pytest.raises(DataError, match="more than one picture: 5 along z"):
        open_image(path, "rgb")
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / "zarr.json").write_text("{")
    with pytest.raises(DataError, match=r"bad\.zarr is damaged, or no Zarr"):
        open_image(tmp_path / "bad.zarr", "rgb")


def test_a_chunk_that_changed_makes_it_another_picture(tmp_path: Path, random_picture: Array):
    path = ome(tmp_path / "a.zarr", random_picture, 3)
    before = open_image(path, "rgb").identity()
    assert open_image(path, "rgb").identity() == before
    zarr.open_group(str(path))["0"][0, 0, 0, 0, 0] = 1
    assert open_image(path, "rgb").identity() != before
