"""`check_dataset` finds each problem, all at once, and names the file and the cure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downup.data import CheckReport, check_dataset

from .builders import labels, picture, save, save_classes, save_pairs, save_palette, save_splits


def told(report: CheckReport) -> list[str]:
    return [str(problem) for problem in report.problems]


def test_a_clean_folder_has_no_problem_and_shows_its_balance(tmp_path: Path) -> None:
    save_splits(tmp_path, (0, 1, 2, 255))
    report = check_dataset(tmp_path)
    assert report.is_clean
    assert told(report) == []
    assert {name: balance.pictures for name, balance in report.splits.items()} == {"train": 2, "val": 2}
    assert report.splits["train"].class_pixels == (24, 24, 24)
    assert report.splits["train"].ignored_pixels == 24
    assert report.splits["val"].class_shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def exif(turn: int) -> Image.Exif:
    values = Image.Exif()
    values[0x0112] = turn
    return values


def tall(root: Path) -> None:
    # Shown 6 wide and 8 high, stored 8 wide and 6 high, as its mask is.
    save(root / "train" / "images" / "p0.png", picture(), exif=exif(6))


PROBLEMS: list[tuple[str, Callable[[Path], object], str, str]] = [
    (
        "a picture without mask",
        lambda root: (root / "train/masks/p0.png").unlink(),
        "train/images/p0.png has no mask; add ",
        "train/masks/p0.png, or remove the picture",
    ),
    (
        "a mask without picture",
        lambda root: (root / "val/images/p3.png").unlink(),
        "val/masks/p3.png has no picture; add the picture ",
        "or remove the mask",
    ),
    (
        "another size",
        lambda root: save(root / "train/masks/p0.png", labels(0, 1, 2, columns=9)),
        "train/masks/p0.png is 9x6 pixels, but its picture p0.png 8x6; ",
        "make the mask the size of the picture",
    ),
    (
        "another size by EXIF alone",
        tall,
        "train/masks/p0.png is 8x6 pixels, but its picture p0.png 6x8 once turned as its EXIF says; ",
        "turn the mask as well, or store the picture upright",
    ),
    (
        "an unknown value",
        lambda root: save(root / "val/masks/p2.png", labels(0, 1, 2, 9)),
        "val/masks/p2.png holds the value 9 in 12 pixels, which no class has; use 0 to 2, ",
        "or add a class to the list of classes",
    ),
    (
        "a damaged picture",
        lambda root: cut(root / "train/images/p1.png"),
        "train/images/p1.png is damaged",
        "or remove it",
    ),
    (
        "a damaged mask",
        lambda root: cut(root / "train/masks/p1.png"),
        "train/masks/p1.png is damaged",
        "or remove it",
    ),
    (
        "an empty file",
        lambda root: (root / "train/images/p1.png").write_bytes(b""),
        "train/images/p1.png is empty (0 bytes); ",
        "copy or export it again, or remove it",
    ),
    (
        "a file that is no picture",
        lambda root: (root / "train/images/p1.png").write_text("<html>"),
        "train/images/p1.png is damaged, or no PNG, JPEG, TIFF, WebP or BMP file; ",
        "or remove it",
    ),
    (
        "a kind of picture that is not read",
        lambda root: (root / "train/images/x.heic").write_bytes(b"x"),
        "train/images/x.heic is of a kind that is not read; ",
        "convert it to PNG, JPEG, TIFF, WebP or BMP, or remove it",
    ),
    (
        "a folder among pictures",
        lambda root: (root / "train/images/more").mkdir(),
        "train/images/more is a folder among pictures; ",
        "move its files up, or it away",
    ),
    (
        "two pictures of one name",
        lambda root: save(root / "train/images/p0.bmp", picture()),
        "train/images/p0.png has the same name as p0.bmp but for the ending; ",
        "rename or remove one of them",
    ),
    (
        "one name in two splits",
        lambda root: save_pairs(root / "val", 1, (0, 1, 2)),
        "val/images/p0.png is in val under a name that train has too, ",
        "keep it in one of them; rename it if the pictures differ",
    ),
    (
        "a JPEG mask",
        lambda root: (
            (root / "train/masks/p0.png").unlink(),
            save(root / "train/masks/p0.jpg", labels(0, 1, 2)),
        ),
        "train/masks/p0.jpg is a JPEG, which blurs class numbers; make the mask again as PNG",
        "cannot be repaired by converting it",
    ),
    (
        "floating-point levels",
        lambda root: (
            (root / "train/images/p0.png").unlink(),
            save(root / "train/images/p0.tif", np.ones((6, 8), np.float32)),
        ),
        "train/images/p0.tif holds floating-point levels, of unknown range; ",
        "save it at 8 or 16 bits",
    ),
    (
        "a 12-bit picture in 16",
        lambda root: save(root / "train/images/p0.png", np.full((6, 8), 4095, np.uint16)),
        "train/images/p0.png holds levels up to 4095 of 65535, of which 16 remain; ",
        "multiply its levels, and those of all others alike, to fill 16 bits",
    ),
    (
        "a class in no mask",
        lambda root: save_classes(root, ["a", "b", "c", "whale"]),
        " has no pixel of whale (class 3) in any mask; label some, ",
        "or take it out of the list of classes",
    ),
    (
        "a class that is not trained on",
        lambda root: (
            save_classes(root, ["a", "b", "c", "whale"]),
            save(root / "val/masks/p3.png", labels(0, 3)),
        ),
        " has no pixel of whale (class 3) to train on; move a picture with it there, ",
        "or take it out of the list of classes",
    ),
    (
        "a palette in another order than the list",
        lambda root: (
            save_classes(root, [{"name": "a", "color": "#010101"}, {"name": "b", "color": "#020202"}, "c"]),
            save_palette(root / "train/masks/p0.png", labels(0, 1, 2), [(2, 2, 2), (1, 1, 1), (9, 9, 9)]),
        ),
        "train/masks/p0.png holds value 0, which is a, in the colour of b; ",
        "save the mask as RGB, or with the palette in the classes' order",
    ),
    (
        "a broken list of classes",
        lambda root: save_classes(root, [{"name": "a", "color": "red"}]),
        "classes.json gives class 0 the color 'red'; ",
        'use [red, green, blue] from 0 to 255, or "#rrggbb"',
    ),
]


@pytest.mark.parametrize(
    ("damage", "start", "end"), [row[1:] for row in PROBLEMS], ids=[r[0] for r in PROBLEMS]
)
def test_each_problem_is_the_only_one_told(
    tmp_path: Path, damage: Callable[[Path], object], start: str, end: str
) -> None:
    save_classes(save_splits(tmp_path), ["a", "b", "c"])
    damage(tmp_path)
    report = check_dataset(tmp_path)
    assert len(report.problems) == 1, told(report)
    assert start in told(report)[0]
    assert end in told(report)[0]
    assert "\n" not in told(report)[0]
    assert not report.is_clean


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    save_pairs(tmp_path / "train", 8)
    save_pairs(tmp_path / "val", 2, start=20)
    save_classes(tmp_path, ["a", "b", "c"])
    (tmp_path / "train/masks/p0.png").unlink()
    (tmp_path / "train/images/p1.png").unlink()
    cut(tmp_path / "train/images/p2.png")
    cut(tmp_path / "train/masks/p3.png")
    save(tmp_path / "train/masks/p4.png", labels(0, 77))
    save(tmp_path / "train/masks/p5.png", labels(0, rows=1))
    save(tmp_path / "train/images/p6.tif", picture())
    report = check_dataset(tmp_path)
    assert {problem.file.name for problem in report.problems} == {
        *("p0.png", "p1.png", "p2.png", "p3.png", "p4.png", "p5.png"),
        "p6.tif",
    }
    assert len(report.problems) == 7


def test_unknown_colours_are_told_for_each_mask(tmp_path: Path) -> None:
    colors = np.array([[1, 1, 2], [3, 3, 4], [7, 8, 9]], np.uint8)
    for split, index in (("train", 0), ("val", 1)):
        save(tmp_path / split / "images" / f"p{index}.png", picture(index))
        save(tmp_path / split / "masks" / f"p{index}.png", colors[labels(0, 1, 2)])
    save_classes(tmp_path, [{"name": "a", "color": [1, 1, 2]}, {"name": "b", "color": [3, 3, 4]}])
    report = check_dataset(tmp_path)
    assert [problem.file.name for problem in report.problems] == ["p0.png", "p1.png"]
    assert all("holds the colour (7, 8, 9) in 12 pixels" in problem for problem in told(report))


def test_masks_in_unexplained_colours_are_one_problem(tmp_path: Path) -> None:
    for index in range(3):
        save(tmp_path / "images" / f"p{index}.png", picture(index))
        save(tmp_path / "masks" / f"p{index}.png", picture(index))
    report = check_dataset(tmp_path)
    assert len(report.problems) == 1
    assert "colours that no list explains; write classes.json: [" in told(report)[0]


def test_a_missing_folder_is_a_problem_not_an_error(tmp_path: Path) -> None:
    assert told(check_dataset(tmp_path / "none")) == [
        f"{tmp_path / 'none'} does not exist; check the name of the data folder"
    ]


def test_folders_without_pictures_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    assert [problem.message for problem in check_dataset(tmp_path).problems] == ["holds no pictures"]


def test_what_should_be_known_is_noted(tmp_path: Path) -> None:
    save_splits(tmp_path)
    save(tmp_path / "train" / "images" / "p0.png", picture(2))
    save(tmp_path / "train" / "images" / "p1.png", picture(), exif=exif(3))
    save(tmp_path / "val" / "masks" / "p2.png", labels(0, 1))
    save(tmp_path / "val" / "masks" / "p3.png", labels(0, 1))
    report = check_dataset(tmp_path)
    assert report.is_clean
    assert any("1 picture is turned as EXIF says" in note and "p1.png" in note for note in report.notes)
    assert any("p2.png is the same picture as" in note and "p0.png in train" in note for note in report.notes)
    assert any("no mask in val holds class 2 (class 2)" in note for note in report.notes)
    assert any("read as 3 classes" in note for note in report.notes)


def test_the_balance_counts_the_split_that_was_made(tmp_path: Path) -> None:
    report = check_dataset(save_pairs(tmp_path, 10))
    assert set(report.splits) == {"train", "val"}
    assert sum(balance.pictures for balance in report.splits.values()) == 10
    assert any("kept for validation" in note for note in report.notes)


def test_progress_counts_the_pairs(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    check_dataset(save_splits(tmp_path), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
