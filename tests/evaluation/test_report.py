"""The report: what it says, that it stands alone, and that it is whole or not there."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from downup.data.colors import ClassInfo
from downup.errors import DataError
from downup.evaluation import BoundaryCounts, Example, Scores, write_report

CLASSES = [
    ClassInfo("water", (0, 90, 160)),
    ClassInfo("<ice>", (150, 220, 240)),
    ClassInfo("unseen", (9, 9, 9)),
]
SCORES = Scores.from_confusion(
    np.array([[90, 10, 0], [5, 15, 0], [0, 0, 0]]), BoundaryCounts((4, 4, 0), (3, 4, 0), (5, 4, 0), (3, 4, 0))
)
NETWORK = {"model": "unet", "encoder": "resnet18", "down": "max", "up": "bilinear", "weights": None}
HISTORY = [
    {"epoch": 1, "train_loss": 1.2, "val_loss": 1.4, "val_mean_iou": 0.3, "rate": 1e-3},
    {"epoch": 2, "train_loss": 0.8, "val_loss": math.nan, "val_mean_iou": 0.6, "rate": 5e-4},
]
# Elements that HTML never closes.
_VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects the elements and the text of a page, and holds it to closing what it opens."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def example(name: str, rows: int = 20, columns: int = 30) -> Example:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (rows, columns)).astype(np.uint8)
    truth[0] = 255
    picture = random.integers(0, 256, (rows, columns, 1)).astype(np.uint8)
    return Example(name, picture, truth, np.zeros((rows, columns), np.uint8), 0.25)


def write(folder: Path, **options: Any) -> Page:
    arguments: dict[str, Any] = {"network": NETWORK, "classes": CLASSES, "scores": SCORES, **options}
    path = write_report(folder, **arguments)
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_a_full_report_says_everything(tmp_path: Path):
    Image.new("RGB", (3000, 1500)).save(tmp_path / "world.png")
    page = write(
        tmp_path,
        history=HISTORY,
        baseline=0.5,
        best=[example("a"), example("b & c")],
        worst=[example("d", 50, 1700)],
        settings={"lr": 0.001, "normalization": {"mean": [0.5]}, "amp": False},
        facts={"training time": "4 min"},
        notes=["Read in grey."],
        world=tmp_path / "world.png",
    )
    for said in (
        "unet · resnet18",
        "down max",
        "up bilinear",
        f"mean IoU {SCORES.mean_iou:.3f}",
        "a lookup by pixel value reaches 0.500",
        "training time 4 min",
        "Read in grey.",
        "In neither truth nor prediction, and left out of the means: unseen.",
        "best 0.600 at epoch 2",
        "<ice>",
        "b & c",
        "normalization.mean 0.5",
        "90.0 %",
        "3000 × 1500",
    ):
        assert said in page.text
    assert len(page.all("svg")) == 3
    assert not page.all("script")


def test_every_picture_is_there_small_enough_and_described(tmp_path: Path):
    Image.new("P", (3000, 1500)).save(tmp_path / "world.png")
    page = write(tmp_path, best=[example("a")], worst=[example("d", 50, 1700)], world=tmp_path / "world.png")
    images = page.all("img")
    assert len(images) == 9
    for image in images:
        assert image["alt"]
        with Image.open(tmp_path / str(image["src"])) as shown:
            assert shown.size == (int(str(image["width"])), int(str(image["height"])))
            assert max(shown.size) <= 2400
    assert any(link.get("href") == "world.png" for link in page.all("a"))


def test_the_report_stands_alone_and_its_tables_have_heads(tmp_path: Path):
    page = write(tmp_path, history=HISTORY, best=[example("a")])
    for _, attributes in page.elements:
        for name in ("src", "href"):
            assert not str(attributes.get(name, "")).startswith(("http", "/", "data"))
    assert page.all("th")
    assert all(head.get("scope") in ("row", "col") for head in page.all("th"))


def test_the_least_report_has_neither_charts_nor_pictures(tmp_path: Path):
    page = write(
        tmp_path,
        history=[{"epoch": 1, "train_loss": math.nan}],
        scores=Scores.from_confusion(np.zeros((3, 3))),
    )
    assert not page.all("svg")
    assert not page.all("img")
    assert "nan" not in page.text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_many_classes_show_the_largest_confusions_alone(tmp_path: Path):
    count = 40
    matrix = np.eye(count, dtype=int) * 100
    matrix[7, 3] = 60
    classes = [ClassInfo(f"class {k}", (k, k, k)) for k in range(count)]
    page = write(tmp_path, classes=classes, scores=Scores.from_confusion(matrix))
    assert "class 7 class 3 37.5 %" in page.text
    assert len(page.all("td")) < 300


def test_a_file_that_is_no_map_is_named_and_the_old_report_stays(tmp_path: Path):
    write(tmp_path)
    before = (tmp_path / "report.html").read_bytes()
    (tmp_path / "world.png").write_text("no picture")
    with pytest.raises(DataError, match=r"world\.png: cannot be read as a picture"):
        write(tmp_path, world=tmp_path / "world.png", notes=["new"])
    assert (tmp_path / "report.html").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="nowhere: cannot write the report"):
        write(tmp_path / "nowhere")
