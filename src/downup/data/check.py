"""`downup check`: every problem of a data folder at once, and how much of each class there is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from downup.data.class_files import find_classes
from downup.data.colors import ClassInfo
from downup.data.folder import Meaning, Progress, find_meaning, header_problems, in_threads, with_validation
from downup.data.layouts import Layout, Pair, find_pairs
from downup.data.masks import MaskContent, mask_content, unknown_cure, unknown_values
from downup.data.pictures import image_pixels, is_turned, open_image
from downup.data.problems import FileError, Problem
from downup.data.samples import IGNORED

_FEW_LEVELS = 32  # of 256 that a 16-bit picture keeps; what is read of a 12-bit one is 16


@dataclass(frozen=True)
class Balance:
    """How much of each class a split holds.

    Args:
        pictures: pairs in the split.
        class_pixels: pixels of each class.
        ignored_pixels: pixels that are neither learned nor judged.
    """

    pictures: int
    class_pixels: tuple[int, ...]
    ignored_pixels: int

    @property
    def class_shares(self) -> tuple[float, ...]:
        """Return the share of each class among the pixels that count; zeros where none does."""
        total = sum(self.class_pixels)
        return tuple(count / total if total else 0.0 for count in self.class_pixels)


@dataclass(frozen=True)
class CheckReport:
    """All that was found out about a data folder.

    Args:
        path: the folder.
        classes: name and colour of each class; empty where it cannot be told.
        splits: class balance by split.
        problems: what must be mended, by file.
        notes: what was assumed, or should be known, a sentence each.
    """

    path: Path
    classes: tuple[ClassInfo, ...]
    splits: dict[str, Balance]
    problems: list[Problem]
    notes: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether no problem was found."""
        return not self.problems


@dataclass
class _Facts:
    """What one pair's files told."""

    problems: list[Problem] = field(default_factory=list)
    content: MaskContent | None = None
    digest: bytes = b""
    is_turned: bool = False


def check_dataset(path: Path | str, *, progress: Progress | None = None) -> CheckReport:
    """Read every picture and mask of a data folder and list all that is wrong, each with its cure.

    Found are: pictures without mask and masks without picture; names that occur twice, in a split or in two;
    files that are damaged or of an unknown kind; masks of another size, or in JPEG; values and colours that
    no class has; classes without a pixel; 16-bit pictures that use too little of their range.

    Args:
        path: the folder, of a layout that `open_dataset` knows.
        progress: called with the number of pairs read and of all.

    Returns:
        the report. Nothing is raised for what is wrong with the data.
    """
    root = Path(path)
    try:
        layout = find_pairs(root)
    except FileError as error:
        return CheckReport(root, (), {}, [error.problem], [])
    pairs = [pair for pairs in layout.pairs.values() for pair in pairs]
    facts = dict(zip(pairs, in_threads(_examine, pairs, progress), strict=True))
    problems = [*layout.problems, *(problem for fact in facts.values() for problem in fact.problems)]
    notes = [*layout.notes, *_turned(facts), *_copies(layout, facts)]
    try:
        contents = [fact.content for fact in facts.values() if fact.content]
        meaning = find_meaning(root, find_classes(root), contents, layout) if contents else None
    except FileError as error:
        return CheckReport(root, (), {}, [*problems, error.problem], notes)
    if meaning is None:
        return CheckReport(root, (), {}, problems, notes)
    splits, split_notes = with_validation(layout)
    balances = {name: _balance(pairs, facts, meaning, problems) for name, pairs in splits.items()}
    _find_empty_classes(root, meaning, balances, problems, notes)
    return CheckReport(root, meaning.classes, balances, problems, [*notes, *meaning.notes, *split_notes])


def _examine(pair: Pair) -> _Facts:
    facts = _Facts(header_problems(pair))
    known = {problem.file for problem in facts.problems}
    try:
        with open_image(pair.image_path) as image:
            facts.is_turned = is_turned(image)
            levels = np.asarray(image)
            pixels = image_pixels(image, "rgb", pair.image_path)
        if levels.dtype.itemsize > 1 and 0 < levels.max() < _FEW_LEVELS << 8:
            message = f"holds levels up to {levels.max()} of 65535, of which {(levels.max() >> 8) + 1} remain"
            cure = "multiply its levels, and those of all others alike, to fill 16 bits"
            facts.problems.append(Problem(pair.image_path, message, cure))
        facts.digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
    except FileError as error:
        if pair.image_path not in known:
            facts.problems.append(error.problem)
    try:
        content = mask_content(pair.mask_path)
        # Nothing can be told from a mask that a JPEG has blurred; its values would only repeat the problem.
        facts.content = None if content.is_lossy else content
    except FileError as error:
        if pair.mask_path not in known:
            facts.problems.append(error.problem)
    return facts


def _balance(
    pairs: list[Pair], facts: dict[Pair, _Facts], meaning: Meaning, problems: list[Problem]
) -> Balance:
    pixels = np.zeros(256, np.int64)
    for pair in pairs:
        content = facts[pair].content
        if content is None:
            continue
        known, unknown, is_color = content.tally(meaning.coding)
        if unknown:
            cure = unknown_cure(meaning.coding, is_color)
            problems.append(Problem(pair.mask_path, unknown_values(unknown, is_color), cure))
        problems.extend(_misleading_palette(pair.mask_path, content, meaning))
        for label, count in known.items():
            pixels[label] += count
    return Balance(len(pairs), tuple(pixels[: len(meaning.classes)].tolist()), int(pixels[IGNORED]))


def _misleading_palette(path: Path, content: MaskContent, meaning: Meaning) -> list[Problem]:
    # Tools that reduce an RGB mask to a palette number its colours as they come.
    labels = dict(meaning.coding.values)
    of_color = {item.color: label for label, item in enumerate(meaning.classes)}
    for value in content.counts:
        color = content.palette[value] if value < len(content.palette) else None
        label, painted = labels.get(value), of_color.get(color) if color else None
        if label not in (None, painted) and painted is not None and label != IGNORED:
            names = meaning.classes[label].name, meaning.classes[painted].name
            message = f"holds value {value}, which is {names[0]}, in the colour of {names[1]}"
            return [Problem(path, message, "save the mask as RGB, or with the palette in the classes' order")]
    return []


def _find_empty_classes(
    root: Path,
    meaning: Meaning,
    balances: dict[str, Balance],
    problems: list[Problem],
    notes: list[str],
) -> None:
    for label, item in enumerate(meaning.classes):
        missing = [split for split, balance in balances.items() if not balance.class_pixels[label]]
        what = f"{item.name} (class {label})"
        if len(missing) == len(balances):
            cure = "label some, or take it out of the list of classes"
            problems.append(Problem(root, f"has no pixel of {what} in any mask", cure))
        elif "train" in missing:
            cure = "move a picture with it there, or take it out of the list of classes"
            problems.append(Problem(root, f"has no pixel of {what} to train on", cure))
        elif missing:
            notes.append(f"no mask in {' or '.join(missing)} holds {what}, so it is not judged there")


def _turned(facts: dict[Pair, _Facts]) -> list[str]:
    turned = [pair for pair, fact in facts.items() if fact.is_turned]
    if not turned:
        return []
    many = f"{len(turned)} pictures are" if len(turned) > 1 else "1 picture is"
    return [f"{many} turned as EXIF says, the first {turned[0].image_path}: see that the masks fit"]


def _copies(layout: Layout, facts: dict[Pair, _Facts]) -> list[str]:
    first: dict[bytes, tuple[str, Pair]] = {}
    notes = []
    for split, pairs in layout.pairs.items():
        for pair in pairs:
            digest = facts[pair].digest
            other_split, other = first.setdefault(digest, (split, pair))
            if digest and other_split != split and other.stem != pair.stem:
                notes.append(f"{pair.image_path} is the same picture as {other.image_path} in {other_split}")
    return notes
