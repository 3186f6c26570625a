"""Lists of classes, in the five forms in which folders bring them; each mistake gives one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from downup.data.class_files import Entry, find_classes
from downup.errors import DataError

from .builders import save_classes


def entries(folder: Path) -> tuple[Entry, ...]:
    found = find_classes(folder)
    assert found is not None
    return found[1]


def test_no_list_is_none(tmp_path: Path) -> None:
    assert find_classes(tmp_path) is None


def test_classes_json_gives_name_colour_value_and_what_to_ignore(tmp_path: Path) -> None:
    save_classes(
        tmp_path,
        [
            {"name": "road", "color": [128, 64, 128]},
            {"name": "car", "color": "#00008e", "value": 7},
            {"name": "void", "ignore": True},
        ],
    )
    assert entries(tmp_path) == (
        Entry("road", (128, 64, 128), 0, False),
        Entry("car", (0, 0, 142), 7, False),
        Entry("void", None, 2, True),
    )


@pytest.mark.parametrize("content", [["sky", "sea"], {"classes": [{"name": "sky"}, {"name": "sea"}]}])
def test_names_alone_are_enough(tmp_path: Path, content: Any) -> None:
    save_classes(tmp_path, content)
    assert [entry.name for entry in entries(tmp_path)] == ["sky", "sea"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds no list of classes; write a list such as"),
        ({"names": ["a"]}, "holds no list of classes"),
        ([{"color": [0, 0, 0]}], "gives class 0 no name"),
        ([{"name": " "}], "gives class 0 no name"),
        (
            [{"name": "a", "colour": [0, 0, 0]}],
            "gives class 0 the unknown key 'colour'; use name, color, value",
        ),
        ([{"name": "a", "color": [0, 0]}], r"gives class 0 the color \[0, 0\]; use \[red, green, blue\]"),
        ([{"name": "a", "color": [0, 0, 256]}], "from 0 to 255"),
        ([{"name": "a", "color": "red"}], 'or "#rrggbb"'),
        ([{"name": "a", "value": 256}], "gives class 0 the value 256; use a whole number from 0 to 255"),
        ([{"name": "a", "value": True}], "gives class 0 the value True"),
        ([{"name": "a", "ignore": 1}], "gives class 0 ignore 1; use true or false"),
        ([{"name": "a", "ignore": True}], "lists no class to learn"),
        (["a", "a"], "lists the name 'a' twice"),
        (
            [{"name": "a", "color": "#010203"}, {"name": "b", "color": [1, 2, 3]}],
            r"the color \(1, 2, 3\) twice",
        ),
        ([{"name": "a", "value": 1}, {"name": "b"}], "lists the value 1 twice"),
        ([f"class {k}" for k in range(256)], "lists 256 classes; use at most 255"),
    ],
)
def test_each_mistake_in_classes_json_gives_one_sentence(tmp_path: Path, content: Any, message: str) -> None:
    save_classes(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        find_classes(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "classes.json"))


def test_broken_json_and_broken_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    path.write_text('[{"name": ')
    with pytest.raises(DataError, match=r"classes\.json is not JSON"):
        find_classes(tmp_path)
    path.write_bytes(b"\xff\xfe[")
    with pytest.raises(DataError, match=r"classes\.json cannot be read as UTF-8 text"):
        find_classes(tmp_path)


def test_camvids_table_is_read_and_void_ignored(tmp_path: Path) -> None:
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nAnimal,64, 128,64\nVoid,0,0,0\n")
    assert entries(tmp_path) == (Entry("Animal", (64, 128, 64), 0, False), Entry("Void", (0, 0, 0), 1, True))


def test_camvids_first_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "label_colors.txt").write_text("64 128 64\tAnimal\n0 0 0\t\tVoid\n")
    assert [entry.name for entry in entries(tmp_path)] == ["Animal", "Void"]


def test_fastais_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "codes.txt").write_text("Animal\nVoid\n")
    assert entries(tmp_path) == (Entry("Animal", None, 0, False), Entry("Void", None, 1, True))


def test_the_label_map_of_voc_exports_is_read(tmp_path: Path) -> None:
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\naeroplane:128,0,0::\n"
    (tmp_path / "labelmap.txt").write_text(text)
    assert [entry.color for entry in entries(tmp_path)] == [(0, 0, 0), (128, 0, 0)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("class_dict.csv", "name,r,g,b\nroad,1,2\n", "gives class 0 in another form; write name,r,g,b"),
        ("class_dict.csv", "name,r,g,b\nroad,1,2,900\n", "levels from 0 to 255"),
        ("class_dict.csv", "name,r,g,b\n", "lists no class; write one a line"),
        ("labelmap.txt", "background\n", "gives class 0 in another form; write name:r,g,b::"),
        ("label_colors.txt", "64 128 Animal\n", "gives class 0 in another form; write r g b name"),
        ("codes.txt", "\n", "lists no class to learn"),
    ],
)
def test_each_mistake_in_a_table_gives_one_sentence(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        find_classes(tmp_path)
