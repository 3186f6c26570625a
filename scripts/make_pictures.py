"""Draw the pictures of docs/down_and_up.md, with the operators themselves: `python scripts/make_pictures.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from downup import networks, ops
from downup.data import earth
from drawing import CELL, INK, PADDING, PALE, WINDOWS, Drawing

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"

# Where Africa meets Asia: two seas, a river, sand and rock; 168 rows and 216 columns, both divisible by 8.
EGYPT = (slice(862, 1030), slice(3126, 3342))
NUMBERS = torch.tensor([[1.0, 3, 2, 0], [4, 2, 1, 1], [0, 1, 5, 3], [2, 0, 4, 6]])[None, None]


def rows(x: Tensor) -> list[list[float]]:
    """The one plane of a tensor, as numbers."""
    numbers: list[list[float]] = x[0, 0].tolist()
    return numbers


def quarters(size: int) -> dict[tuple[int, int], str]:
    """The colour of each place of a square, by the quarter that it is in."""
    half = size // 2
    return {(i, j): WINDOWS[2 * (i // half) + j // half] for i in range(size) for j in range(size)}


# ---------------------------------------------------------------- numbers


def windows() -> Drawing:
    """A window of three that walks in steps of two over seven samples, one of padding at each end."""
    samples = [2.0, 7, 1, 8, 2, 8, 1]
    out = ops.conv2d(
        torch.tensor(samples)[None, None, None], torch.ones(1, 1, 1, 3), stride=(1, 2), padding=(0, 1)
    )
    drawing = Drawing(560, 250, "Four windows of three samples, two apart, over seven samples with padding")
    left, top = 100, 50
    drawing.text(left - 14, top + CELL / 2, "input", colour=PALE, anchor="end")
    for k, value in enumerate([0.0, *samples, 0.0]):
        is_padding = k in (0, 8)
        drawing.box(left + k * CELL, top, CELL, CELL, PADDING if is_padding else "#ffffff", dashed=is_padding)
        drawing.text(
            left + (k + 0.5) * CELL, top + CELL / 2, f"{value:g}", colour=PALE if is_padding else INK
        )
    for i, value in enumerate(rows(out)[0]):
        begin, y = left + 2 * i * CELL, top + CELL + 12 + 14 * (i % 2)
        drawing.box(begin + 3, y, 3 * CELL - 6, 9, WINDOWS[i])
        middle, below = begin + 1.5 * CELL, top + 3 * CELL + 10
        drawing.line(middle, y + 9, middle, below)
        drawing.box(middle - CELL / 2, below, CELL, CELL, WINDOWS[i])
        drawing.text(middle, below + CELL / 2, f"{value:g}")
    drawing.text(left - 14, top + 3.5 * CELL + 10, "sums", colour=PALE, anchor="end")
    return drawing


def pooling() -> Drawing:
    """Four windows of a square, and what the two pools keep of each."""
    pooled, offsets = ops.max_pool2d_with_offsets(NUMBERS, 2)
    taken = [
        (2 * i + int(k) // 2, 2 * j + int(k) % 2) for i in (0, 1) for j, k in enumerate(offsets[0, 0, i])
    ]
    drawing = Drawing(620, 240, "Max and average pooling of a 4 by 4 square with a 2 by 2 window")
    drawing.grid(40, 50, rows(NUMBERS), quarters(4), bold=taken, name="picture")
    drawing.arrow(222, 130, 282)
    drawing.grid(300, 90, rows(pooled), quarters(2), name="max")
    drawing.grid(400, 90, rows(ops.avg_pool2d(NUMBERS, 2)), quarters(2), name="average")
    drawing.grid(500, 90, rows(offsets.float()), quarters(2), name="place of max")
    return drawing


def upsampling() -> Drawing:
    """Four numbers, enlarged in two ways."""
    small = torch.tensor([[0.0, 8], [16, 24]])[None, None]
    drawing = Drawing(620, 240, "Nearest and bilinear enlargement of a 2 by 2 square")
    drawing.grid(40, 90, rows(small), quarters(2), name="picture")
    drawing.arrow(142, 130, 202)
    drawing.grid(220, 50, rows(ops.interpolate(small, scale_factor=2)), quarters(4), name="nearest")
    drawing.grid(
        420, 50, rows(ops.interpolate(small, scale_factor=2, mode="bilinear")), quarters(4), name="bilinear"
    )
    return drawing


def unpooling() -> Drawing:
    """Down by max pooling, changed, and back to the remembered places."""
    pooled, offsets = ops.max_pool2d_with_offsets(NUMBERS, 2)
    back = ops.max_unpool2d(pooled, offsets, 2)
    taken = [(int(i), int(j)) for i, j in back[0, 0].nonzero()]
    drawing = Drawing(620, 240, "Un-pooling puts each maximum back where it was taken")
    drawing.grid(40, 50, rows(NUMBERS), quarters(4), bold=taken, name="picture")
    drawing.arrow(214, 130, 266, words="max")
    drawing.grid(280, 90, rows(pooled), quarters(2))
    drawing.arrow(374, 130, 426, words="un-pool")
    drawing.grid(440, 50, rows(back), quarters(4), bold=taken, name="back")
    return drawing


def transposed() -> Drawing:
    """Each sample is spread over a window; windows of three at stride two overlap in every second place."""
    x, weight = torch.tensor([1.0, 2, 3])[None, None, None], torch.tensor([1.0, 1, 1])[None, None, None]
    out = rows(ops.conv_transpose2d(x, weight, stride=(1, 2)))[0]
    drawing = Drawing(560, 320, "A transposed convolution spreads three samples over seven places")
    left, top = 130, 40
    drawing.text(left - 14, top + CELL / 2, "input", colour=PALE, anchor="end")
    for i, value in enumerate(rows(x)[0]):
        middle = left + (2 * i + 1.5) * CELL
        drawing.box(middle - CELL / 2, top, CELL, CELL, WINDOWS[i])
        drawing.text(middle, top + CELL / 2, f"{value:g}")
        y = top + 2 * CELL + i * 32 - 16
        drawing.line(middle, top + CELL, middle, y)
        for k in range(3):
            drawing.box(left + (2 * i + k) * CELL, y, CELL, 28, WINDOWS[i])
            drawing.text(left + (2 * i + k + 0.5) * CELL, y + 14, f"{value:g}")
    drawing.text(left - 14, top + 2 * CELL + 30, "spread", colour=PALE, anchor="end")
    below = top + 2 * CELL + 96
    drawing.text(left - 14, below + CELL / 2, "sums", colour=PALE, anchor="end")
    for k, value in enumerate(out):
        drawing.box(left + k * CELL, below, CELL, CELL, "#ffffff")
        drawing.text(left + (k + 0.5) * CELL, below + CELL / 2, f"{value:g}")
    counts = rows(ops.conv_transpose2d(torch.ones_like(x), weight, stride=(1, 2)))[0]
    drawing.text(left - 14, below + CELL + 22, "how many add up", size=13, colour=PALE, anchor="end")
    for k, count in enumerate(counts):
        drawing.text(left + (k + 0.5) * CELL, below + CELL + 22, f"{count:g}", size=13, colour=PALE)
    return drawing


def network() -> Drawing:
    """The sizes of a U-Net on its way down and up, as it says them itself."""
    model = networks.build(
        networks.NetworkConfig(model="unet", encoder="vgg16_bn", classes=4, width=0.25)
    ).eval()
    with torch.no_grad():
        maps = model.encoder(torch.zeros(1, 3, 224, 224))[0]
        down = [(m.shape[1], m.shape[2]) for m in maps]
    up = list(reversed(down[:-1]))
    drawing = Drawing(680, 300, "The maps of a U-Net: fewer samples and more channels, then back")
    x, ground = 40.0, 250.0
    places = []
    for channels, size in [*down, *up]:
        width, height = 14 + channels / 3.2, size * 0.85
        colour = WINDOWS[0] if len(places) < len(down) else WINDOWS[2]
        drawing.box(x, ground - height, width, height, colour)
        drawing.text(x + width / 2, ground + 14, f"{size}²", size=13)
        drawing.text(x + width / 2, ground + 32, f"{channels}", size=12, colour=PALE)
        places.append((x + width / 2, ground - height))
        x += width + 26
    for k, (across, top) in enumerate(places[: len(up)]):
        other = places[-1 - k]
        drawing.line(across, top - 8, other[0], top - 8, colour=PALE, width=1)
    drawing.text(places[0][0], 36, "down", colour=PALE)
    drawing.text(places[-1][0], 36, "up", colour=PALE)
    drawing.text(x + 4, ground + 14, "pixels", size=12, colour=PALE, anchor="start")
    drawing.text(x + 4, ground + 32, "channels", size=12, colour=PALE, anchor="start")
    return drawing


# ---------------------------------------------------------------- photographs


def egypt() -> Tensor:
    """A part of the Earth in grey, [1, 1, 168, 216], its darkest pixel 0 and its brightest 1."""
    grey = torch.tensor(earth.picture("grey")[EGYPT][..., 0], dtype=torch.float32)[None, None]
    return (grey - grey.min()) / (grey.max() - grey.min())


def panels(named: list[tuple[str, NDArray[np.uint8]]], scale: int = 1) -> Image.Image:
    """Pictures of one size side by side, each under its name."""
    high, wide = named[0][1].shape[0] * scale, named[0][1].shape[1] * scale
    head, gap = 26, 12
    sheet = Image.new("L", (len(named) * (wide + gap) - gap, high + head), 255)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for k, (name, pixels) in enumerate(named):
        pen.text((k * (wide + gap) + wide // 2, head // 2), name, fill=40, font=font, anchor="mm")
        enlarged = Image.fromarray(pixels).resize((wide, high), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (k * (wide + gap), head))
    return sheet


def pixels(x: Tensor, gain: float = 1.0) -> NDArray[np.uint8]:
    """The one plane of a tensor as grey pixels."""
    return (x[0, 0] * gain * 255).round().clamp(0, 255).to(torch.uint8).numpy()


SIDEWAYS = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])[None, None]


def edges() -> Image.Image:
    """The picture, and how strongly two hand-made filters answer to it."""
    x = egypt()
    upright = ops.conv2d(x, SIDEWAYS, padding="same", padding_mode="replicate").abs()
    level = ops.conv2d(x, SIDEWAYS.mT, padding="same", padding_mode="replicate").abs()
    return panels(
        [("picture", pixels(x)), ("upright edges", pixels(upright)), ("level edges", pixels(level))], 2
    )


def down() -> Image.Image:
    """Four ways to an eighth of the size, shown at the size of the picture."""

    def thrice(operator: Callable[[Tensor], Tensor]) -> NDArray[np.uint8]:
        small = operator(operator(operator(egypt())))
        return pixels(ops.interpolate(small, scale_factor=8))

    ways: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("every second", lambda x: x[..., ::2, ::2]),
        ("max", lambda x: ops.max_pool2d(x, 2)),
        ("average", lambda x: ops.avg_pool2d(x, 2)),
        ("blur", lambda x: ops.blur_pool2d(x, taps=4)),
    ]
    return panels([("picture", pixels(egypt())), *((name, thrice(way)) for name, way in ways)], 1)


def there_and_back() -> Image.Image:
    """A quarter of the size and back, and the difference from the picture, three times as strong."""
    x = egypt()
    pooled, offsets = ops.max_pool2d_with_offsets(x, 4)
    average = ops.avg_pool2d(x, 4)
    ways = {
        "average, nearest": ops.interpolate(average, scale_factor=4),
        "average, bilinear": ops.interpolate(average, scale_factor=4, mode="bilinear"),
        "max, nearest": ops.interpolate(pooled, scale_factor=4),
        "max, un-pool": ops.max_unpool2d(pooled, offsets, 4, output_size=x.shape[2:]),
    }
    above = panels([(name, pixels(back)) for name, back in ways.items()])
    below = panels([("difference", pixels((back - x).abs(), 3.0)) for back in ways.values()])
    sheet = Image.new("L", (above.width, above.height + below.height + 8), 255)
    sheet.paste(above, (0, 0))
    sheet.paste(below, (0, above.height + 8))
    return sheet


DRAWINGS = (windows, pooling, upsampling, unpooling, transposed, network)
PHOTOGRAPHS = (edges, down, there_and_back)


def main() -> None:
    """Write them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for draw in DRAWINGS:
        (folder / f"{draw.__name__}.svg").write_text(str(draw()), encoding="utf-8")
    for photograph in PHOTOGRAPHS:
        photograph().save(folder / f"{photograph.__name__}.png", optimize=True)
    print(f"wrote {len(DRAWINGS) + len(PHOTOGRAPHS)} pictures to {folder}")


if __name__ == "__main__":
    main()
