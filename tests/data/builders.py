"""Small data folders for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def picture(seed: int = 0, rows: int = 6, columns: int = 8) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)


def labels(*values: int, rows: int = 6, columns: int = 8) -> Pixels:
    """Stripes of the given values from left to right."""
    stripes = np.array(values, np.uint8)[np.arange(columns) * len(values) // columns]
    return np.tile(stripes, (rows, 1))


def save(path: Path, pixels: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def save_palette(path: Path, pixels: Pixels, colors: list[tuple[int, int, int]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    image.putpalette([level for color in colors for level in color])
    image.save(path)
    return path


def save_classes(folder: Path, content: Any) -> Path:
    path = folder / "classes.json"
    path.write_text(json.dumps(content))
    return path


def save_pairs(root: Path, count: int = 4, values: tuple[int, ...] = (0, 1, 2), start: int = 0) -> Path:
    """Write `count` pairs with index masks into root/images and root/masks."""
    for index in range(start, start + count):
        save(root / "images" / f"p{index}.png", picture(index))
        save(root / "masks" / f"p{index}.png", labels(*values))
    return root


def save_splits(root: Path, values: tuple[int, ...] = (0, 1, 2)) -> Path:
    """Write two pairs to train on and two to validate: no problem and nothing to assume but the names."""
    save_pairs(root / "train", 2, values)
    save_pairs(root / "val", 2, values, start=2)
    return root
