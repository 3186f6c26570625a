"""Labelling by processes of Ray: the bytes of one process, whoever is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tifffile

from downup.data import ClassInfo, NetworkMetadata
from downup.engine import Session
from downup.errors import ArgumentError, DataError
from downup.prediction.cluster import Cluster, WindowsError
from downup.prediction.work import work_path
from engine.models import model_of
from engine.random_graphs import Maker
from prediction.calls import label_image
from prediction.cluster.workers import MortalWorker, PoisonedWorker, lives

pytest.importorskip("ray")
# Ray's own sockets and logs are closed when its processes end.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

CLASSES = tuple(ClassInfo(name, (shade, shade, shade)) for shade, name in enumerate(("sea", "ice", "land")))
ABOUT = NetworkMetadata(
    classes=CLASSES, channels="rgb", mean=(0.5,) * 3, deviation=(0.25,) * 3, stride=2, halo=9
)


PATHS = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])


@pytest.fixture(autouse=True)
def _paths_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the classes of tests."""
    monkeypatch.setenv("PYTHONPATH", PATHS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, a picture, and its labels as one process makes them."""
    folder = tmp_path_factory.mktemp("cluster")
    random = np.random.default_rng(5)
    make = Maker(11)
    x = random.standard_normal((1, 3, 26, 34)).astype(np.float32)
    make.shapes["x"] = x.shape
    low = make.activation(make.convolution("x", channels=16, kernel=(3, 3), stride=2))
    low = make.convolution(low, channels=3, kernel=(1, 1))
    out = make.add("Resize", [low, "", make.numbers([1, 1, 2, 2], np.float32)], (1, 3, 26, 34), mode="linear")
    model = model_of(make.nodes, {"x": x}, [out], make.weights)
    for key, value in ABOUT.to_properties().items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, folder / "model.onnx")
    picture = random.integers(0, 256, (500, 700, 3), np.uint8)
    tifffile.imwrite(folder / "a.tif", picture, tile=(64, 64), photometric="rgb")
    label(folder, folder / "expected.png")
    return folder


def label(place: Path, out: Path, **options: Any) -> Any:
    path = place / "model.onnx"
    arguments = {"classes": CLASSES, "channels": "rgb", "window": 64, "model": path, "probabilities": ["ice"]}
    return label_image(Session(path, 1), place / "a.tif", out, **arguments, **options)


def assert_expected(place: Path, out: Path) -> None:
    assert out.read_bytes() == (place / "expected.png").read_bytes()
    probabilities = out.with_name(f"{out.stem}_ice.png").read_bytes()
    assert probabilities == (place / "expected_ice.png").read_bytes()
    assert not work_path(out).exists()


def test_a_cluster_labels_as_one_process_does_also_when_workers_are_killed(
    place: Path, tmp_path: Path, is_long: bool, tell: Any
):
    said: list[str] = []
    kills = 30 if is_long else 2
    with Cluster("local", workers=2, threads=1, tell=said.append, worker=MortalWorker) as cluster:
        while len(said) < kills:
            lives(place, 6)
            out = tmp_path / "labels.png"
            label(place, out, cluster=cluster)
            assert_expected(place, out)
    tell(f"{len(said)} workers of a cluster killed, the same bytes")


def test_a_window_that_kills_its_worker_is_named_and_a_resumed_run_ends_in_the_same_bytes(
    place: Path, tmp_path: Path
):
    out = tmp_path / "labels.png"
    with Cluster("local", threads=1, worker=PoisonedWorker) as cluster:
        with pytest.raises(WindowsError, match=r"1 of \d+ windows .*window 5, rows .* --resume"):
            label(place, out, cluster=cluster)
        assert not out.exists()
    done = label(place, out, resume=True)
    assert done.windows - done.resumed == 1
    assert_expected(place, out)


DRIVER = """
import sys
from pathlib import Path
from downup.prediction.cluster import Cluster
from prediction.cluster.test_machines import label
from prediction.cluster.workers import SlowWorker
with Cluster("local", workers=2, threads=1, worker=SlowWorker) as cluster:
    label(Path(sys.argv[1]), Path(sys.argv[2]), resume=True, cluster=cluster, progress=lambda *_: print("done", flush=True))
"""


def test_a_driver_that_is_killed_can_go_on(place: Path, tmp_path: Path, is_long: bool, tell: Any):
    kills = 5 if is_long else 1
    for number in range(kills):
        out = tmp_path / f"labels_{number}.png"
        command = [sys.executable, "-c", DRIVER, str(place), str(out)]
        driver = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert driver.stdout is not None
        driver.stdout.readline()
        time.sleep(random.uniform(0, 0.5))
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        driver.stdout.close()
        done = label(place, out, resume=True)
        assert 0 < done.resumed < done.windows
        assert_expected(place, out)
    tell(f"{kills} drivers of a cluster killed and resumed, the same bytes")


def test_what_is_no_file_or_has_no_model_is_refused(place: Path, tmp_path: Path):
    with Cluster("local", threads=1) as cluster:
        arguments = {"classes": CLASSES, "channels": "rgb", "cluster": cluster}
        session = Session(place / "model.onnx", 1)
        with pytest.raises(ArgumentError, match=r"source is of type ndarray; a cluster labels files"):
            label_image(session, np.zeros((9, 9, 3), np.uint8), tmp_path / "a.png", **arguments)
        with pytest.raises(ArgumentError, match="model is None"):
            label_image(session, place / "a.tif", tmp_path / "a.png", **arguments)


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"cluster 'auto': no Ray cluster answers there .*ray start --head"):
        Cluster("auto").__enter__()
    with pytest.raises(ArgumentError, match="workers is 0"):
        Cluster("local", workers=0)
