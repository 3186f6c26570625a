"""Finding the pictures and masks of a data folder: plain folders, with or without splits, VOC and CamVid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from downup.data.pictures import SUFFIXES
from downup.data.problems import FileError, Problem

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
IMAGE_FOLDERS = ("images",)
MASK_FOLDERS = ("masks", "labels")
# What CamVid's folders of masks are called beside a folder "train": SegNet's copy and the later ones.
_CAMVID_MASKS = ("{}annot", "{}_labels", "{}_masks")
# Names that label tools give the mask of "a": "a_mask", and CamVid's "a_L" (colours) and "a_P" (values).
_MASK_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_L", "_P")
_WHOLE_LISTS = ("trainval", "default")  # "default" is what CVAT writes
_OTHER_PICTURES = frozenset(
    {
        ".gif",
        ".heic",
        ".heif",
        ".avif",
        ".jp2",
        ".svg",
        ".psd",
        ".tga",
        ".ppm",
        ".pgm",
        ".npy",
        ".dng",
        ".raw",
    }
)
_EXPECTED = (
    "put pictures into images/ and masks of the same names into masks/, in train/ and val/ or not; VOC and "
    "CamVid folders are known too"
)


@dataclass(frozen=True)
class Pair:
    """A picture and its mask, by name alone."""

    stem: str
    image_path: Path
    mask_path: Path


@dataclass
class Layout:
    """The pairs of a data folder, and what is wrong with the names in it.

    Args:
        root: the data folder.
        pairs: by split; under "all" where the folder has no splits.
        problems: files without a partner, and the like.
        notes: what was assumed, a sentence each.
    """

    root: Path
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_voc: bool = False


def find_pairs(root: Path) -> Layout:
    """Find every picture and its mask.

    Raises:
        DataError: the folder is missing, or is of no known layout.
    """
    if not root.exists():
        raise FileError(root, "does not exist", "check the name of the data folder")
    if not root.is_dir():
        raise FileError(root, "is a file, not a data folder", _EXPECTED)
    layout = Layout(root)
    pictures, classes = _child(root, ("JPEGImages",)), _child(root, ("SegmentationClass",))
    if pictures and classes:
        layout.is_voc = True
        _add_voc(layout, pictures, classes)
    else:
        folders = dict(_split_folders(root))
        if not folders:
            raise _unknown_layout(root)
        for split, (images, masks) in folders.items():
            _add_folders(layout, split, images, masks)
    _move_listed_validation(layout)
    for split in [name for name, pairs in layout.pairs.items() if not pairs]:
        del layout.pairs[split]
    if not layout.pairs and not layout.problems:
        layout.problems.append(Problem(root, "holds no pictures", _EXPECTED))
    _find_shared_stems(layout)
    return layout


def _child(folder: Path, names: Sequence[str]) -> Path | None:
    # Upper and lower case differ between tools, and some file systems do not tell them apart.
    if folder.is_dir():
        found = {path.name.lower(): path for path in sorted(folder.iterdir(), reverse=True) if path.is_dir()}
        for name in names:
            if name.lower() in found:
                return found[name.lower()]
    return None


def _split_folders(root: Path) -> Iterable[tuple[str, tuple[Path, Path | None]]]:
    images, masks = _child(root, IMAGE_FOLDERS), _child(root, MASK_FOLDERS)
    is_split = False
    for split, names in SPLITS.items():
        outer = _child(root, names)
        inner = _child(images, names) if images else None
        if outer and (pictures := _child(outer, IMAGE_FOLDERS)):
            is_split = True
            yield split, (pictures, _child(outer, MASK_FOLDERS))
        elif inner:
            is_split = True
            yield split, (inner, _child(masks, names) if masks else None)
        elif outer and (partner := _child(root, [form.format(outer.name) for form in _CAMVID_MASKS])):
            is_split = True
            yield split, (outer, partner)
    if images and not is_split:
        yield "all", (images, masks)


def _unknown_layout(root: Path) -> FileError:
    for path in sorted(root.iterdir()):
        if _child(path, ("JPEGImages",)) or _child(path, IMAGE_FOLDERS):
            return FileError(root, "holds no images/ and masks/", f"give {path} instead")
    masks = _child(root, MASK_FOLDERS)
    what = f"holds {masks.name}/ but no images/" if masks else "is not a data folder"
    return FileError(root, what, _EXPECTED)


def _add_folders(layout: Layout, split: str, images: Path, masks: Path | None) -> None:
    if masks is None:
        if split == "test":
            layout.notes.append(f"{images} has no masks and is left out")
        else:
            cure = f"put the masks into {_expected_masks(layout.root, images)}"
            layout.problems.append(Problem(images, "has no folder of masks to go with it", cure))
        return
    pictures = _by_stem(layout, images)
    labelled, renamed = _without_endings(_by_stem(layout, masks), pictures)
    if renamed:
        layout.notes.append(f"{masks} names the mask of a picture like {renamed[0].name}; they are matched")
    for stem, path in pictures.items():
        if stem not in labelled:
            problem = Problem(path, "has no mask", f"add {masks / stem}.png, or remove the picture")
            layout.problems.append(problem)
    for stem, path in labelled.items():
        if stem not in pictures:
            problem = Problem(
                path, "has no picture", f"add the picture {images / stem}.*, or remove the mask"
            )
            layout.problems.append(problem)
    layout.pairs[split] = [
        Pair(stem, path, labelled[stem]) for stem, path in pictures.items() if stem in labelled
    ]


def _expected_masks(root: Path, images: Path) -> Path:
    parts = images.relative_to(root).parts
    return root.joinpath(*("masks" if part.lower() in IMAGE_FOLDERS else part for part in parts))


def _by_stem(layout: Layout, folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if path.name.startswith("."):
            continue
        if suffix in _OTHER_PICTURES:
            cure = "convert it to PNG, JPEG, TIFF, WebP or BMP, or remove it"
            layout.problems.append(Problem(path, "is of a kind that is not read", cure))
        elif path.is_dir():
            layout.problems.append(
                Problem(path, "is a folder among pictures", "move its files up, or it away")
            )
        elif suffix in SUFFIXES:
            if path.stem in found:
                what = f"has the same name as {found[path.stem].name} but for the ending"
                layout.problems.append(Problem(path, what, "rename or remove one of them"))
            else:
                found[path.stem] = path
    return found


def _without_endings(masks: dict[str, Path], pictures: dict[str, Path]) -> tuple[dict[str, Path], list[Path]]:
    matched: dict[str, Path] = {}
    renamed: list[Path] = []
    for stem, path in masks.items():
        bare = next((stem.removesuffix(end) for end in _MASK_ENDINGS if stem.endswith(end)), stem)
        if stem not in pictures and bare in pictures and bare not in masks and bare not in matched:
            renamed.append(path)
            matched[bare] = path
        else:
            matched[stem] = path
    return matched, renamed


def _add_voc(layout: Layout, images: Path, masks: Path) -> None:
    pictures, labelled = _by_stem(layout, images), _by_stem(layout, masks)
    lists = layout.root / "ImageSets" / "Segmentation"
    named = {split: path for split in SPLITS if (path := lists / f"{split}.txt").is_file()}
    whole = next((path for name in _WHOLE_LISTS if (path := lists / f"{name}.txt").is_file()), None)
    if whole and not named:
        named = {"all": whole}
    if not named:
        layout.notes.append(f"{lists} holds no train.txt and val.txt; every mask is used")
        _add_folders_of_masks(layout, "all", labelled, pictures, labelled)
    for split, path in named.items():
        stems = dict.fromkeys(_lines(path))
        if split == "test" and not any(stem in labelled for stem in stems):
            layout.notes.append(f"{path} names no picture with a mask and is left out")
            continue
        _add_folders_of_masks(layout, split, stems, pictures, labelled, source=path)


def _add_folders_of_masks(
    layout: Layout,
    split: str,
    stems: Iterable[str],
    pictures: dict[str, Path],
    masks: dict[str, Path],
    source: Path | None = None,
) -> None:
    pairs = []
    for stem in stems:
        if stem in pictures and stem in masks:
            pairs.append(Pair(stem, pictures[stem], masks[stem]))
        else:
            what = "mask" if stem in pictures else "picture"
            file = source or masks[stem]
            message = f"names {stem}, which has no {what}" if source else f"has no {what}"
            layout.problems.append(Problem(file, message, f"add the {what}, or remove the name"))
    layout.pairs[split] = pairs


def _move_listed_validation(layout: Layout) -> None:
    # The copy of CamVid that comes with fastai: one folder, and a list of the pictures to validate on.
    path = layout.root / "valid.txt"
    if list(layout.pairs) == ["all"] and path.is_file():
        names = set(_lines(path))
        pairs = layout.pairs.pop("all")
        layout.pairs["train"] = [pair for pair in pairs if pair.image_path.name not in names]
        layout.pairs["val"] = [pair for pair in pairs if pair.image_path.name in names]
        layout.notes.append(f"{path} names {len(layout.pairs['val'])} pictures to validate on")


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(path, f"cannot be read as UTF-8 text ({error})", "save it again") from error
    return [line.strip() for line in lines if line.strip()]


def _find_shared_stems(layout: Layout) -> None:
    seen: dict[str, str] = {}
    for split, pairs in layout.pairs.items():
        for pair in pairs:
            other = seen.setdefault(pair.stem, split)
            if other != split:
                what = (
                    f"is in {split} under a name that {other} has too, so that what is learned may be judged"
                )
                cure = "keep it in one of them; rename it if the pictures differ"
                layout.problems.append(Problem(pair.image_path, what, cure))
