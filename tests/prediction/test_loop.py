"""Labelling pictures and folders: sizes, progress, and what happens when something is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from downup.data.colors import ClassInfo
from downup.errors import ArgumentError, DataError
from downup.prediction import label_picture
from prediction.calls import label_folder

Make = Callable[..., Any]


def save(path: Path, rows: int = 5, columns: int = 7, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(rows)
    shape = (rows, columns, 3) if mode == "RGB" else (rows, columns)
    Image.fromarray(random.integers(0, 256, shape).astype(np.uint8)).save(path)
    return path


def read(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_large_picture_goes_in_windows_and_progress_counts_them(make_session: Make):
    session = make_session(halo=3, stride=4)
    said: list[tuple[int, int, str]] = []
    labels = label_picture(session, np.zeros((30, 70, 1), np.uint8), 16, lambda *step: said.append(step))
    assert labels.shape == (30, 70)
    assert said == [(n, 10, "") for n in range(1, 11)]
    assert max(max(shape[:2]) for shape in session.seen) <= 16 + 2 * (3 + 4)


def test_the_earth_goes_in_windows_of_about_1024_by_default(make_session: Make):
    session = make_session(halo=0, stride=32)
    label_picture(session, np.zeros((2700, 5400, 1), np.uint8))
    assert len(session.seen) == 18
    assert max(max(shape[:2]) for shape in session.seen) <= 1024


@pytest.mark.parametrize(
    "picture", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3)), np.zeros((0, 2, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(make_session: Make, picture: np.ndarray[Any, Any]):
    with pytest.raises(ArgumentError, match="picture has shape"):
        label_picture(make_session(), picture)


def test_each_picture_gets_a_file_of_its_stem_and_size(
    tmp_path: Path, make_session: Make, classes: list[ClassInfo]
):
    save(tmp_path / "in" / "a.png", 5, 7)
    save(tmp_path / "in" / "b.c.jpg", 1, 1, "L")
    single = save(tmp_path / "d.tif", 3, 2)
    session = make_session(halo=1)
    said: list[tuple[int, int, str]] = []
    out = tmp_path / "made" / "out"
    outcome = label_folder(
        session,
        [tmp_path / "in", single],
        out,
        classes=classes,
        channels="rgb",
        progress=lambda *step: said.append(step),
    )
    assert outcome.failed == ()
    assert outcome.done == (out / "a.png", out / "b.c.png", out / "d.png")
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.c.png", "d.png"]
    assert [read(path).shape for path in outcome.done] == [(5, 7), (1, 1), (3, 2)]
    np.testing.assert_array_equal(read(out / "a.png"), session.labels(read(tmp_path / "in" / "a.png")))
    assert said == [(1, 3, "a.png"), (2, 3, "b.c.jpg"), (3, 3, "d.tif")]


def test_overlays_lie_beside_the_labels(tmp_path: Path, make_session: Make, classes: list[ClassInfo]):
    picture = save(tmp_path / "a.png", 5, 7)
    label_folder(make_session(), [picture], tmp_path / "out", classes=classes, channels="grey", overlay=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "a_overlay.jpg"]
    assert read(tmp_path / "out" / "a_overlay.jpg").shape == (5, 7, 3)


def test_a_bad_file_is_named_and_skipped_and_the_rest_done(
    tmp_path: Path, make_session: Make, classes: list[ClassInfo]
):
    good = [save(tmp_path / "a.png"), save(tmp_path / "z.png")]
    torn = save(tmp_path / "torn.png", 60, 60)
    torn.write_bytes(torn.read_bytes()[:500])
    text = tmp_path / "text.png"
    text.write_text("no picture")
    empty = tmp_path / "empty"
    empty.mkdir()
    bad = [torn, text, tmp_path / "missing.png"]
    outcome = label_folder(
        make_session(), [good[0], *bad, empty, good[1]], tmp_path / "out", classes=classes, channels="rgb"
    )
    assert [path.name for path in outcome.done] == ["a.png", "z.png"]
    assert {path for path, _ in outcome.failed} == {*bad, empty}
    for path, message in outcome.failed:
        assert str(path) in message
        assert "\n" not in message


def test_labels_that_cannot_be_written_are_named_and_the_rest_done(
    tmp_path: Path, make_session: Make, classes: list[ClassInfo]
):
    pictures = [save(tmp_path / name) for name in ("a.png", "b.png")]
    (tmp_path / "out" / "a.png" / "in the way").mkdir(parents=True)
    outcome = label_folder(make_session(), pictures, tmp_path / "out", classes=classes, channels="rgb")
    assert outcome.done == (tmp_path / "out" / "b.png",)
    ((path, message),) = outcome.failed
    assert path == pictures[0]
    assert f"{pictures[0]}: cannot write its labels into {tmp_path / 'out'} (Is a directory)" in message


def test_too_little_memory_for_one_picture_leaves_the_others(
    tmp_path: Path, make_session: Make, classes: list[ClassInfo]
):
    pictures = [save(tmp_path / "a.png", 9, 9), save(tmp_path / "b.png", 2, 2)]
    session = make_session()
    label = session.labels

    def labels(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if picture.shape[0] > 5:
            raise MemoryError
        return label(picture)

    session.labels = labels
    outcome = label_folder(session, pictures, tmp_path / "out", classes=classes, channels="rgb")
    assert [path.name for path in outcome.done] == ["b.png"]
    assert "not enough memory; use a smaller window" in outcome.failed[0][1]


def test_two_pictures_of_one_stem_are_refused_before_any_work(
    tmp_path: Path, make_session: Make, classes: list[ClassInfo]
):
    save(tmp_path / "a.png")
    save(tmp_path / "a.jpg")
    session = make_session()
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png would both be written as .*out/a\.png"):
        label_folder(session, [tmp_path], tmp_path / "out", classes=classes, channels="rgb")
    assert not session.seen
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("way", ["same folder", "dots", "link"])
def test_a_picture_is_never_overwritten(
    tmp_path: Path, make_session: Make, classes: list[ClassInfo], way: str
):
    picture = save(tmp_path / "in" / "a.png")
    before = picture.read_bytes()
    ways = {"same folder": "in", "dots": "in/../in", "link": "link"}
    out = tmp_path / ways[way]
    if way == "link":
        out.symlink_to(tmp_path / "in")
    with pytest.raises(DataError, match=r"the labels of a\.png would overwrite this picture"):
        label_folder(make_session(), [tmp_path / "in"], out, classes=classes, channels="rgb")
    assert picture.read_bytes() == before


def test_labels_of_one_picture_never_overwrite_another(
    tmp_path: Path, make_session: Make, classes: list[ClassInfo]
):
    save(tmp_path / "a.png")
    save(tmp_path / "b" / "a_overlay.jpg")
    arguments: dict[str, Any] = {"classes": classes, "channels": "rgb"}
    paths = [tmp_path / "a.png", tmp_path / "b" / "a_overlay.jpg"]
    with pytest.raises(DataError, match="would overwrite"):
        label_folder(make_session(), paths, tmp_path / "b", overlay=True, **arguments)
    assert len(label_folder(make_session(), paths, tmp_path / "b", **arguments).done) == 2


def test_old_labels_are_replaced(tmp_path: Path, make_session: Make, classes: list[ClassInfo]):
    picture = save(tmp_path / "a.png", 4, 4)
    save(tmp_path / "out" / "a.png", 9, 9)
    label_folder(make_session(), [picture], tmp_path / "out", classes=classes, channels="rgb")
    assert read(tmp_path / "out" / "a.png").shape == (4, 4)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_an_output_that_is_a_file_is_refused(tmp_path: Path, make_session: Make, classes: list[ClassInfo]):
    picture = save(tmp_path / "a.png")
    shutil.copy(picture, tmp_path / "out")
    with pytest.raises(DataError, match="out: cannot make this folder"):
        label_folder(make_session(), [picture], tmp_path / "out", classes=classes, channels="rgb")


def test_classes_of_another_network_are_refused(tmp_path: Path, make_session: Make, classes: list[ClassInfo]):
    with pytest.raises(ArgumentError, match="classes names 3, but the network knows 5"):
        label_folder(make_session(class_count=5), [tmp_path], tmp_path, classes=classes, channels="rgb")


def test_a_stopped_folder_goes_on_where_it_was(tmp_path: Path, make_session: Make, classes: list[ClassInfo]):
    pictures = [save(tmp_path / "in" / f"{name}.png", 40, 50) for name in "abc"]
    arguments: dict[str, Any] = {"classes": classes, "channels": "rgb", "window": 16}
    session = make_session()
    label, left = session.labels, iter(range(20))

    def labels(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return label(picture)

    session.labels = labels
    with pytest.raises(KeyboardInterrupt):
        label_folder(session, pictures, tmp_path / "out", **arguments)
    with pytest.raises(
        DataError, match=r"out/a\.png: was begun by a run that was stopped, as were 1 more; go on with"
    ):
        label_folder(make_session(), pictures, tmp_path / "out", **arguments)
    again = make_session()
    outcome = label_folder(again, pictures, tmp_path / "out", resume=True, **arguments)
    assert outcome.failed == ()
    # Twelve windows each; those of the first picture and eight of the second are there.
    assert len(again.seen) == 16
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "c.png"]
    for path in pictures:
        np.testing.assert_array_equal(read(tmp_path / "out" / path.name), make_session().labels(read(path)))
