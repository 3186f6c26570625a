"""Labels computed again: what is right is found right, and a pixel that is not is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from downup.cli import app
from downup.data import ClassInfo
from downup.errors import ArgumentError, DataError
from downup.prediction import open_image, open_labels, verify_labels
from engine.test_labels import network, with_metadata
from prediction.calls import label_image

PICTURE = np.random.default_rng(3).integers(0, 256, (700, 330, 3)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".png", ".zarr"])
def test_right_labels_are_found_right(
    make_session: Callable[..., Any], classes: list[ClassInfo], tmp_path: Path, suffix: str
) -> None:
    session, out = make_session(halo=3, stride=4), tmp_path / f"labels{suffix}"
    label_image(session, PICTURE, out, classes=classes, channels="rgb", window=64)
    with open_labels(out, 700, 330) as labels:
        found = verify_labels(session, open_image(PICTURE, "rgb"), labels, windows=5)
    assert (found.windows, found.different, found.first) == (5, 0, ())
    assert found.pixels > 5 * 64 * 256
    with pytest.raises(
        DataError, match=r"labels.* holds 700 x 330 labels, but the picture has 700 x 331 pixels"
    ):
        open_labels(out, 700, 331).__enter__()


def test_places_are_all_over_the_picture_and_wrong_pixels_are_named(make_session: Callable[..., Any]) -> None:
    session = make_session(halo=3, stride=4)
    right = session.labels(PICTURE)
    looked = np.zeros(right.shape, bool)

    def look(rows: slice, columns: slice) -> Any:
        looked[rows, columns] = True
        return wrong[rows, columns]

    wrong = right.copy()
    assert verify_labels(session, open_image(PICTURE, "rgb"), look, windows=60).different == 0
    assert looked.all()
    wrong[699, 329] = wrong[0, 0] = 7
    found = verify_labels(session, open_image(PICTURE, "rgb"), look, windows=60)
    assert found.different >= 2
    assert {place[:3] for place in found.first} <= {(0, 0, 7), (699, 329, 7)}
    assert all(new == right[row, column] for row, column, _, new in found.first)


def test_a_halo_that_is_too_small_is_found(make_session: Callable[..., Any], tmp_path: Path) -> None:
    """Labels made in windows that read too little differ from those with more around them."""
    session, honest = make_session(halo=3, stride=4), make_session(halo=3, stride=4)
    session.halo, session.labels = 0, honest.labels
    label_image(session, PICTURE, tmp_path / "labels.npy", classes=[ClassInfo(c, (i,) * 3) for i, c in enumerate("abc")],
                channels="rgb", window=16)  # fmt: skip
    with open_labels(tmp_path / "labels.npy", 700, 330) as labels:
        assert verify_labels(honest, open_image(PICTURE, "rgb"), labels).different > 0


def test_no_windows_and_unknown_files_are_refused(make_session: Callable[..., Any], tmp_path: Path) -> None:
    session = make_session()
    with pytest.raises(ArgumentError, match="windows is 0; use at least 1"):
        verify_labels(
            session, open_image(PICTURE, "rgb"), lambda rows, columns: PICTURE[rows, columns, 0], windows=0
        )
    with pytest.raises(
        ArgumentError, match=r"give the \.png, \.tif, \.npy or \.zarr that downup predict wrote"
    ):
        open_labels(tmp_path / "labels.jpg", 3, 3).__enter__()
    Image.fromarray(PICTURE).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match="is a picture of mode RGB, not of labels"):
        open_labels(tmp_path / "rgb.png", 700, 330).__enter__()


def test_the_command_says_how_many_differ_and_fails_where_any_does(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    with_metadata(network("convolution")[0], model)
    Image.fromarray(PICTURE[:300, :200]).save(tmp_path / "picture.png")
    files = [str(tmp_path / name) for name in ("labels.npy", "picture.png", "model.onnx")]
    done = CliRunner().invoke(app, ["predict", files[2], files[1], "-o", files[0], "--window", "40"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["verify", *files, "--windows", "3"])
    assert done.exit_code == 0, done.output
    assert "0 of" in done.output
    assert "pixels differ, in 3 windows of" in done.output
    labels = np.load(files[0])
    labels[100:110] = 1 - labels[100:110].clip(0, 1)
    np.save(files[0], labels)
    done = CliRunner().invoke(app, ["verify", *files, "--windows", "3"])
    assert done.exit_code == 1
    assert "row 100, column" in " ".join(done.output.split())
