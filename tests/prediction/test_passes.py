"""Networks that ask for numbers of the whole picture: labels of windows after passes that gather them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tifffile

from downup.data import ClassInfo, NetworkMetadata
from downup.engine import Session
from downup.errors import DataError
from downup.prediction import label_picture, open_image, open_labels, verify_labels
from downup.prediction.cluster import Cluster, Task, Worker
from downup.prediction.work import work_path
from graph.builders import Builder
from prediction.calls import label_folder, label_image

CLASSES = tuple(ClassInfo(name, (shade, shade, shade)) for shade, name in enumerate(("sea", "ice", "land")))
ABOUT = NetworkMetadata(
    classes=CLASSES, channels="rgb", mean=(0.5,) * 3, deviation=(0.25,) * 3, stride=2, halo=9
)


class Stops(Exception):  # noqa: N818
    """What a test throws to stop a run."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network of two squeeze-and-excite blocks, one behind the other, and a picture."""
    folder = tmp_path_factory.mktemp("passes")
    make = Builder(7)
    x, into = "x", 3
    for stride in (2, 1):
        x = make.node("Relu", make.conv(x, into, 8, strides=[stride] * 2))
        gate = make.conv(make.node("GlobalAveragePool", x), 8, 8, 1)
        x, into = make.node("Mul", x, make.node("Sigmoid", gate)), 8
    x = make.node("Resize", make.conv(x, 8, 3, 1), "", make.weight([1, 1, 2, 2]), mode="linear")
    model = make.model(x)
    for key, value in ABOUT.to_properties().items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, folder / "model.onnx")
    ramp = np.linspace(0, 200, 300)[:, None, None]
    noise = np.random.default_rng(5).integers(0, 56, (300, 340, 3))
    tifffile.imwrite(folder / "a.tif", (ramp + noise).astype(np.uint8), tile=(64, 64), photometric="rgb")
    np.save(
        folder / "expected.npy", Session(folder / "model.onnx", 2).labels(tifffile.imread(folder / "a.tif"))
    )
    return folder


def label(place: Path, out: Path, window: int | None = 64, **options: Any) -> Any:
    path = place / "model.onnx"
    options = {"classes": CLASSES, "channels": "rgb", "window": window, "model": path, **options}
    return label_image(Session(path, 1), place / "a.tif", out, **options)


def test_labels_in_windows_are_those_of_the_whole_picture(place: Path, tmp_path: Path):
    expected = np.load(place / "expected.npy")
    assert len(np.unique(expected)) == 3
    said: list[tuple[int, int, str]] = []
    for window in (40, 64, 200):
        done = label(place, tmp_path / "a.npy", window, progress=lambda *step: said.append(step))
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
        assert done.windows > 1
        assert done.caveat == ""
    names = dict.fromkeys(step[2].removeprefix(f"{place / 'a.tif'}, ") for step in said)
    assert list(names) == ["pass 1 of 3", "pass 2 of 3", "pass 3 of 3"]
    np.testing.assert_array_equal(
        label_picture(Session(place / "model.onnx"), tifffile.imread(place / "a.tif"), 96), expected
    )
    # As a whole, where that fits: no passes.
    assert label(place, tmp_path / "whole.npy", None).windows == 1
    np.testing.assert_array_equal(np.load(tmp_path / "whole.npy"), expected)


def test_windows_alone_would_have_other_labels(place: Path, tmp_path: Path):
    session = Session(place / "model.onnx", approximate=True)
    done = label_image(
        session, place / "a.tif", tmp_path / "a.npy", classes=CLASSES, channels="rgb", window=64
    )
    assert "mean of the whole picture" in done.caveat
    assert (np.load(tmp_path / "a.npy") != np.load(place / "expected.npy")).any()


def test_a_run_stopped_in_a_pass_goes_on_with_it(place: Path, tmp_path: Path):
    def stop(*step: Any) -> None:
        if "pass 2" in step[2]:
            raise Stops

    out = tmp_path / "a.npy"
    with pytest.raises(Stops):
        label(place, out, progress=stop)
    lines = [json.loads(line) for line in (work_path(out) / "manifest.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines[1:]] == [["known"]]
    with pytest.raises(
        DataError, match="0 of 30 windows are done from a run that was stopped; go on with --resume"
    ):
        label(place, out)
    said: list[str] = []
    done = label(place, out, None, resume=True, progress=lambda *step: said.append(step[2][-11:]))
    assert list(dict.fromkeys(said)) == ["pass 2 of 3", "pass 3 of 3"]
    assert (done.windows, done.resumed) == (30, 0)
    np.testing.assert_array_equal(np.load(out), np.load(place / "expected.npy"))
    assert not work_path(out).exists()


def test_a_folder_is_labelled_with_the_numbers_of_each_picture(place: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    other = tifffile.imread(place / "a.tif")[::-1, ::-1]
    tifffile.imwrite(tmp_path / "in" / "b.tif", other, photometric="rgb")
    session = Session(place / "model.onnx")
    paths = [place / "a.tif", tmp_path / "in"]
    label_folder(session, paths, tmp_path, classes=CLASSES, channels="rgb", window=64, suffix=".npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(place / "expected.npy"))
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), session.labels(np.ascontiguousarray(other)))


def test_verifying_gathers_the_numbers_anew(place: Path):
    session, image = Session(place / "model.onnx"), open_image(place / "a.tif", "rgb")
    with open_labels(place / "expected.npy", 300, 340) as labels:
        assert verify_labels(session, image, labels, windows=4).different == 0


class Colleagues:
    """A cluster without Ray: two workers of this process take turns."""

    threads = 1

    def label(self, task: Task, todo: Iterable[int], note: Callable[[int, Any], None]) -> None:
        workers = [Worker(task), Worker(task)]
        assert [worker.open() for worker in workers] == ["", ""]
        for number in reversed(list(todo)):
            result = workers[number % 2].label(number)
            assert result.error == ""
            note(number, result.checksums or result.parts)
        for worker in workers:
            worker._image.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_cluster_gathers_and_labels_as_one_process_does(place: Path, tmp_path: Path, is_long: bool):
    expected = np.load(place / "expected.npy")
    label(place, tmp_path / "a.npy", cluster=Colleagues())
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
    if is_long:
        with Cluster("local", workers=2, threads=1) as cluster:
            label(place, tmp_path / "b.npy", cluster=cluster)
        np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), expected)
