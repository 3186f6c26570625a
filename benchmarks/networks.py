"""Whole networks in downup's engine and in the engines of others, side by side.

    python benchmarks/networks.py --quick
    python benchmarks/networks.py --output docs/networks_benchmark.md
    python benchmarks/networks.py --case 'SegNet.*512x512'

Each case runs in one process, the engines in turns, on the same picture and as many threads; peak memory is that of a
process which runs one engine alone. Weights are He's and the statistics of batch norm random, so that no error hides
behind the last bias. ONNX Runtime is timed with threads that spin and with threads that do not; the faster counts.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from downup.networks import NetworkConfig, build, export_onnx
from engines import ENGINES, INFORMATION, peak_of, picture, runs
from measure import copy_of, in_turns, machine

SIZES = ((512, 512), (1024, 1024), (387, 509))
THREADS = (1, 2)
ROUNDS = 7
ROUND_SECONDS = 0.2


class PlainUNet(nn.Module):
    """Ronneberger's network with batch norm: widths 32 to 512, two convolutions at each size."""

    def __init__(self, up: str, widths: tuple[int, ...] = (32, 64, 128, 256, 512), classes: int = 21) -> None:
        super().__init__()
        self.downs = nn.ModuleList(
            _twice(before, after) for before, after in zip((3, *widths), widths, strict=False)
        )
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.ups = nn.ModuleList(_up(up, *step) for step in steps)
        self.mixes = nn.ModuleList(_twice(2 * after, after) for _, after in steps)
        self.pool, self.last = nn.MaxPool2d(2), nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Any size: padded to a multiple of 16, and cropped."""
        rows, columns = x.shape[2:]
        x = nn.functional.pad(x, (0, (columns + 15) // 16 * 16 - columns, 0, (rows + 15) // 16 * 16 - rows))
        kept = []
        for down in self.downs:
            x = down(self.pool(x) if kept else x)
            kept.append(x)
        kept.pop()
        for up, mix in zip(self.ups, self.mixes, strict=True):
            x = mix(torch.cat([kept.pop(), up(x)], dim=1))
        return self.last(x)[..., :rows, :columns]


def _once(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def _twice(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(*_once(before, after), *_once(after, after))


def _up(up: str, before: int, after: int) -> nn.Module:
    if up == "transposed":
        return nn.ConvTranspose2d(before, after, 2, stride=2)
    return nn.Sequential(nn.Upsample(scale_factor=2), *_once(before, after))


class DilatedFCN(nn.Module):
    """ResNet-50 at stride 8, its last two stages dilated, and a head of 3x3 and 1x1, enlarged bilinearly."""

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        blocks, before = [], 64
        for count, middle, stride, dilation in (
            (3, 64, 1, 1),
            (4, 128, 2, 1),
            (6, 256, 1, 2),
            (3, 512, 1, 4),
        ):
            for index in range(count):
                blocks.append(_Bottleneck(before, middle, stride if index == 0 else 1, dilation))
                before = 4 * middle
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*_once(2048, 512), nn.Conv2d(512, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Any size."""
        scores = self.head(self.blocks(self.stem(x)))
        return nn.functional.interpolate(scores, size=x.shape[2:], mode="bilinear")


class _Bottleneck(nn.Module):
    def __init__(self, before: int, middle: int, stride: int, dilation: int) -> None:
        super().__init__()
        after = 4 * middle
        self.main = nn.Sequential(
            nn.Conv2d(before, middle, 1, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
            nn.Conv2d(middle, middle, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
            nn.Conv2d(middle, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.beside: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.beside = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        return (self.main(x) + self.beside(x)).relu()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "U-Net nearest": lambda: PlainUNet("nearest"),
    "U-Net transposed": lambda: PlainUNet("transposed"),
    "SegNet-VGG16": lambda: build(NetworkConfig(model="segnet", classes=21)),
    "U-Net on ResNet-18": lambda: build(NetworkConfig(model="unet", classes=21, up="nearest")),
    "dilated FCN-ResNet50": DilatedFCN,
}


def enlivened(network: nn.Module) -> nn.Module:
    """He's weights and random statistics of batch norm, always the same."""
    torch.manual_seed(0)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            elif isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
                part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network.eval()


@dataclass
class Row:
    """What one engine took in one case."""

    case: str
    engine: str
    ms: float
    spread: float
    error: float
    peak_mb: float


def measure_case(
    name: str, rows: int, columns: int, threads: int, folder: Path, engines: tuple[str, ...]
) -> Iterator[Row]:
    """Time the engines in turns, and hold each against float64."""
    case = f"{name}, {columns}x{rows}, {threads} thread{'s' if threads > 1 else ''}"
    network, path, x = enlivened(NETWORKS[name]()), folder / f"{name}.onnx", picture(rows, columns)
    if not path.exists():
        export_onnx(network, torch.zeros(2, 3, 64, 64), path)
    torch.set_num_threads(threads)
    with torch.inference_mode():
        exact = copy.deepcopy(network).double()(torch.from_numpy(x).double()).numpy()
    calls = [(engine, call) for engine in engines for call in runs(engine, path, network, x, threads)]
    errors = {engine: float(np.linalg.norm(call() - exact) / np.linalg.norm(exact)) for engine, call in calls}
    found = in_turns([call for _, call in calls], ROUNDS, ROUND_SECONDS)
    for engine in engines:
        own = [times for (name_of, _), times in zip(calls, found, strict=True) if name_of == engine]
        best = min(own, key=lambda times: times.median)
        peak = peak_of(engine, name, rows, columns, threads, path)
        yield Row(case, engine, best.median * 1e3, best.spread, errors[engine], peak)


def ceilings() -> list[str]:
    """What the machine can do, measured in this run."""
    lines = []
    for threads in THREADS:
        torch.set_num_threads(threads)
        side = 2048
        left, right = torch.randn(side, side), torch.randn(side, side)
        out = torch.empty(side, side)
        copied = 256 << 20
        product, copy_call = partial(torch.mm, left, right, out=out), copy_of(copied)
        multiply, copying = in_turns([product, copy_call], 9, 0.05)
        rate, bandwidth = 2 * side**3 / min(multiply.rounds) / 1e9, copied / copying.median / 1e9
        lines.append(
            f"{threads} thread(s): {rate:.0f} GFLOP/s in torch's best matrix product, copies at {bandwidth:.0f} GB/s"
        )
    return lines


def report(rows: list[Row], notes: list[str]) -> str:
    """The table, one line for each case and engine, and the ratio to the fastest float32 peer."""
    lines = ["# Networks, side by side", "", *(f"- {note}" for note in notes), ""]
    lines += ["Written by `python benchmarks/networks.py`. Times are medians; error is relative (L2) to float64; memory is "
              "the peak of a process of its own. The ratio is to the fastest float32 engine of others.", ""]  # fmt: skip
    lines += [
        "| case | engine | ms | spread | of the fastest peer | error | MB |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for case in dict.fromkeys(row.case for row in rows):
        own = [row for row in rows if row.case == case]
        peers = [row.ms for row in own if row.engine != "downup" and row.engine not in INFORMATION]
        for row in own:
            ratio = f"{row.ms / min(peers):.2f}" if peers else ""
            numbers = f"{row.ms:.0f} | {row.spread:.0%} | {ratio} | {row.error:.1e} | {row.peak_mb:.0f}"
            lines.append(f"| {row.case} | {row.engine} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="512x512 alone, without torch.compile")
    parser.add_argument("--case", default="", help="regular expression: only cases that match")
    parser.add_argument("--output", type=Path, help="where the table goes; printed in any case")
    parser.add_argument("--json", type=Path, help="also the numbers")
    arguments = parser.parse_args()
    engines = tuple(name for name in ENGINES if not (arguments.quick and name == "torch.compile"))
    notes, rows = [*machine(), *ceilings()], []
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            for height, width in SIZES[:1] if arguments.quick else SIZES:
                for threads in THREADS:
                    if re.search(arguments.case, f"{name}, {width}x{height}, {threads}"):
                        for row in measure_case(name, height, width, threads, Path(folder), engines):
                            rows.append(row)
                            print(row, flush=True)
    text = report(rows, notes)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(row) for row in rows], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
