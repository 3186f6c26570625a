"""Opening a data folder: its pairs, its classes, and what its masks mean."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from downup.data.class_files import VOC_NAMES, Entry, find_classes
from downup.data.colors import CLASS_COLORS, ClassInfo, Color
from downup.data.layouts import Layout, Pair, find_pairs
from downup.data.masks import MaskCoding, MaskContent, mask_content, read_mask, unpacked
from downup.data.pictures import open_image, read_picture, upright_size
from downup.data.problems import FileError, Problem
from downup.data.samples import IGNORED, Dataset, Pixels
from downup.errors import DataError

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int, int], None]
"""Called with the number of files done and of all."""

VALIDATION_SHARE = 0.2
_SHOWN_COLORS = 6


@dataclass(frozen=True)
class FileSample:
    """A picture file and its mask file."""

    stem: str
    image_path: Path
    mask_path: Path
    coding: MaskCoding

    def read_image(self, channels: str) -> Pixels:
        """Return [height, width, 3] for "rgb", [height, width, 1] for "grey"."""
        return read_picture(self.image_path, channels)

    def read_mask(self) -> Pixels:
        """Return [height, width]: the class of each pixel, or 255 for those to ignore."""
        return read_mask(self.mask_path, self.coding)


@dataclass(frozen=True)
class Meaning:
    """What the values of a folder's masks stand for.

    Args:
        classes: name and colour of each class.
        coding: from values and colours to classes.
        notes: what was assumed, a sentence each.
    """

    classes: tuple[ClassInfo, ...]
    coding: MaskCoding
    notes: list[str] = field(default_factory=list)


def open_dataset(path: Path | str, *, progress: Progress | None = None) -> Dataset:
    """Open a folder of pictures and masks.

    Known layouts: `images/` and `masks/` (or `labels/`), alone, in `train/`, `val/` and `test/`, or around
    them; VOC; CamVid. A picture and its mask have the same name but for the ending. Masks hold class numbers,
    or colours that `classes.json` explains; 255 is ignored. Without `val/`, a fifth of the pictures
    validates: those whose names have a low hash, so that the choice stays when pictures are added.

    Args:
        path: the folder.
        progress: called with the number of pairs looked at and of all.

    Returns:
        the dataset; `notes` tells what was assumed.

    Raises:
        DataError: a file is missing or cannot be used, or the classes cannot be told.
    """
    root = Path(path)
    layout = find_pairs(root)
    _raise_first(root, layout.problems)
    found = find_classes(root)
    pairs = [pair for pairs in layout.pairs.values() for pair in pairs]
    _raise_first(root, [p for problems in in_threads(header_problems, pairs, None) for p in problems])
    paths = [pair.mask_path for pair in pairs]
    # With more than two declared classes, no value can make the coding doubtful: masks are read when needed.
    is_clear = found is not None and len(learned(found[1])) > 2
    contents = [] if is_clear else list(in_threads(mask_content, paths, progress))
    meaning = find_meaning(root, found, contents, layout)
    splits, notes = with_validation(layout)
    return Dataset(
        {name: [_sample(pair, meaning.coding) for pair in pairs] for name, pairs in splits.items()},
        meaning.classes,
        [*layout.notes, *meaning.notes, *notes],
    )


def in_threads(function: Callable[[T], R], items: Sequence[T], progress: Progress | None) -> Iterator[R]:
    """Apply a function to each item, several at a time, in order; decoding leaves Python's lock."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for done, future in enumerate(futures, 1):
                yield future.result()
                if progress:
                    progress(done, len(items))
        finally:
            for future in futures:
                future.cancel()


def header_problems(pair: Pair) -> list[Problem]:
    """Compare the sizes of a picture and its mask, by their headers alone."""
    problems = []
    sizes = []
    for path in (pair.image_path, pair.mask_path):
        try:
            with open_image(path) as image:
                sizes.append((*upright_size(image), (image.width, image.height), image.format))
        except FileError as error:
            problems.append(error.problem)
    if problems:
        return problems
    (width, height, stored, _), (mask_width, mask_height, _, mask_format) = sizes
    if (width, height) != (mask_width, mask_height):
        message = (
            f"is {mask_width}x{mask_height} pixels, but its picture {pair.image_path.name} {width}x{height}"
        )
        cure = "make the mask the size of the picture"
        if stored == (mask_width, mask_height):
            message += " once turned as its EXIF says"
            cure = "turn the mask as well, or store the picture upright"
        problems.append(Problem(pair.mask_path, message, cure))
    if mask_format in ("JPEG", "MPO"):
        cure = "make the mask again as PNG; a JPEG mask cannot be repaired by converting it"
        problems.append(Problem(pair.mask_path, "is a JPEG, which blurs class numbers", cure))
    return problems


def learned(entries: Sequence[Entry]) -> list[Entry]:
    """Return the classes that are not ignored."""
    return [entry for entry in entries if not entry.is_ignored]


def find_meaning(
    root: Path, found: tuple[Path, tuple[Entry, ...]] | None, contents: Sequence[MaskContent], layout: Layout
) -> Meaning:
    """Decide what the values of the masks stand for.

    Args:
        root: the data folder.
        found: the list of classes and its file, if there is one.
        contents: what the masks hold; may be empty where the list names more than two classes.
        layout: tells whether the folder is VOC's.

    Raises:
        DataError: it cannot be told.
    """
    values = {value for content in contents if content.is_grey for value in content.values()}
    is_zero_255 = values == {0, IGNORED}
    if found:
        return _declared(*found, contents, is_zero_255)
    colored = [content for content in contents if not content.is_grey]
    if colored:
        raise _colors_without_names(root, colored)
    if is_zero_255:
        names = ("background", "foreground")
        note = "the masks hold 0 and 255 only: read as two classes, background and foreground"
        return Meaning(_classes(names, contents), _two_classes(), [note])
    values -= {IGNORED}
    if not values:
        raise FileError(
            root, "has masks that hold 255 only, so no class", "use 0, 1 and so on for the classes"
        )
    count = max(values) + 1
    if len(values) <= count // 2:
        listed = ", ".join(map(str, sorted(values)[:_SHOWN_COLORS]))
        cure = f'name them in {root / "classes.json"}, as [{{"name": "road", "value": {max(values)}}}, ...]'
        raise FileError(root, f"has masks with values {listed}, which are no run from 0", cure)
    if layout.is_voc and count == len(VOC_NAMES):
        return Meaning(_classes(VOC_NAMES, contents), _run_of_classes(count))
    note = f"the masks hold values up to {count - 1}: read as {count} classes; classes.json can name them"
    return Meaning(_classes([f"class {k}" for k in range(count)], contents), _run_of_classes(count), [note])


def with_validation(layout: Layout) -> tuple[dict[str, list[Pair]], list[str]]:
    """Give a folder without a validation split one, and say so."""
    splits = dict(layout.pairs)
    source = "all" if "all" in splits else "train"
    if "val" in splits or source not in splits or len(splits[source]) < 2:
        if "all" in splits:
            splits["train"] = splits.pop("all")
        return splits, []
    ranked = sorted(splits.pop(source), key=lambda pair: (_rank(pair.stem), pair.stem))
    # At least one on either side, whatever the hashes.
    count = sum(_rank(pair.stem) < VALIDATION_SHARE for pair in ranked)
    count = min(max(count, 1), len(ranked) - 1)
    splits["val"] = sorted(ranked[:count], key=lambda pair: pair.stem)
    splits["train"] = sorted(ranked[count:], key=lambda pair: pair.stem)
    note = (
        f"there is no val/: {count} of {len(ranked)} pictures are kept for validation, chosen by their names"
    )
    return {name: splits[name] for name in ("train", "val", "test") if name in splits}, [note]


def _rank(stem: str) -> float:
    return int.from_bytes(hashlib.blake2b(stem.encode(), digest_size=4).digest()) / 2**32


def _raise_first(root: Path, problems: Sequence[Problem]) -> None:
    if len(problems) == 1:
        raise FileError(problems[0].file, problems[0].message, problems[0].cure)
    if problems:
        raise DataError(
            f"{root} has {len(problems)} problems, the first: {problems[0]} (downup check lists all)"
        )


def _sample(pair: Pair, coding: MaskCoding) -> FileSample:
    return FileSample(pair.stem, pair.image_path, pair.mask_path, coding)


def _declared(
    path: Path, entries: tuple[Entry, ...], contents: Sequence[MaskContent], is_zero_255: bool
) -> Meaning:
    coding = MaskCoding.of_entries(entries)
    named = learned(entries)
    free = iter([color for color in CLASS_COLORS if color not in {entry.color for entry in entries}])
    classes = tuple(ClassInfo(entry.name, entry.color or next(free)) for entry in named)
    ignored = [entry.name for entry in entries if entry.is_ignored]
    notes = [f"{path.name} has {', '.join(ignored)} ignored"] if ignored else []
    if any(not content.is_grey for content in contents) and not coding.colors:
        raise FileError(path, "gives no colours, but masks are in colour", 'add "color" to each class')
    if is_zero_255 and len(entries) == 2 and {entry.value for entry in entries} == {0, 1}:
        notes.append(f"the masks hold 0 and 255 only: read as {classes[0].name} and {classes[-1].name}")
        values = dict(coding.values)
        coding = MaskCoding(((0, values[0]), (255, values[1])), coding.colors)
    return Meaning(classes, coding, notes)


def _classes(names: Sequence[str], contents: Sequence[MaskContent]) -> tuple[ClassInfo, ...]:
    colors: Sequence[Color] = CLASS_COLORS
    palette = next((content.palette for content in contents if content.palette), ())
    # A palette's own colours, where they tell the classes apart.
    if len(set(palette[: len(names)])) == len(names):
        colors = palette
    return tuple(ClassInfo(name, color) for name, color in zip(names, colors, strict=False))


def _run_of_classes(count: int) -> MaskCoding:
    return MaskCoding((*((value, value) for value in range(count)), (IGNORED, IGNORED)))


def _two_classes() -> MaskCoding:
    return MaskCoding(((0, 0), (255, 1)))


def _colors_without_names(root: Path, contents: Sequence[MaskContent]) -> FileError:
    counts: dict[int, int] = {}
    for content in contents:
        for key, count in content.counts.items():
            counts[key] = counts.get(key, 0) + count
    keys = sorted(counts, key=lambda key: (-counts[key], key))
    shown = ", ".join(f'{{"name": "...", "color": {list(unpacked(key))}}}' for key in keys[:_SHOWN_COLORS])
    more = ", ..." if len(keys) > _SHOWN_COLORS else ""
    colors = f"{len(keys)} colours" if len(keys) > 1 else "a colour"
    return FileError(
        root, f"has masks in {colors} that no list explains", f"write classes.json: [{shown}{more}]"
    )
