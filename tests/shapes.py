"""Small pictures of discs and squares with their masks: quick to make, quick to learn."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from downup.data import ClassInfo, Dataset

CLASSES = (
    ClassInfo("ground", (40, 40, 40)),
    ClassInfo("disc", (230, 120, 20)),
    ClassInfo("square", (20, 120, 230)),
)


def make_shapes(number, side=40):
    """Picture [side, side, 3] and mask [side, side] of a number; some pixels are ignored."""
    generator = np.random.default_rng(number)
    picture = generator.integers(20, 90, (side, side, 3)).astype(np.uint8)
    mask = np.zeros((side, side), np.uint8)
    rows, columns = np.mgrid[:side, :side]
    for label in (1, 2):
        y, x = generator.integers(side // 4, side - side // 4, 2)
        distance = (
            np.hypot(rows - y, columns - x) if label == 1 else np.maximum(abs(rows - y), abs(columns - x))
        )
        is_inside = distance < side / 5
        mask[is_inside] = label
        picture[is_inside] = picture[is_inside] // 3 + (90, 160)[label - 1]
    mask[0, :3] = 255
    return picture, mask


@dataclass(frozen=True)
class Made:
    stem: str
    number: int
    image_path: Path = Path("made")
    mask_path: Path = Path("made")

    def read_image(self, channels):
        picture, _ = make_shapes(self.number)
        return picture if channels == "rgb" else picture[:, :, 1:2].copy()

    def read_mask(self):
        return make_shapes(self.number)[1]


def shapes_dataset(train=8, val=4):
    splits = {
        "train": [Made(f"t{number}", number) for number in range(train)],
        "val": [Made(f"v{number}", 1000 + number) for number in range(val)],
    }
    return Dataset(splits, CLASSES)


def write_shapes(folder, train=8, val=4):
    """Write the pictures as train/images, train/masks, val/images, val/masks."""
    for split, samples in shapes_dataset(train, val).splits.items():
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for sample in samples:
            Image.fromarray(sample.read_image("rgb")).save(folder / split / "images" / f"{sample.stem}.png")
            Image.fromarray(sample.read_mask()).save(folder / split / "masks" / f"{sample.stem}.png")
    return folder
