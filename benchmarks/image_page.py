"""The page about large pictures, and the picture of the memory they take."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from image_engines import BLEND_HALF, BLEND_QUARTER, DOWNUP
from network_page import table

INTRODUCTION = """# Large pictures

Written by `python benchmarks/images.py`; every case it measured is here.

{notes}

How to read it:

- The Earth sample, enlarged, as an uncompressed tiled TIFF, labelled by the network of `downup demo` into a tiled TIFF with
  deflate; each way in a process of its own, one after the other. *MB* is the most that the process held, without what the
  system keeps of files.
- **downup** may take {memory} MB, and chooses its windows by that. Its labels are those of the whole picture at once.
- **blend** is the plain loop that others run, here over ONNX Runtime with all threads: windows of 512 x 512, weighed by a
  Gaussian, that overlap by a quarter (the default of MONAI's `sliding_window_inference`) or by a half (nnU-Net's), added up
  in float32 scores of the whole picture. What it labels depends on where the windows lie. At a gigapixel its arrays would
  take 21 GB.
- *Read* is how many pixels go through the network for each that is labelled. *Of the engine* is the rate, what is read twice
  counted, over that of the engine alone on such windows: what reading, writing and waiting leave of it.
"""

# One way and size: what image_engines.py printed, and "size" and "way".
Row = dict[str, Any]


def report(rows: Sequence[Row], memory: int, notes: Sequence[str], output: Path | None) -> str:
    """The page; with `output`, it is written, and the curves as a picture beside it in pictures/."""
    lines = INTRODUCTION.format(notes="\n".join(f"- {note}" for note in notes), memory=memory).splitlines()
    head = ["picture", "way", "seconds", "Mpx/s", "MB", "window", "read", "of the engine"]
    body = [
        [
            f"{row['size']} Mpx",
            row["way"],
            f"{row['seconds']:.1f}",
            f"{row['size'] / row['seconds']:.2f}",
            f"{row['peak_mb']:.0f}",
            f"{row['window']}",
            f"{row['read_share']:.2f}",
            f"{row['engine_share']:.0%}" if "engine_share" in row else "",
        ]
        for row in rows
    ]
    # The first two columns are words.
    made = table(head, body)
    lines += ["", made[0], "|---|---|" + "--:|" * (len(head) - 2), *made[2:]]
    own = [row for row in rows if row["way"] == DOWNUP]
    if len(own) > 1:
        least, most = (choose(row["peak_mb"] for row in own) for choose in (min, max))
        lines += [
            f"From {own[0]['size']} to {own[-1]['size']} megapixels downup held at most {least:.0f} to {most:.0f} MB.",
            "",
        ]
    if output is not None:
        picture = output.parent / "pictures" / "image_memory.svg"
        picture.write_text(curves(rows), encoding="utf-8")
        lines += ["![Memory over the share of the picture that is done](pictures/image_memory.svg)", ""]
    text = "\n".join(lines).rstrip() + "\n"
    if output is not None:
        output.write_text(text, encoding="utf-8")
    return text


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 380, 74, 210, 24, 52
COLOURS = {DOWNUP: "#0b6e99", BLEND_QUARTER: "#b4532a", BLEND_HALF: "#7a5195"}
DASHES = {10: "2 4", 100: "7 4", 933: ""}


def curves(rows: Sequence[Row]) -> str:
    """Megabytes over the share of the picture that is done, a line for each way and size, as SVG on a white ground."""
    top = 500 * (int(max(held for row in rows for _, held in row["curve"]) / 500) + 1)

    def x(share: float) -> float:
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(held: float) -> float:
        return HEIGHT - BOTTOM - held / top * (HEIGHT - TOP - BOTTOM)

    def text(left: float, at: float, words: str, anchor: str = "middle", colour: str = "#1b2a3a") -> str:
        return (
            f'<text x="{left:.1f}" y="{at:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
        )

    parts = []
    step = top // 5
    for held in range(0, top + 1, step):
        parts.append(f'<path d="M{LEFT} {y(held):.1f}H{WIDTH - RIGHT}" stroke="#dde3e8"/>')
        parts.append(text(LEFT - 8, y(held) + 4, f"{held}", "end"))
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(text(x(share), HEIGHT - BOTTOM + 20, f"{share:.0%}"))
    parts.append(text(x(0.5), HEIGHT - 10, "share of the picture that is labelled"))
    parts.append(text(LEFT, TOP - 8, "megabytes held", "start"))
    for place, row in enumerate(rows):
        colour, dash = COLOURS[row["way"]], DASHES[row["size"]]
        path = " ".join(f"{x(share):.1f},{y(held):.1f}" for share, held in row["curve"])
        stroke = f'fill="none" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{path}" {stroke}/>')
        key = TOP + 14 + 22 * place
        parts.append(f'<path d="M{WIDTH - RIGHT + 14} {key - 4}h30" {stroke}/>')
        parts.append(text(WIDTH - RIGHT + 52, key, f"{row['way']}, {row['size']} Mpx", "start", colour))
    body = "\n".join(parts)
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    font = 'font-family="Helvetica, Arial, sans-serif" font-size="13"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font} role="img">\n'
        "<title>Memory held while pictures are labelled</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
