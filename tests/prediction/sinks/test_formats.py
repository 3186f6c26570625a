"""Results of every format, written from rows: what other programs read in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from downup.data.colors import ClassInfo, flat_palette
from downup.errors import ArgumentError
from downup.prediction.sinks import FORMATS, Layer, Rows, format_of, write_layer

Array = np.ndarray[Any, Any]


def rows_of(labels: Array, at_once: int = 512) -> Rows:
    return Rows(*labels.shape, lambda first, last: labels[first:last].copy(), at_once)


def read(path: Path) -> Array:
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".zarr":
        return zarr.open(str(path), mode="r")["0"][:]
    if path.suffix == ".tif":
        return tifffile.imread(path, level=0)
    with Image.open(path) as image:
        return np.asarray(image)


def bytes_of(path: Path) -> list[bytes]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file.read_bytes() for file in files if file.is_file()]


@pytest.fixture
def layer(classes: list[ClassInfo]) -> Layer:
    return Layer(
        "labels",
        flat_palette(classes),
        tuple(item.name for item in classes),
        tuple(item.color for item in classes),
    )


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (513, 512), (1100, 1025)])
def test_what_was_written_is_read_again(tmp_path: Path, layer: Layer, kind: str, shape: tuple[int, int]):
    labels = np.random.default_rng(3).integers(0, 3, shape, np.uint8)
    path = tmp_path / f"a{FORMATS[kind]}"
    assert format_of(path) == kind
    write_layer(path, kind, layer, rows_of(labels, 100))
    np.testing.assert_array_equal(read(path), labels)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_labels_are_seen_in_the_colours_of_their_classes(
    tmp_path: Path, layer: Layer, classes: list[ClassInfo], kind: str
):
    path = tmp_path / f"a{FORMATS[kind]}"
    write_layer(path, kind, layer, rows_of(np.array([[0, 1, 2]], np.uint8)))
    with Image.open(path) as image:
        assert image.mode == "P"
        assert np.asarray(image.convert("RGB"))[0].tolist() == [list(item.color) for item in classes]


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_probabilities_are_grey(tmp_path: Path, kind: str):
    path = tmp_path / f"a{FORMATS[kind]}"
    write_layer(path, kind, Layer("probability of ice"), rows_of(np.array([[0, 128, 255]], np.uint8)))
    with Image.open(path) as image:
        assert image.mode == "L"
        assert np.asarray(image).tolist() == [[0, 128, 255]]


def test_a_png_of_many_chunks_is_whole(tmp_path: Path, layer: Layer):
    labels = np.random.default_rng(3).integers(0, 256, (1500, 1500), np.uint8)
    write_layer(tmp_path / "a.png", "png", layer, rows_of(labels))
    assert (tmp_path / "a.png").read_bytes().count(b"IDAT") > 1
    np.testing.assert_array_equal(read(tmp_path / "a.png"), labels)


def test_a_tiff_holds_smaller_copies_down_to_one_tile(tmp_path: Path, layer: Layer):
    labels = np.random.default_rng(3).integers(0, 3, (1100, 2049), np.uint8)
    write_layer(tmp_path / "a.tif", "tiff", layer, rows_of(labels))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        (series,) = file.series
        assert [level.shape for level in series.levels] == [(1100, 2049), (550, 1025), (275, 513), (138, 257)]
        for number, level in enumerate(series.levels):
            np.testing.assert_array_equal(level.asarray(), labels[:: 2**number, :: 2**number])
            assert level.keyframe.tilewidth == 512
            assert level.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE
        assert "0 water; 1 ice; 2 land" in file.pages[0].description


def test_the_same_labels_give_the_same_bytes(tmp_path: Path, layer: Layer):
    labels = np.random.default_rng(3).integers(0, 3, (600, 600), np.uint8)
    for kind, suffix in FORMATS.items():
        paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
        for path, at_once in zip(paths, (512, 512), strict=True):
            write_layer(path, kind, layer, rows_of(labels, at_once))
        assert bytes_of(paths[0]) == bytes_of(paths[1])


def test_another_format_is_refused(tmp_path: Path, layer: Layer):
    with pytest.raises(ArgumentError, match="format is 'gif'; use one of png, tiff, npy, zarr"):
        write_layer(tmp_path / "a.gif", "gif", layer, rows_of(np.zeros((1, 1), np.uint8)))


def test_zarr_tells_of_its_levels_names_and_colours(tmp_path: Path, layer: Layer, classes: list[ClassInfo]):
    labels = np.random.default_rng(3).integers(0, 3, (600, 1100), np.uint8)
    write_layer(tmp_path / "a.zarr", "zarr", layer, rows_of(labels))
    group = zarr.open(str(tmp_path / "a.zarr"), mode="r")
    about = group.attrs["ome"]
    (scales,) = about["multiscales"]
    for number, dataset in enumerate(scales["datasets"]):
        step = 2**number
        assert dataset["coordinateTransformations"] == [{"type": "scale", "scale": [step, step]}]
        np.testing.assert_array_equal(group[dataset["path"]][:], labels[::step, ::step])
    assert len(scales["datasets"]) == 3
    told = about["image-label"]
    assert [item["class"] for item in told["properties"]] == ["water", "ice", "land"]
    assert [tuple(item["rgba"][:3]) for item in told["colors"]] == [item.color for item in classes]
