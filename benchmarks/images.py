"""Labelling large pictures: rate, memory and what windows read twice, beside a plain loop over ONNX Runtime.

    python benchmarks/images.py MODEL.onnx --pictures FOLDER --output docs/images_benchmark.md
    python benchmarks/images.py MODEL.onnx --pictures FOLDER --sizes 10 100 --memory 1000

MODEL.onnx is a network on Earth, as `downup demo` leaves it. The pictures are the Earth sample enlarged; that of a gigapixel
takes 3 GB in FOLDER, and is kept. Each way labels each picture in a process of its own, one after the other.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from image_engines import BLEND_HALF, BLEND_QUARTER, DOWNUP
from image_page import report
from large_pictures import write
from measure import machine

# Megapixels: how many times as large as the sample, rows, columns.
PICTURES = {10: (1, 2700, 3704), 100: (3, 8100, 12346), 933: (8, 21600, 43200)}
# What the plain loop holds of a pixel: three bytes of the picture and one of what the network sees, scores of four classes
# and a weight in float32, and scores once more while they are divided. A gigapixel would take 21 GB.
MOST_BLENDED = 100


def made(folder: Path, size: int) -> Path:
    """The picture of so many megapixels, written unless it is there."""
    path = folder / f"earth_{size}.tif"
    if not path.exists():
        beside = path.with_suffix(".part")
        write(beside, *PICTURES[size])
        beside.rename(path)
    return path


def run(way: str, model: Path, picture: Path, out: Path, memory: int) -> dict[str, Any]:
    """Label a picture in a process of its own."""
    words = [way, model, picture, out, memory]
    script = Path(__file__).with_name("image_engines.py")
    done = subprocess.run(
        [sys.executable, script, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="ONNX file of a network on Earth")
    parser.add_argument("--pictures", type=Path, required=True, help="folder for pictures and labels")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=sorted(PICTURES), choices=sorted(PICTURES), help="megapixels"
    )
    parser.add_argument("--memory", type=int, default=1000, help="megabytes that downup may take")
    parser.add_argument(
        "--output", type=Path, help="Markdown file to write, with a picture of the memory beside it"
    )
    arguments = parser.parse_args()
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    notes, rows = machine(), []
    for size in arguments.sizes:
        picture = made(arguments.pictures, size)
        ways = [DOWNUP] if size > MOST_BLENDED else [DOWNUP, BLEND_QUARTER, BLEND_HALF]
        for way in ways:
            out = arguments.pictures / f"labels_{size}_{way.replace(', ', '_').replace(' ', '_')}.tif"
            found = {
                "size": size,
                "way": way,
                **run(way, arguments.model, picture, out, arguments.memory * 10**6),
            }
            print({key: value for key, value in found.items() if key != "curve"}, flush=True)
            rows.append(found)
    text = report(rows, arguments.memory, notes, arguments.output)
    print(text)


if __name__ == "__main__":
    main()
