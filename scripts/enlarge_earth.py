r"""Write a folder of enlarged pieces of the Earth sample, to train a network for pictures of 43200 x 21600 pixels.

    python scripts/enlarge_earth.py DATA
    downup train DATA -o RUN --model unet --encoder vgg16_bn --width 0.125 --size 128 --epochs 8 --steps-per-epoch 120 \
        --schedule one-cycle --lr 0.005 --dice 1 --class-weights balanced --augment flip

The network of `downup demo` knows land by its texture at 15 pixels a degree. Enlarged eight times land is as smooth as the
sea, so a network for large pictures must have seen it so: here in colour. Of pieces that show one class, one in ten is kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from downup.data import earth
from downup.data.colors import flat_palette
from downup.data.samples import Sample

PIECE = 60  # pixels of the sample along each side: 5 x 5 pieces to a tile that is trained on
FACTOR = 8
SIDES = (FACTOR * PIECE, FACTOR * PIECE)
PLAIN_EVERY = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, metavar="DATA", help="folder to write")
    output: Path = parser.parse_args().output
    for split, tiles in earth.dataset().splits.items():
        for name in ("images", "masks"):
            (output / split / name).mkdir(parents=True, exist_ok=True)
        count = sum(write(tile, output / split) for tile in tiles)
        print(f"{split}: {count} pieces of {FACTOR * PIECE} x {FACTOR * PIECE} pixels")
    classes = [{"name": item.name, "color": list(item.color)} for item in earth.CLASSES]
    (output / "classes.json").write_text(json.dumps(classes, indent=2) + "\n")


def write(tile: Sample, folder: Path) -> int:
    """Write the pieces of a tile, enlarged; returns how many."""
    picture, mask = tile.read_image("rgb"), tile.read_mask()
    steps = len(mask) // PIECE
    plain = count = 0
    for row, column in np.ndindex(steps, steps):
        place = slice(row * PIECE, (row + 1) * PIECE), slice(column * PIECE, (column + 1) * PIECE)
        if len(np.unique(mask[place])) == 1:
            plain += 1
            if plain % PLAIN_EVERY:
                continue
        labels = Image.fromarray(mask[place]).resize(SIDES, Image.Resampling.NEAREST)
        labels.putpalette(flat_palette(earth.CLASSES))
        name = f"{tile.stem}_{row}{column}.png"
        labels.save(folder / "masks" / name)
        Image.fromarray(picture[place]).resize(SIDES, Image.Resampling.BILINEAR).save(
            folder / "images" / name
        )
        count += 1
    return count


if __name__ == "__main__":
    main()
