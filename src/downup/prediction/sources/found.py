"""Finds the pictures in what a user names: files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from downup.data.pictures import SUFFIXES as PICTURE_SUFFIXES
from downup.errors import DataError
from downup.prediction.sources.ome_zarr import is_zarr

SUFFIXES = PICTURE_SUFFIXES | {".npy"}


@dataclass(frozen=True)
class Found:
    """The pictures that were found, and what was named but holds none.

    Attributes:
        pictures: files in the order in which they were named, those of a folder by name; each once.
        empty: folders without a picture, with a sentence about each.
    """

    pictures: tuple[Path, ...]
    empty: tuple[tuple[Path, str], ...] = ()


def find_pictures(paths: Iterable[str | os.PathLike[str]]) -> Found:
    """List the pictures among files and directly inside folders.

    A file is taken at its word: whether it can be read shows when it is. In folders, hidden files are passed
    over, and so is what has not the suffix of a picture: .png, .jpg, .jpeg, .tif, .tiff, .webp, .bmp
    or .npy, in any case; but folders of Zarr are pictures.

    Raises:
        DataError: there is no picture at all.
    """
    pictures: dict[Path, Path] = {}
    empty = []
    for path in map(Path, paths):
        found = _in_folder(path) if path.is_dir() and not is_zarr(path) else [path]
        if not found:
            empty.append((path, _why_empty(path)))
        for picture in found:
            pictures.setdefault(picture.resolve(), picture)
    if not pictures:
        raise DataError(empty[0][1] if empty else "no pictures were named; give files or folders")
    return Found(tuple(pictures.values()), tuple(empty))


def _in_folder(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from error
    return [entry for entry in entries if _is_picture(entry)]


def _is_picture(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in SUFFIXES


def _why_empty(folder: Path) -> str:
    known = ", ".join(sorted(SUFFIXES))
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not is_zarr(entry) and any(_is_picture(inner) for inner in entry.iterdir()):
            return (
                f"{folder}: no pictures in this folder itself, but there are some in {entry}; name that one"
            )
    return f"{folder}: no pictures ({known}) in this folder; name one that has some"
