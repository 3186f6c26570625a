"""The operators of downup against those of torch, side by side.

    python benchmarks/operators.py --quick
    python benchmarks/operators.py --output docs/benchmarks.md
    python benchmarks/operators.py --case 'unpool.*channels_last'

Both sides run in one process, in turns, with the same inputs, layout and number of threads, and in the same way: gradients
through `torch.autograd.grad` on a graph that is kept. malloc keeps the memory of results for the next call.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from downup import kernels, ops
from downup.kernels import Window
from measure import Call, Times, copy_of, geometric_mean, in_turns, keep_memory, machine, ratio

# Typed loosely: the stubs know no call with unpacked arguments.
_torch_pool: Callable[..., object] = F.max_pool2d
_torch_unpool: Callable[..., Tensor] = F.max_unpool2d

LAYOUTS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}
OPERATORS = ("max_pool2d", "max_unpool2d")
DIRECTIONS = ("forward", "backward")
FORMS = ("none", "offsets", "int64")


@dataclass(frozen=True)
class Setting:
    """What a network gives its pooling."""

    name: str
    shape: tuple[int, int, int, int]
    window: tuple[int, int, int]  # size, stride, padding
    dtypes: tuple[torch.dtype, ...] = (torch.float32,)


EVERY_TYPE = (torch.float32, torch.bfloat16, torch.float64)
SETTINGS = (
    Setting("first pool of U-Net", (4, 64, 256, 256), (2, 2, 0), EVERY_TYPE),
    Setting("stem of ResNet", (4, 64, 112, 112), (3, 2, 1), EVERY_TYPE),
    Setting("stride 1", (4, 64, 56, 56), (3, 1, 1)),
    Setting("deep in VGG", (8, 512, 14, 14), (2, 2, 0)),
    Setting("odd size", (2, 128, 129, 257), (2, 2, 0)),
)
SMALL_SETTINGS = (
    Setting("tiny", (1, 3, 8, 8), (2, 2, 0)),
    Setting("small", (1, 16, 32, 32), (2, 2, 0)),
    Setting("one feature map", (1, 64, 28, 28), (3, 2, 1)),
    Setting("deep", (2, 256, 14, 14), (2, 2, 0)),
)
QUICK_SHAPES = {(4, 64, 112, 112), (8, 512, 14, 14), (1, 3, 8, 8)}


@dataclass(frozen=True)
class Case:
    """One row: an operator in one direction, positions of one form, and where it runs."""

    operator: str
    direction: str
    form: str
    setting: Setting
    layout: str
    dtype: torch.dtype
    threads: int

    def __str__(self) -> str:
        size, stride, padding = self.setting.window
        shape = "x".join(map(str, self.setting.shape))
        window = f"{size}x{size}/{stride}" + (f"+{padding}" if padding else "")
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{self.operator} {self.direction} {self.form} {shape} {window} {self.layout} {dtype} {self.threads}"


@dataclass(frozen=True)
class Row:
    """What a case took: ours, torch's where it has the operator, and a copy of as many bytes."""

    case: Case
    ours: Times
    peer: Times | None
    copy: Times

    @property
    def speedup(self) -> float:
        """How many times faster than torch; not a number where torch has no such operator."""
        return math.nan if self.peer is None else ratio(self.peer, self.ours)

    @property
    def copy_share(self) -> float:
        """The bytes that must be read and written, over the time, as a share of what a copy reaches."""
        return ratio(self.copy, self.ours)


# ---------------------------------------------------------------- the two sides of a case


def both_sides(case: Case) -> tuple[Call, Call, int]:
    """Ours, torch's, and the bytes that ours reads and writes."""
    torch.manual_seed(0)
    layout = LAYOUTS[case.layout]
    plane = torch.randn(case.setting.shape).to(case.dtype).contiguous(memory_format=layout)
    sides = _pool_sides if case.operator == "max_pool2d" else _unpool_sides
    return sides(case, plane)


def _pool_sides(case: Case, plane: Tensor) -> tuple[Call, Call, int]:
    window = case.setting.window
    is_forward = case.direction == "forward"
    x = plane if is_forward else plane.requires_grad_()

    def ours() -> object:
        if case.form == "offsets":
            return ops.max_pool2d_with_offsets(x, *window)
        return ops.max_pool2d(x, *window, return_indices=case.form == "int64")

    def peer() -> object:
        return _torch_pool(x, *window, return_indices=case.form == "int64")

    ours_out, peer_out = _first(ours()), _first(peer())
    position_bytes = {"none": 0, "offsets": 1, "int64": 8}[case.form] * ours_out.numel()
    moved = _bytes(plane) + _bytes(ours_out) + position_bytes
    if is_forward:
        return ours, peer, moved
    gradient = torch.randn_like(ours_out)
    return _gradient(ours_out, x, gradient), _gradient(peer_out, x, gradient), moved


def _unpool_sides(case: Case, plane: Tensor) -> tuple[Call, Call, int]:
    window, size = case.setting.window, list(case.setting.shape[2:])
    layout = LAYOUTS[case.layout]
    x, flat = ops.max_pool2d(plane, *window, return_indices=True)
    positions = ops.max_pool2d_with_offsets(plane, *window)[1] if case.form == "offsets" else flat
    if case.direction == "backward":
        x.requires_grad_()

    def ours() -> Tensor:
        return ops.max_unpool2d(x, positions, *window, output_size=size)

    def peer() -> Tensor:
        return _torch_unpool(x, flat, *window, output_size=size)

    moved = _bytes(plane) + _bytes(x) + _bytes(positions)
    if case.direction == "forward":
        return ours, peer, moved
    gradient = torch.randn_like(plane).contiguous(memory_format=layout)
    return _gradient(ours(), x, gradient), _lazy_gradient(peer, x, gradient), moved


def _lazy_gradient(forward: Call, x: Tensor, gradient: Tensor) -> Call:
    # torch may have no kernel for this type: then it says so when it is called.
    try:
        return _gradient(_first(forward()), x, gradient)
    except RuntimeError:
        return forward  # and raises the same once more, in `measure`


def _gradient(out: Tensor, x: Tensor, gradient: Tensor) -> Call:
    return lambda: torch.autograd.grad(out, x, gradient, retain_graph=True)


def _first(result: object) -> Tensor:
    out = result[0] if isinstance(result, tuple) else result
    assert isinstance(out, Tensor)
    return out


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


def measure(case: Case, rounds: int, round_seconds: float) -> Row:
    """Time one case."""
    torch.set_num_threads(case.threads)
    ours, peer, moved = both_sides(case)
    copy = copy_of(moved)
    try:
        peer()
    except RuntimeError as error:
        if "not implemented for" not in str(error):
            raise
        ours_times, copy_times = in_turns([ours, copy], rounds, round_seconds)
        return Row(case, ours_times, None, copy_times)
    ours_times, peer_times, copy_times = in_turns([ours, peer, copy], rounds, round_seconds)
    return Row(case, ours_times, peer_times, copy_times)


# ---------------------------------------------------------------- the cases


def cases(settings: tuple[Setting, ...], threads: tuple[int, ...]) -> Iterator[Case]:
    """Every combination; the types beside float32 on the most threads only."""
    for setting in settings:
        for dtype in setting.dtypes:
            for count in threads if dtype is torch.float32 else threads[-1:]:
                for layout in LAYOUTS:
                    for operator in OPERATORS:
                        for direction in DIRECTIONS:
                            for form in FORMS:
                                if form == "none" and (operator, direction) != ("max_pool2d", "forward"):
                                    continue
                                yield Case(operator, direction, form, setting, layout, dtype, count)


def calling_ways(setting: Setting) -> dict[str, Call]:
    """The same pooling, called in all the ways there are."""
    size, stride, padding = setting.window
    x = torch.randn(setting.shape)
    recorded = x.clone().requires_grad_()
    flat = ([size] * 2, [stride] * 2, [padding] * 4, [1, 1], False)
    pooled, offsets = ops.max_pool2d_with_offsets(x, *setting.window)
    pads = (padding, padding)
    window = Window((size, size), (stride, stride), pads, pads).native
    arrays = [tensor.numpy() for tensor in (x, pooled, offsets)]
    views = [kernels.array_view(array) for array in arrays]
    gradient = torch.randn_like(pooled)

    def there_and_back(forward: Call) -> Call:
        return lambda: torch.autograd.grad(_first(forward()), recorded, gradient)

    def registered(given: Tensor) -> Call:
        return lambda: torch.ops.downup.max_pool2d(given, *flat, True)

    def direct(given: Tensor) -> Call:
        return lambda: ops.max_pool2d(given, *setting.window)

    def peer(given: Tensor) -> Call:
        return lambda: F.max_pool2d(given, *setting.window)

    def kernel() -> object:
        assert arrays  # the memory that the views point into
        return kernels.lib.du_max_pool2d(*views, window, 1)

    return {
        "the kernel alone, from Python, results given": kernel,
        "`ops.max_pool2d`": direct(x),
        "`torch.ops.downup.max_pool2d` (the dispatcher)": registered(x),
        "torch": peer(x),
        "`ops.max_pool2d`, recorded": direct(recorded),
        "`torch.ops.downup.max_pool2d`, recorded": registered(recorded),
        "torch, recorded": peer(recorded),
        "`ops.max_pool2d`, forward and backward": there_and_back(direct(recorded)),
        "`torch.ops.downup.max_pool2d`, forward and backward": there_and_back(registered(recorded)),
        "torch, forward and backward": there_and_back(peer(recorded)),
    }


# ---------------------------------------------------------------- the page


def table(header: str, rows: list[str]) -> list[str]:
    """A Markdown table, and a line to end it."""
    return [f"| {header} |", "|" + "---|" * (header.count("|") + 1), *(f"| {row} |" for row in rows), ""]


def means(rows: list[Row]) -> list[str]:
    """Geometric means of the speed-up, by direction and layout."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.peer is not None:
            name = f"{row.case.operator} {row.case.direction} | {row.case.layout}"
            groups.setdefault(name, []).append(row)
    lines = []
    for name, group in groups.items():
        speedups = [row.speedup for row in group]
        share = geometric_mean([row.copy_share for row in group])
        lines.append(
            f"{name} | {len(group)} | {geometric_mean(speedups):.2f} | {min(speedups):.2f} | {max(speedups):.2f} | "
            f"{share:.0%}"
        )
    return table("operator | layout | cases | times faster, mean | least | most | share of copy, mean", lines)


def losses(rows: list[Row]) -> list[str]:
    """The cases in which torch is faster."""
    slower = [row for row in rows if row.speedup < 1]
    if not slower:
        return [f"torch is faster in none of {len(rows)} cases.", ""]
    return [
        f"torch is faster in {len(slower)} of {len(rows)} cases:",
        "",
        *(f"- {row.case}: {row.speedup:.2f}" for row in slower),
        "",
    ]


def row_line(row: Row, unit: float) -> str:
    case = row.case
    size, stride, padding = case.setting.window
    window = f"{size}x{size}, stride {stride}" + (f", padding {padding}" if padding else "")
    peer = "none" if row.peer is None else f"{row.peer.median / unit:.3g} ± {row.peer.spread:.0%}"
    speedup = "" if row.peer is None else f"{row.speedup:.2f}"
    dtype = str(case.dtype).removeprefix("torch.")
    return (
        f"{case.operator} {case.direction} | {case.form} | {list(case.setting.shape)} | {window} | {case.layout} | "
        f"{dtype} | {case.threads} | {row.ours.median / unit:.3g} ± {row.ours.spread:.0%} | {peer} | {speedup} | "
        f"{row.copy_share:.0%}"
    )


HEADER = (
    "operator | positions | shape | window | layout | type | threads | downup, {unit} | torch, {unit} | times faster"
    " | share of copy"
)

INTRODUCTION = """# Benchmarks

Written by `python benchmarks/operators.py --output docs/benchmarks.md`; every case it measured is here, whoever won.

{machine}

How to read it:

- downup, torch and a plain copy run in one process, in turns, {rounds} rounds each, with the same inputs, layout and number
  of threads. A time is the median of the rounds, with half the distance of the quartiles behind it; *times faster* and
  *share of copy* are medians of the ratios within a round.
- Outputs reuse memory on both sides: malloc was told to keep what is freed (`mallopt`, no mmap, no trimming). Without that
  every large output is fresh memory, which the system clears first, and both sides wait for that.
- A backward is timed alone, on both sides as `torch.autograd.grad` on a graph that is kept.
- *positions* is what a pooling remembers: `none`, `offsets` (one byte each), or `int64` (eight). torch always computes int64
  ones. Where downup has offsets, torch runs what it has for the same purpose.
- *share of copy*: the time in which `Tensor.copy_` moves as many bytes as this operator has to (input, output and positions,
  each once), over the time of the operator. 100 % is as fast as memory, or the cache where the case fits in it, permits.
"""


def page(arguments: argparse.Namespace) -> list[str]:
    """Measure the cases asked for; the page about them."""
    threads = (1, 2)
    rounds, round_seconds = (7, 0.002) if arguments.quick else (11, 0.004)

    def run(settings: tuple[Setting, ...], types: tuple[torch.dtype, ...], seconds: float) -> list[Row]:
        wanted = [
            case
            for case in cases(settings, threads)
            if case.dtype in types
            and (not arguments.quick or case.setting.shape in QUICK_SHAPES)
            and re.search(arguments.case, str(case))
        ]
        rows = []
        for case in wanted:
            rows.append(measure(case, rounds, seconds))
            print(f"{rows[-1].speedup:6.2f}  {rows[-1].copy_share:4.0%}  {case}", file=sys.stderr, flush=True)
        return rows

    start = time.perf_counter()
    described = "\n".join(f"- {line}" for line in machine())
    types = (torch.float32,) if arguments.quick else EVERY_TYPE
    large, small = run(SETTINGS, types, round_seconds), run(SMALL_SETTINGS, types, round_seconds / 2)
    lines = INTRODUCTION.format(machine=described, rounds=rounds).splitlines()
    lines += ["", "## Feature maps", "", *means(large), *losses(large)]
    lines += table(HEADER.format(unit="ms"), [row_line(row, 1e-3) for row in large])
    lines += ["## The cost of a call", "", "Tensors under 1 MB, where the call itself counts.", ""]
    lines += [*means(small), *losses(small)]
    lines += table(HEADER.format(unit="µs"), [row_line(row, 1e-6) for row in small])
    lines += ["## Ways to call", ""]
    lines += ["max_pool2d with offsets on one thread; *recorded*: the input requires a gradient.", ""]
    for setting in SMALL_SETTINGS[:1] if arguments.quick else SMALL_SETTINGS[::2]:
        torch.set_num_threads(1)
        ways = calling_ways(setting)
        times = in_turns(list(ways.values()), rounds, round_seconds / 2)
        costs = [
            f"{name} | {took.median * 1e6:.2f} ± {took.spread:.0%}"
            for name, took in zip(ways, times, strict=True)
        ]
        lines += table(f"{list(setting.shape)}, window {setting.window[0]} | µs", costs)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    return lines


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few cases, 7 rounds")
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    parser.add_argument("--case", default="", metavar="PATTERN", help="only cases whose line matches")
    arguments = parser.parse_args()
    keep_memory()
    lines = page(arguments)
    print("\n".join(lines))
    if arguments.output:
        arguments.output.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
