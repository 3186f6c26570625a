"""Labelling a picture of any size into a file: the labels of the whole picture, whatever happens on the way."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from downup.data.colors import ClassInfo
from downup.errors import ArgumentError, DataError
from downup.prediction import label_picture, open_image, open_labels, verify_labels
from downup.prediction.work import Work, work_path
from downup.prediction.work_file import WorkFile
from prediction.calls import label_image

Array = np.ndarray[Any, Any]
Make = Callable[..., Any]


@pytest.fixture
def picture() -> Array:
    return np.random.default_rng(2).integers(0, 256, (150, 230, 3), np.uint8)


@pytest.fixture
def options(classes: list[ClassInfo]) -> dict[str, Any]:
    return {"classes": classes, "channels": "rgb", "window": 32}


def read(path: Path) -> Array:
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".zarr":
        return zarr.open(str(path), mode="r")["0"][:]
    with Image.open(path) as image:
        return np.asarray(image)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Stops(Exception):  # noqa: N818
    """What a test throws to stop a run."""


def stopping(session: Any, after: int) -> Any:
    """The session, but it stops after so many windows."""
    label, left = session.labels, iter(range(after))

    def labels(pixels: Array) -> Array:
        if next(left, None) is None:
            raise Stops
        return label(pixels)

    session.labels = labels
    return session


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".zarr"])
def test_the_file_holds_the_labels_of_the_whole_picture(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array, suffix: str
):
    tifffile.imwrite(tmp_path / "a.tif", picture, tile=(64, 64), compression="zlib", photometric="rgb")
    session, said = make_session(halo=3, stride=4), []
    out = tmp_path / "out" / f"labels{suffix}"
    done = label_image(session, tmp_path / "a.tif", out, progress=lambda *step: said.append(step), **options)
    whole = make_session(halo=3, stride=4).labels(picture)
    np.testing.assert_array_equal(read(out), whole)
    np.testing.assert_array_equal(label_picture(session, picture), whole)
    assert (done.rows, done.columns, done.windows, done.resumed) == (150, 230, 40, 0)
    assert [step[0] for step in said] == sorted({step[0] for step in said})
    assert said[-1] == (150 * 230, 150 * 230, str(tmp_path / "a.tif"))
    assert names_in(out.parent) == [out.name]
    # Again, over the old file.
    label_image(session, tmp_path / "a.tif", out, **options)
    np.testing.assert_array_equal(read(out), whole)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".zarr"])
def test_more_classes_than_a_byte_tells_apart_have_labels_of_two(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array, suffix: str
):
    classes = [ClassInfo(f"c{number}", (number % 256, number // 256, 0)) for number in range(300)]
    session, out = make_session(halo=3, stride=100, class_count=300), tmp_path / f"labels{suffix}"
    options |= {"classes": classes, "window": 100}
    label_image(session, picture, out, overlay=tmp_path / "seen.jpg", **options)
    whole = session.labels(picture)
    assert whole.max() > 256
    found = read(out)
    assert found.dtype.itemsize == (4 if suffix == ".png" and found.dtype == np.int32 else 2)
    np.testing.assert_array_equal(found, whole)
    with open_labels(out, 150, 230) as labels:
        assert verify_labels(session, open_image(picture, "rgb"), labels, windows=3).different == 0
        wrong = labels(slice(0, 150), slice(0, 230)).astype(int) % 256
    assert (wrong != whole).any()
    with pytest.raises(ArgumentError, match="labels are wanted as uint8, of 300 classes; use uint16"):
        label_image(session, picture, out, label_type="uint8", **options)
    # Stopped and gone on with.
    out = tmp_path / f"again{suffix}"
    with pytest.raises(Stops):
        label_image(stopping(make_session(halo=3, stride=100, class_count=300), 3), picture, out, **options)
    assert label_image(session, picture, out, resume=True, **options).resumed >= 2
    np.testing.assert_array_equal(read(out), whole)


def test_labels_of_two_bytes_may_be_wished_for(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    label_image(make_session(), picture, tmp_path / "a.npy", label_type="uint16", **options)
    found = read(tmp_path / "a.npy")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, make_session().labels(picture))


def test_one_pixel_is_a_picture(tmp_path: Path, make_session: Make, options: dict[str, Any]):
    for shape in ((1, 1, 3), (1, 400, 3), (300, 1, 3)):
        picture = np.full(shape, 7, np.uint8)
        label_image(make_session(halo=9, stride=8), picture, tmp_path / "a.npy", **options)
        expected = make_session(halo=9, stride=8).labels(picture)
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)


def test_an_overlay_lies_beside_the_labels_and_is_smaller_for_a_large_picture(
    tmp_path: Path, make_session: Make, classes: list[ClassInfo], picture: Array
):
    arguments: dict[str, Any] = {"classes": classes, "channels": "rgb", "overlay": tmp_path / "seen.jpg"}
    label_image(make_session(), picture, tmp_path / "a.png", **arguments)
    with Image.open(tmp_path / "seen.jpg") as seen:
        assert seen.size == (230, 150)
    large = np.broadcast_to(np.uint8(90), (4100, 4200))
    label_image(make_session(), large, tmp_path / "a.png", **arguments)
    with Image.open(tmp_path / "seen.jpg") as seen:
        assert seen.size == (1400, 1367)


def test_labels_lie_where_their_picture_lies_on_the_earth(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    tags = [
        (33550, 12, 3, (0.5, 0.5, 0.0), True),
        (33922, 12, 6, (0.0, 0.0, 0.0, 7.0, 51.0, 0.0), True),
        (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 2), True),
        (34737, 2, 0, "WGS 84|", True),
    ]
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", extratags=tags)
    label_image(make_session(), tmp_path / "a.tif", tmp_path / "b.tif", **options)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert [file.pages[0].tags[tag[0]].value for tag in tags] == [tag[3] for tag in tags]


def test_probabilities_of_chosen_classes_lie_beside_the_labels(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    session = make_session(halo=3, stride=4)

    def labels_and_probabilities(pixels: Array, classes: list[int]) -> tuple[Array, Array]:
        # By brightness and class, so that places and planes that are mixed up would show.
        shares = np.stack([pixels[..., 0] / 255 * (number + 1) / 3 for number in classes], axis=2)
        return session.labels(pixels), shares

    session.labels_and_probabilities = labels_and_probabilities
    chosen = ["land", "water"]
    done = label_image(session, picture, tmp_path / "a.png", probabilities=chosen, **options)
    assert [path.name for path in done.probabilities] == ["a_land.png", "a_water.png"]
    for path, share in zip(done.probabilities, (1, 1 / 3), strict=True):
        np.testing.assert_array_equal(read(path), np.rint(picture[..., 0] * share).astype(np.uint8))
    np.testing.assert_array_equal(read(tmp_path / "a.png"), make_session(halo=3, stride=4).labels(picture))


def test_results_that_are_only_approximate_say_so(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    session = make_session()
    session.caveat = "approximate: in windows"
    for suffix in (".png", ".tif"):
        assert label_image(session, picture, tmp_path / f"a{suffix}", **options).caveat == session.caveat
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["Comment"] == session.caveat
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert session.caveat in file.pages[0].tags["ImageDescription"].value
    done = label_image(session, picture, tmp_path / "whole.png", **{**options, "window": 230})
    assert (done.windows, done.caveat) == (1, "")
    with Image.open(tmp_path / "whole.png") as image:
        assert "Comment" not in image.info


# ------------------------------------------------------------ stopped and resumed


def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    label_image(make_session(halo=3, stride=4), picture, tmp_path / "whole.png", **options)
    out = tmp_path / "a.png"
    with pytest.raises(Stops):
        label_image(stopping(make_session(halo=3, stride=4), 13), picture, out, **options)
    assert names_in(work_path(out)) == ["layer0.bytes", "manifest.jsonl"]
    assert not out.exists()

    session = make_session(halo=3, stride=4)
    done = label_image(session, picture, out, resume=True, **{**options, "window": None})
    assert done.resumed == 40 - len(session.seen) == 13
    assert out.read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert names_in(tmp_path) == ["a.png", "whole.png"]


def test_a_stopped_run_is_not_thrown_away_unasked(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    with pytest.raises(Stops):
        label_image(stopping(make_session(), 13), picture, tmp_path / "a.png", **options)
    with pytest.raises(
        DataError, match=r"a\.png: 13 of 40 windows are done .* go on with --resume, or remove"
    ):
        label_image(make_session(), picture, tmp_path / "a.png", **options)


def test_a_run_that_was_stopped_at_once_leaves_nothing(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    with pytest.raises(Stops):
        label_image(stopping(make_session(), 0), picture, tmp_path / "a.png", **options)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("picture", "the picture changed since this work began: samples_sha256 was"),
        ("model", "the model changed since this work began: sha256 was"),
        ("window", "the settings changed since this work began: window was 32 and is 48"),
        ("probabilities", r"probabilities was \[\] and is \['ice'\]"),
        ("halo", "halo was 3 and is 5"),
    ],
)
def test_what_changed_since_is_named_and_refused(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array, changed: str, words: str
):
    model, out = tmp_path / "model.onnx", tmp_path / "a.png"
    model.write_bytes(b"one")
    with pytest.raises(Stops):
        label_image(stopping(make_session(halo=3), 13), picture, out, model=model, **options)
    if changed == "picture":
        picture[0, 0, 0] ^= 1
    if changed == "model":
        model.write_bytes(b"two")
    if changed == "window":
        options["window"] = 48
    if changed == "probabilities":
        options["probabilities"] = ["ice"]
    session = make_session(halo=5 if changed == "halo" else 3)
    kept = (work_path(out) / "layer0.bytes").read_bytes()
    with pytest.raises(DataError, match=words):
        label_image(session, picture, out, model=model, resume=True, **options)
    assert (work_path(out) / "layer0.bytes").read_bytes() == kept


def test_a_file_that_was_touched_is_another_picture(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    np.save(tmp_path / "a.npy", picture)
    with pytest.raises(Stops):
        label_image(stopping(make_session(), 13), tmp_path / "a.npy", tmp_path / "a.png", **options)
    os.utime(tmp_path / "a.npy", ns=(1, 1))
    with pytest.raises(DataError, match="modified_ns was"):
        label_image(make_session(), tmp_path / "a.npy", tmp_path / "a.png", resume=True, **options)


def test_windows_whose_bytes_are_not_those_of_their_checksum_are_made_again(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    label_image(make_session(), picture, tmp_path / "whole.png", **options)
    out = tmp_path / "a.png"
    with pytest.raises(Stops):
        label_image(stopping(make_session(), 13), picture, out, **options)
    # As after a power cut: the lines are there, some of the bytes are not; and half a line.
    with (work_path(out) / "layer0.bytes").open("r+b") as file:
        file.write(b"\xff" * 1500)
    with (work_path(out) / "manifest.jsonl").open("ab") as file:
        file.write(b'{"window": 39, "crc')
    session = make_session()
    done = label_image(session, picture, out, resume=True, **options)
    assert done.resumed == 11
    assert out.read_bytes() == (tmp_path / "whole.png").read_bytes()


def test_two_runs_into_one_output_are_refused(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    with Work(tmp_path / "a.png"), pytest.raises(DataError, match="another process is labelling into"):
        label_image(make_session(), picture, tmp_path / "a.png", **options)
    label_image(make_session(), picture, tmp_path / "a.png", **options)


# ------------------------------------------------------------ what cannot be written


def test_a_disk_that_fills_keeps_what_is_done(
    tmp_path: Path,
    make_session: Make,
    options: dict[str, Any],
    picture: Array,
    monkeypatch: pytest.MonkeyPatch,
):
    write = WorkFile.write

    def full(self: WorkFile, number: int, values: Array) -> int:
        if number == 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, number, values)

    monkeypatch.setattr(WorkFile, "write", full)
    words = r"cannot write its labels into .* \(there is no room left\); what is done is kept: free some"
    with pytest.raises(DataError, match=words):
        label_image(make_session(), picture, tmp_path / "a.png", **options)
    monkeypatch.undo()
    assert label_image(make_session(), picture, tmp_path / "a.png", resume=True, **options).resumed == 20


def test_a_result_that_cannot_be_written_keeps_the_work(
    tmp_path: Path,
    make_session: Make,
    options: dict[str, Any],
    picture: Array,
    monkeypatch: pytest.MonkeyPatch,
):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("downup.prediction.sinks.formats.write_png", full)
    with pytest.raises(DataError, match="there is no room left"):
        label_image(make_session(), picture, tmp_path / "a.png", **options)
    monkeypatch.undo()
    session = make_session()
    assert label_image(session, picture, tmp_path / "a.png", resume=True, **options).resumed == 40
    assert not session.seen


def test_a_disk_that_is_too_small_is_told_before_any_work(
    tmp_path: Path,
    make_session: Make,
    options: dict[str, Any],
    picture: Array,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 34_000}))
    session = make_session()
    with pytest.raises(DataError, match=r"take 0\.0345 MB on the way, but 0\.034 MB are free"):
        label_image(session, picture, tmp_path / "a.png", **options)
    assert not session.seen


@pytest.mark.parametrize(
    ("name", "words"), [("a.gif", r"end its name in one of \.png"), ("labels", "out is '.*labels'")]
)
def test_a_name_without_a_format_is_refused(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array, name: str, words: str
):
    with pytest.raises(ArgumentError, match=words):
        label_image(make_session(), picture, tmp_path / name, **options)


def test_a_class_that_there_is_not_is_refused(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    with pytest.raises(ArgumentError, match="probabilities names 'fog'; use classes among water, ice, land"):
        label_image(make_session(), picture, tmp_path / "a.png", probabilities=["fog"], **options)


def test_killed_at_any_moment_it_ends_in_the_same_bytes(
    tmp_path: Path, is_long: bool, tell: Callable[[str], None]
):
    program = Path(__file__).with_name("killing.py")
    command = [sys.executable, program, tmp_path, "100" if is_long else "3", str(os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    tell(f"labelling: {done.stdout.strip()}")


def test_a_full_disk_and_a_folder_that_is_a_file_give_one_sentence(
    tmp_path: Path, make_session: Make, options: dict[str, Any], picture: Array
):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write its labels into .*file/inner \(Not a directory\)$"):
        label_image(make_session(), picture, tmp_path / "file" / "inner" / "a.png", **options)
    # As a quota of the file system: no file may be longer than 20 kB.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(DataError, match=r"cannot write its labels into .* \(File too large\)"):
            label_image(make_session(), picture, tmp_path / "a.png", **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
