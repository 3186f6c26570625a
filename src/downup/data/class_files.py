"""The list of classes beside the data: classes.json, or such as CamVid and VOC folders hold."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downup.data.colors import Color
from downup.data.problems import FileError

_FORM = (
    'write a list such as [{"name": "road", "color": [128, 64, 128]}, {"name": "void", "color": [0, 0, 0], '
    '"ignore": true}]'
)
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_NAMES_OF_VOID = frozenset({"void", "unlabelled", "unlabeled", "ignore", "ignored"})

VOC_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *(
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ),
)


@dataclass(frozen=True)
class Entry:
    """A class as its list declares it.

    Args:
        name: what it is called.
        color: what it is painted in, in RGB masks and in reports; None if not said.
        value: what it is in masks of one channel.
        is_ignored: whether its pixels are neither learned nor judged.
    """

    name: str
    color: Color | None
    value: int
    is_ignored: bool


def find_classes(folder: Path) -> tuple[Path, tuple[Entry, ...]] | None:
    """Read the list of classes in a data folder, the first of the known files that is there.

    Returns:
        the file and its entries, or None where no such file is.

    Raises:
        DataError: the file cannot be understood.
    """
    for name, read in _READERS.items():
        path = folder / name
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise FileError(path, f"cannot be read as UTF-8 text ({error})", "save it again") from error
            entries = tuple(read(path, text))
            _refuse_clashes(path, entries)
            return path, entries
    return None


def _read_json(path: Path, text: str) -> list[Entry]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise FileError(path, f"is not JSON ({error})", _FORM) from error
    if isinstance(content, dict):
        content = content.get("classes")
    if not isinstance(content, list) or not content:
        raise FileError(path, "holds no list of classes", _FORM)
    return [_json_entry(path, position, item) for position, item in enumerate(content)]


def _json_entry(path: Path, position: int, item: Any) -> Entry:
    if isinstance(item, str):
        item = {"name": item}
    where = f"gives class {position}"
    if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"].strip():
        raise FileError(path, f"{where} no name", _FORM)
    unknown = sorted(set(item) - {"name", "color", "value", "ignore"})
    if unknown:
        raise FileError(path, f"{where} the unknown key {unknown[0]!r}", "use name, color, value and ignore")
    value, is_ignored = item.get("value", position), item.get("ignore", False)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        raise FileError(path, f"{where} the value {value!r}", "use a whole number from 0 to 255")
    if not isinstance(is_ignored, bool):
        raise FileError(path, f"{where} ignore {is_ignored!r}", "use true or false")
    return Entry(item["name"], _json_color(path, where, item.get("color")), value, is_ignored)


def _json_color(path: Path, where: str, color: Any) -> Color | None:
    if color is None:
        return None
    if isinstance(color, str) and _HEX.fullmatch(color):
        color = list(bytes.fromhex(color[1:]))
    is_triple = isinstance(color, list) and len(color) == 3
    if not is_triple or not all(type(level) is int and 0 <= level <= 255 for level in color):
        cure = 'use [red, green, blue] from 0 to 255, or "#rrggbb"'
        raise FileError(path, f"{where} the color {color!r}", cure)
    return color[0], color[1], color[2]


def _read_csv(path: Path, text: str) -> list[Entry]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(row)]
    if rows and rows[0][0].lower() == "name":
        rows = rows[1:]
    return _rows(path, "name,r,g,b", [(row[0], row[1:4]) for row in rows])


def _read_label_map(path: Path, text: str) -> list[Entry]:
    lines = [line.split(":") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return _rows(path, "name:r,g,b::", [(line[0], ":".join(line[1:2]).split(",")) for line in lines])


def _read_label_colors(path: Path, text: str) -> list[Entry]:
    lines = [line.split(maxsplit=3) for line in text.splitlines() if line.strip()]
    return _rows(path, "r g b name", [(" ".join(line[3:]), line[:3]) for line in lines])


def _read_codes(path: Path, text: str) -> list[Entry]:
    names = [line.strip() for line in text.splitlines() if line.strip()]
    return [Entry(name, None, value, _is_void(name)) for value, name in enumerate(names)]


def _rows(path: Path, form: str, rows: list[tuple[str, list[str]]]) -> list[Entry]:
    entries = []
    for value, (name, levels) in enumerate(rows):
        color = tuple(int(level) for level in levels if level.strip().isdecimal())
        if not name or len(color) != 3 or max(color) > 255:
            raise FileError(
                path, f"gives class {value} in another form", f"write {form}, levels from 0 to 255"
            )
        entries.append(Entry(name, (color[0], color[1], color[2]), value, _is_void(name)))
    if not entries:
        raise FileError(path, "lists no class", f"write one a line, as {form}")
    return entries


def _is_void(name: str) -> bool:
    return name.lower() in _NAMES_OF_VOID


def _refuse_clashes(path: Path, entries: tuple[Entry, ...]) -> None:
    learned = [entry for entry in entries if not entry.is_ignored]
    if not learned:
        raise FileError(path, "lists no class to learn", _FORM)
    if len(learned) > 255:
        raise FileError(path, f"lists {len(learned)} classes", "use at most 255, what a mask can hold")
    for what, values in (
        ("name", [entry.name for entry in learned]),
        ("color", [entry.color for entry in entries if entry.color is not None]),
        ("value", [entry.value for entry in entries]),
    ):
        seen: set[object] = set()
        for value in values:
            if value in seen:
                raise FileError(path, f"lists the {what} {value!r} twice", "give every class its own")
            seen.add(value)


_READERS: dict[str, Callable[[Path, str], list[Entry]]] = {
    "classes.json": _read_json,
    "class_dict.csv": _read_csv,
    "labelmap.txt": _read_label_map,
    "label_colors.txt": _read_label_colors,
    "codes.txt": _read_codes,
}
CLASS_FILES = tuple(_READERS)
