"""Folders of every known layout open as a dataset, and what was assumed is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from downup.data import Dataset, open_dataset
from downup.errors import DataError

from .builders import labels, picture, save, save_classes, save_pairs, save_palette, save_splits


def stems(dataset: Dataset) -> dict[str, list[str]]:
    return {name: [sample.stem for sample in samples] for name, samples in dataset.splits.items()}


def test_splits_around_images_and_masks(tmp_path: Path) -> None:
    dataset = open_dataset(save_splits(tmp_path))
    assert stems(dataset) == {"train": ["p0", "p1"], "val": ["p2", "p3"]}
    sample = dataset.splits["val"][0]
    np.testing.assert_array_equal(sample.read_image("rgb"), picture(2))
    np.testing.assert_array_equal(sample.read_mask(), labels(0, 1, 2))
    assert sample.read_image("grey").shape == (6, 8, 1)
    assert sample.image_path == tmp_path / "val" / "images" / "p2.png"


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_splits_inside_images_and_masks(tmp_path: Path, val: str) -> None:
    for split, index in (("train", 0), (val, 1), ("test", 2)):
        save(tmp_path / "images" / split / f"p{index}.png", picture(index))
        save(tmp_path / "masks" / split / f"p{index}.png", labels(0, 1))
    assert stems(open_dataset(tmp_path)) == {"train": ["p0"], "val": ["p1"], "test": ["p2"]}


def test_without_splits_a_fifth_validates_and_it_is_said(tmp_path: Path) -> None:
    dataset = open_dataset(str(save_pairs(tmp_path, 20)))
    counts = {name: len(samples) for name, samples in dataset.splits.items()}
    assert counts["train"] + counts["val"] == 20
    assert 1 <= counts["val"] <= 8
    assert any(f"{counts['val']} of 20 pictures are kept for validation" in note for note in dataset.notes)
    assert stems(open_dataset(tmp_path)) == stems(dataset)


def test_the_choice_of_validation_stays_when_pictures_are_added(tmp_path: Path) -> None:
    before = stems(open_dataset(save_pairs(tmp_path, 20)))
    after = stems(open_dataset(save_pairs(tmp_path, 10, start=20)))
    assert set(before["val"]) <= set(after["val"])
    assert set(before["train"]) <= set(after["train"])


@pytest.mark.parametrize("count", [2, 3])
def test_few_pictures_still_give_both_splits(tmp_path: Path, count: int) -> None:
    splits = stems(open_dataset(save_pairs(tmp_path, count)))
    assert min(len(names) for names in splits.values()) >= 1
    assert set(splits) == {"train", "val"}


def test_train_alone_is_split_too(tmp_path: Path) -> None:
    save_pairs(tmp_path / "train", 5)
    assert set(stems(open_dataset(tmp_path))) == {"train", "val"}


def test_a_test_split_without_masks_is_left_out_and_it_is_said(tmp_path: Path) -> None:
    save_splits(tmp_path)
    save(tmp_path / "test" / "images" / "x.png", picture())
    dataset = open_dataset(tmp_path)
    assert set(dataset.splits) == {"train", "val"}
    assert any("test/images has no masks and is left out" in note for note in dataset.notes)


def test_a_split_for_evaluation_alone_opens(tmp_path: Path) -> None:
    save_pairs(tmp_path / "test", 2)
    assert stems(open_dataset(tmp_path)) == {"test": ["p0", "p1"]}


def test_stems_may_hold_dots_and_endings_may_differ(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.b.JPG", picture(), format="JPEG")
    save(tmp_path / "masks" / "a.b.png", labels(0, 1))
    save_pairs(tmp_path, 1, (0, 1))
    dataset = open_dataset(tmp_path)
    assert sorted(stem for names in stems(dataset).values() for stem in names) == ["a.b", "p0"]


@pytest.mark.parametrize("ending", ["_mask", "_L", "_P", "_labels"])
def test_masks_may_end_like_label_tools_name_them(tmp_path: Path, ending: str) -> None:
    for index in range(3):
        save(tmp_path / "images" / f"p{index}.png", picture(index))
        save(tmp_path / "labels" / f"p{index}{ending}.png", labels(0, 1))
    dataset = open_dataset(tmp_path)
    assert sum(len(names) for names in dataset.splits.values()) == 3
    assert any(f"names the mask of a picture like p0{ending}.png" in note for note in dataset.notes)


def test_hidden_files_and_texts_are_passed_over(tmp_path: Path) -> None:
    save_splits(tmp_path)
    (tmp_path / "train" / "images" / ".DS_Store").touch()
    (tmp_path / "train" / "images" / "._p0.png").touch()
    (tmp_path / "train" / "masks" / "readme.txt").touch()
    assert len(open_dataset(tmp_path).splits["train"]) == 2


# Classes.


def test_classes_are_counted_where_no_list_names_them(tmp_path: Path) -> None:
    dataset = open_dataset(save_splits(tmp_path, (0, 2, 1, 255)))
    assert [item.name for item in dataset.classes] == ["class 0", "class 1", "class 2"]
    assert any("values up to 2: read as 3 classes; classes.json can name them" in n for n in dataset.notes)


def test_0_and_255_are_two_classes_and_it_is_said(tmp_path: Path) -> None:
    dataset = open_dataset(save_splits(tmp_path, (0, 255)))
    assert [item.name for item in dataset.classes] == ["background", "foreground"]
    assert any("hold 0 and 255 only: read as two classes" in note for note in dataset.notes)
    np.testing.assert_array_equal(dataset.splits["train"][0].read_mask(), labels(0, 1))


def test_0_and_255_take_the_two_names_of_a_list(tmp_path: Path) -> None:
    save_classes(save_splits(tmp_path, (0, 255)), ["ground", "roof"])
    dataset = open_dataset(tmp_path)
    assert [item.name for item in dataset.classes] == ["ground", "roof"]
    assert any("read as ground and roof" in note for note in dataset.notes)
    np.testing.assert_array_equal(dataset.splits["train"][0].read_mask(), labels(0, 1))


def test_one_mask_with_a_1_makes_255_ignored(tmp_path: Path) -> None:
    save_classes(save_splits(tmp_path, (0, 255)), ["ground", "roof"])
    save_pairs(tmp_path / "train", 1, (0, 1, 255), start=9)
    np.testing.assert_array_equal(open_dataset(tmp_path).splits["train"][0].read_mask(), labels(0, 255))


def test_a_list_gives_names_and_colours(tmp_path: Path) -> None:
    save_classes(save_splits(tmp_path), [{"name": "a", "color": "#010203"}, {"name": "b"}, {"name": "c"}])
    dataset = open_dataset(tmp_path)
    assert [item.name for item in dataset.classes] == ["a", "b", "c"]
    assert dataset.classes[0].color == (1, 2, 3)
    assert len({item.color for item in dataset.classes}) == 3


def test_an_ignored_class_in_the_middle_moves_the_labels_behind_it(tmp_path: Path) -> None:
    save_classes(save_splits(tmp_path), [{"name": "a"}, {"name": "dirt", "ignore": True}, {"name": "b"}])
    dataset = open_dataset(tmp_path)
    assert [item.name for item in dataset.classes] == ["a", "b"]
    np.testing.assert_array_equal(dataset.splits["train"][0].read_mask(), labels(0, 255, 1))


def test_rgb_masks_are_read_by_the_colours_of_the_list(tmp_path: Path) -> None:
    colors = np.array([[9, 8, 7], [1, 2, 3], [0, 0, 0]], np.uint8)
    for split, index in (("train", 0), ("val", 1)):
        save(tmp_path / split / "images" / f"p{index}.png", picture(index))
        save(tmp_path / split / "masks" / f"p{index}.png", colors[labels(0, 1, 2)])
    save_classes(
        tmp_path,
        [
            {"name": "a", "color": [1, 2, 3]},
            {"name": "b", "color": [9, 8, 7]},
            {"name": "void", "color": [0, 0, 0], "ignore": True},
        ],
    )
    np.testing.assert_array_equal(open_dataset(tmp_path).splits["val"][0].read_mask(), labels(1, 0, 255))


def test_rgb_masks_without_a_list_show_the_list_to_write(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", picture())
    save(tmp_path / "masks" / "a.png", np.array([[9, 8, 7], [1, 2, 3]], np.uint8)[labels(0, 0, 1)])
    with pytest.raises(
        DataError, match=r"masks in 2 colours that no list explains; write classes\.json: \[\{"
    ) as e:
        open_dataset(tmp_path)
    assert str(e.value).endswith('[{"name": "...", "color": [9, 8, 7]}, {"name": "...", "color": [1, 2, 3]}]')


def test_rgb_masks_with_a_list_without_colours_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", picture())
    save(tmp_path / "masks" / "a.png", np.array([[9, 8, 7], [1, 2, 3]], np.uint8)[labels(0, 1)])
    save_classes(tmp_path, ["a", "b"])
    with pytest.raises(
        DataError, match=r'classes\.json gives no colours, but masks are in colour; add "color"'
    ):
        open_dataset(tmp_path)


def test_levels_of_grey_are_not_taken_for_200_classes(tmp_path: Path) -> None:
    save_splits(tmp_path, (0, 100, 200))
    with pytest.raises(
        DataError, match=r"has masks with values 0, 100, 200, which are no run from 0; name them"
    ):
        open_dataset(tmp_path)
    save_classes(tmp_path, [{"name": "a"}, {"name": "b", "value": 100}, {"name": "c", "value": 200}])
    np.testing.assert_array_equal(open_dataset(tmp_path).splits["train"][0].read_mask(), labels(0, 1, 2))


def test_masks_that_ignore_everything_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has masks that hold 255 only, so no class; use 0, 1"):
        open_dataset(save_splits(tmp_path, (255,)))


def test_palette_masks_lend_the_classes_their_colours(tmp_path: Path) -> None:
    colors = [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    for split, index in (("train", 0), ("val", 1)):
        save(tmp_path / split / "images" / f"p{index}.png", picture(index))
        save_palette(tmp_path / split / "masks" / f"p{index}.png", labels(0, 1, 2), colors)
    assert [item.color for item in open_dataset(tmp_path).classes] == colors


# VOC and CamVid.


def voc(root: Path, values: tuple[int, ...] = tuple(range(21))) -> Path:
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    palette = [(k, 2 * k, 3 * k) for k in range(85)]
    for index in range(5):
        save(root / "JPEGImages" / f"2007_{index}.jpg", picture(index, 6, 32))
        if index < 4:
            mask = labels(*values, 255, rows=6, columns=32)
            save_palette(root / "SegmentationClass" / f"2007_{index}.png", mask, palette)
    (lists / "train.txt").write_text("2007_0\n2007_1\n2007_2\n")
    (lists / "val.txt").write_text("2007_3\n")
    (lists / "trainval.txt").write_text("2007_0\n2007_1\n2007_2\n2007_3\n")
    return root


def test_voc_opens_by_its_lists_with_its_names_and_ignored_border(tmp_path: Path) -> None:
    dataset = open_dataset(voc(tmp_path))
    assert stems(dataset) == {"train": ["2007_0", "2007_1", "2007_2"], "val": ["2007_3"]}
    assert [dataset.classes[k].name for k in (0, 1, 20)] == ["background", "aeroplane", "tvmonitor"]
    assert dataset.classes[2].color == (2, 4, 6)
    assert dataset.splits["val"][0].read_mask()[0, -1] == 255


def test_a_folder_like_vocs_with_other_classes_does_not_take_its_names(tmp_path: Path) -> None:
    dataset = open_dataset(voc(tmp_path, (0, 1, 2)))
    assert [item.name for item in dataset.classes] == ["class 0", "class 1", "class 2"]


def test_a_voc_list_that_names_a_picture_without_mask_is_refused(tmp_path: Path) -> None:
    (voc(tmp_path) / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_3\n2007_4\n")
    with pytest.raises(DataError, match=r"val\.txt names 2007_4, which has no mask; add the mask, or remove"):
        open_dataset(tmp_path)


def test_an_export_in_vocs_layout_with_one_list_and_a_label_map(tmp_path: Path) -> None:
    lists = voc(tmp_path, (0, 1)) / "ImageSets" / "Segmentation"
    for path in lists.iterdir():
        path.unlink()
    (lists / "default.txt").write_text("2007_0\n2007_1\n2007_2\n2007_3\n")
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ncat:128,0,0::\n")
    dataset = open_dataset(tmp_path)
    assert [item.name for item in dataset.classes] == ["background", "cat"]
    assert sum(len(samples) for samples in dataset.splits.values()) == 4


def test_the_folder_around_voc_points_to_the_one_inside(tmp_path: Path) -> None:
    voc(tmp_path / "VOC2012")
    with pytest.raises(DataError, match=r"holds no images/ and masks/; give .*VOC2012 instead"):
        open_dataset(tmp_path)


def test_camvid_as_segnet_has_it(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        save(tmp_path / split / f"{split}.png", picture())
        save(tmp_path / f"{split}annot" / f"{split}.png", labels(*range(8)))
    dataset = open_dataset(tmp_path)
    assert stems(dataset) == {"train": ["train"], "val": ["val"], "test": ["test"]}
    assert len(dataset.classes) == 8


def test_camvid_with_colours_and_its_table(tmp_path: Path) -> None:
    colors = np.array([[64, 128, 64], [192, 0, 128], [0, 0, 0]], np.uint8)
    for split in ("train", "val"):
        save(tmp_path / split / f"{split}_1.png", picture())
        save(tmp_path / f"{split}_labels" / f"{split}_1_L.png", colors[labels(0, 1, 2)])
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nAnimal,64,128,64\nArchway,192,0,128\nVoid,0,0,0\n")
    dataset = open_dataset(tmp_path)
    assert [item.name for item in dataset.classes] == ["Animal", "Archway"]
    assert any("class_dict.csv has Void ignored" in note for note in dataset.notes)
    np.testing.assert_array_equal(dataset.splits["val"][0].read_mask(), labels(0, 1, 255))


def test_camvid_as_fastai_has_it(tmp_path: Path) -> None:
    for index in range(3):
        save(tmp_path / "images" / f"p{index}.png", picture(index))
        save(tmp_path / "labels" / f"p{index}_P.png", labels(0, 1, 2))
    (tmp_path / "codes.txt").write_text("Sky\nRoad\nVoid\n")
    (tmp_path / "valid.txt").write_text("p1.png\n")
    dataset = open_dataset(tmp_path)
    assert stems(dataset) == {"train": ["p0", "p2"], "val": ["p1"]}
    assert [item.name for item in dataset.classes] == ["Sky", "Road"]


# What cannot be opened.


def test_a_missing_folder_a_file_and_an_unknown_layout_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none does not exist; check the name of the data folder"):
        open_dataset(tmp_path / "none")
    with pytest.raises(DataError, match=r"a\.png is a file, not a data folder; put pictures into images/"):
        open_dataset(save(tmp_path / "a.png", picture()))
    with pytest.raises(DataError, match="is not a data folder; put pictures into images/"):
        open_dataset(tmp_path)
    save(tmp_path / "masks" / "a.png", labels(0, 1))
    with pytest.raises(DataError, match="holds masks/ but no images/"):
        open_dataset(tmp_path)


def test_images_without_masks_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", picture())
    with pytest.raises(
        DataError, match=r"images has no folder of masks to go with it; put the masks into .*masks"
    ):
        open_dataset(tmp_path)


def test_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        open_dataset(tmp_path)


def test_one_problem_is_told_and_of_several_the_first_and_their_number(tmp_path: Path) -> None:
    save_splits(tmp_path)
    (tmp_path / "train" / "masks" / "p0.png").unlink()
    with pytest.raises(DataError, match=r"p0\.png has no mask; add .*masks/p0\.png, or remove the picture$"):
        open_dataset(tmp_path)
    (tmp_path / "val" / "images" / "p3.png").unlink()
    with pytest.raises(DataError, match=r"has 2 problems, the first: .* \(downup check lists all\)$"):
        open_dataset(tmp_path)


def test_a_mask_of_another_size_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    save_classes(save_splits(tmp_path), ["a", "b", "c"])
    save(tmp_path / "train" / "masks" / "p0.png", labels(0, 1, 2, rows=5))
    with pytest.raises(DataError, match=r"p0\.png is 8x5 pixels, but its picture p0\.png 8x6; make the mask"):
        open_dataset(tmp_path)


def test_progress_counts_the_masks(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    open_dataset(save_splits(tmp_path), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
