"""The operators of downup against those of torch, side by side.

    python benchmarks/operators.py --quick
    python benchmarks/operators.py --output docs/benchmarks.md
    python benchmarks/operators.py --case 'unpool.*channels_last'
    python benchmarks/operators.py --rows FILE --minutes 5        some of the cases; the same again goes on with the rest

Both sides run in one process, in turns, with the same inputs, layout and number of threads, and in the same way: gradients
through `torch.autograd.grad` on a graph that is kept. Memory is reused, but for the cases that say otherwise.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import downup
from downup import kernels, ops
from downup.kernels import Window
from measure import Call, Times, copy_of, geometric_mean, in_turns, machine, ratio
from subjects import Shape, Subject, subjects

LAYOUTS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}
DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True)
class Case:
    """One row: an operator in one direction, on a feature map."""

    subject: str
    direction: str
    shape: Shape
    layout: str
    dtype: str
    threads: int

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"{self.subject}, {self.direction}, {shape} {self.layout} {self.dtype} {self.threads}"


@dataclass(frozen=True)
class Row:
    """What a case took: ours, torch's where it has the operator, and a copy of as many bytes."""

    case: Case
    ours: Times
    peer: Times | None
    copy: Times
    size_bytes: int

    @property
    def speedup(self) -> float:
        """How many times faster than torch; not a number where torch has no such operator."""
        return math.nan if self.peer is None else ratio(self.peer, self.ours)

    @property
    def copy_share(self) -> float:
        """The bytes that must be read and written, over the time, as a share of what a copy reaches."""
        return ratio(self.copy, self.ours)

    @property
    def is_loss(self) -> bool:
        """Whether torch is faster by more than the rounds differ among themselves."""
        return self.peer is not None and self.speedup < 1 - self.ours.spread - self.peer.spread


# ---------------------------------------------------------------- the two sides of a case


def measure(subject: Subject, case: Case, rounds: int, round_seconds: float) -> Row:
    """Time one case."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    plane = (
        torch.randn(case.shape).to(getattr(torch, case.dtype)).contiguous(memory_format=LAYOUTS[case.layout])
    )
    x, ours, peer, position_bytes = subject.prepare(plane)
    out = _first(ours(x))
    moved = _bytes(x) + _bytes(out) + position_bytes
    sides: list[Call | None]
    if case.direction == "forward":
        sides = [lambda: ours(x), _if_torch_can(lambda: peer(x))]
    else:
        x = x.detach().requires_grad_()
        gradient = torch.randn_like(out)
        sides = [_gradient(_first(ours(x)), x, gradient), _if_torch_can(lambda: peer(x), x, gradient)]
    del plane, out
    timed = in_turns([side for side in sides if side is not None] + [copy_of(moved)], rounds, round_seconds)
    return Row(case, timed[0], timed[1] if sides[1] else None, timed[-1], moved)


def _if_torch_can(call: Call, x: Tensor | None = None, gradient: Tensor | None = None) -> Call | None:
    """torch's side of a case, or None where it has no kernel for this type."""
    try:
        out = _first(call())
        if x is None or gradient is None:
            return call
        backward = _gradient(out, x, gradient)
        backward()
    except RuntimeError as error:
        if "not implemented for" not in str(error):
            raise
        return None
    return backward


def _gradient(out: Tensor, x: Tensor, gradient: Tensor) -> Call:
    return lambda: torch.autograd.grad(out, x, gradient, retain_graph=True)


def _first(result: object) -> Tensor:
    out = result[0] if isinstance(result, tuple) else result
    assert isinstance(out, Tensor)
    return out


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


def calling_ways(shape: Shape) -> dict[str, Call]:
    """Two operators, called in all the ways there are."""
    x = torch.randn(shape)
    recorded = x.clone().requires_grad_()
    pooled, offsets = ops.max_pool2d_with_offsets(x, 2)
    window = Window((2, 2), (2, 2)).native
    arrays = [tensor.numpy() for tensor in (x, pooled, offsets)]
    views = [kernels.array_view(array) for array in arrays]

    def kernel() -> object:
        assert arrays  # the memory that the views point into
        return kernels.lib.du_max_pool2d(*views, window, 1)

    ways: dict[str, Call] = {"the kernel of max_pool2d alone, from Python, results given": kernel}
    pairs: dict[str, tuple[Any, Any]] = {
        "max_pool2d": (lambda x: ops.max_pool2d(x, 2), lambda x: F.max_pool2d(x, 2)),
        "avg_pool2d": (lambda x: ops.avg_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2)),
        "interpolate": (
            lambda x: ops.interpolate(x, scale_factor=2),
            lambda x: F.interpolate(x, scale_factor=2),
        ),
        "pixel_shuffle": (lambda x: ops.pixel_shuffle(x, 2), lambda x: F.pixel_shuffle(x, 2)),
    }
    for name, (ours, peer) in pairs.items():
        for whose, side in (("downup", ours), ("torch", peer)):
            gradient = torch.randn_like(side(x))
            ways[f"{name}, {whose}"] = lambda side=side: side(x)  # type: ignore[misc]
            ways[f"{name}, {whose}, recorded"] = lambda side=side: side(recorded)  # type: ignore[misc]
            ways[f"{name}, {whose}, forward and backward"] = lambda side=side, gradient=gradient: (  # type: ignore[misc]
                torch.autograd.grad(side(recorded), recorded, gradient)
            )
    return ways


# ---------------------------------------------------------------- the page


def table(header: str, rows: list[str]) -> list[str]:
    """A Markdown table, and a line to end it."""
    return [f"| {header} |", "|" + "---|" * (header.count("|") + 1), *(f"| {row} |" for row in rows), ""]


def means(rows: list[Row]) -> list[str]:
    """Geometric means of the speed-up, by direction and layout."""
    lines = []
    for layout in LAYOUTS:
        for direction in DIRECTIONS:
            group = [
                row
                for row in rows
                if row.peer and (row.case.layout, row.case.direction) == (layout, direction)
            ]
            if group:
                speedups = [row.speedup for row in group]
                share = geometric_mean([row.copy_share for row in group])
                lines.append(
                    f"{layout} | {direction} | {len(group)} | {geometric_mean(speedups):.2f} | {min(speedups):.2f} | "
                    f"{max(speedups):.2f} | {share:.0%}"
                )
    return table(
        "layout | direction | cases | times faster, mean | least | most | share of copy, mean", lines
    )


def losses(rows: list[Row]) -> list[str]:
    """The cases in which torch is faster."""
    slower = [row for row in rows if row.speedup < 1]
    clear = [row for row in slower if row.is_loss]
    if not slower:
        return [f"torch is faster in none of {len(rows)} cases.", ""]
    return [
        f"torch is faster in {len(slower)} of {len(rows)} cases, beyond the spread of the rounds in {len(clear)}:",
        "",
        *(
            f"- {row.case}: {row.speedup:.2f}" + ("" if row.is_loss else " (within the spread)")
            for row in slower
        ),
        "",
    ]


def row_line(row: Row, unit: float) -> str:
    case = row.case
    peer = "none" if row.peer is None else f"{row.peer.median / unit:.3g} ± {row.peer.spread:.0%}"
    speedup = "" if row.peer is None else f"{row.speedup:.2f}"
    return (
        f"{case.subject} | {case.direction} | {list(case.shape)} | {case.layout} | {case.dtype} | {case.threads} | "
        f"{row.ours.median / unit:.3g} ± {row.ours.spread:.0%} | {peer} | {speedup} | {row.copy_share:.0%}"
    )


HEADER = (
    "operator | direction | shape | layout | type | threads | downup, {unit} | torch, {unit} | times faster | "
    "share of copy"
)

INTRODUCTION = """# Benchmarks

Written by `python benchmarks/operators.py --output docs/benchmarks.md`; every case it measured is here, whoever won.

{machine}

How to read it:

- downup, torch and a plain copy run in one process, in turns, {rounds} rounds each (fewer where a call takes long), with the
  same inputs, layout and number of threads, and 10 ms of rest between them, since threads watch for work a while after a
  call. A time is the median of the rounds, with half the distance of the quartiles
  behind it; *times faster* and *share of copy* are medians of the ratios within a round.
- Outputs reuse memory on both sides (`downup.reuse_memory()`). Without that every large output is fresh memory, which the
  system clears first, and both sides wait for that: *Fresh memory* shows it.
- A backward is timed alone, on both sides as `torch.autograd.grad` on a graph that is kept.
- *offsets* and *int64* are what a pooling remembers, one byte or eight; torch always computes int64 positions. Blurs
  are compared with torch's padding and depthwise convolution.
- *share of copy*: the time in which `Tensor.copy_` moves as many bytes as this operator has to (input, output and positions,
  each once), over the time of the operator. 100 % is as fast as memory, or the cache where the case fits in it, permits.
  A copy reads as much as it writes; an operator that mostly reads can be faster.
"""


class Kept:
    """Rows in a file, one to a line, so that a long run can be had in parts; without a file, none."""

    def __init__(self, path: Path | None, minutes: float) -> None:
        self._path = path
        self._end = time.monotonic() + 60 * minutes
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        self._rows = {row.case: row for row in map(row_of, map(json.loads, lines))}

    def row(self, case: Case, take: Callable[[], Row]) -> Row:
        """The row of a case, from the file or measured now."""
        if case in self._rows:
            return self._rows[case]
        if time.monotonic() > self._end:
            raise SystemExit(f"{len(self._rows)} cases are in {self._path}; run the same again to go on")
        row = self._rows[case] = take()
        print(f"{row.speedup:6.2f}  {row.copy_share:4.0%}  {case}", file=sys.stderr, flush=True)
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        return row


def row_of(entry: dict[str, Any]) -> Row:
    """The row that `asdict` made `entry` of."""
    case = Case(**{**entry["case"], "shape": tuple(entry["case"]["shape"])})
    times = {name: entry[name] and Times(tuple(entry[name]["rounds"])) for name in ("ours", "peer", "copy")}
    return Row(case, size_bytes=entry["size_bytes"], **times)


def run(
    shapes: str,
    arguments: argparse.Namespace,
    kept: Kept,
    dtypes: tuple[str, ...],
    rounds: int,
    seconds: float,
) -> list[Row]:
    """Measure the cases of these shapes that were asked for; beside float32 on the most threads only."""
    rows = []
    for subject, shape in subjects(shapes):
        runs = ((dtype, n) for dtype in dtypes for n in ((1, 2) if dtype == "float32" else (2,)))
        for (dtype, threads), layout, direction in itertools.product(runs, LAYOUTS, DIRECTIONS):
            case = Case(subject.name, direction, shape, layout, dtype, threads)
            if re.search(arguments.case, str(case)):
                rows.append(
                    kept.row(case, lambda case=case, subject=subject: measure(subject, case, rounds, seconds))
                )  # type: ignore[misc]
    return rows


def fresh_rows(arguments: argparse.Namespace) -> list[Row]:
    """The large cases in a process of their own, which gives memory back after every call."""
    command = [sys.executable, __file__, "--fresh", "--case", arguments.case]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [row_of(entry) for entry in json.loads(done.stdout)]


def page(arguments: argparse.Namespace) -> list[str]:
    """Measure the cases asked for; the page about them."""
    rounds, seconds = (5, 0.002) if arguments.quick else (9, 0.004)
    start = time.perf_counter()
    described = "\n".join(f"- {line}" for line in machine())
    lines = INTRODUCTION.format(machine=described, rounds=rounds).splitlines()
    types = ("float32",) if arguments.quick else ("float32", "bfloat16", "float64")
    kept = Kept(arguments.rows, arguments.minutes)
    large = run("large", arguments, kept, types, rounds, seconds)
    usual = [] if arguments.quick else run("usual", arguments, kept, ("float32",), rounds, seconds)
    small = run("small", arguments, kept, ("float32",), rounds, seconds / 2)
    # What is under 1 MB shows the cost of a call rather than the speed of an operator.
    usual, small = (
        [row for row in usual + small if (row.size_bytes >= 2**20) is is_big] for is_big in (True, False)
    )
    lines += [
        "",
        "## Large feature maps",
        "",
        "64 MB of float32 and more.",
        "",
        *means(large),
        *losses(large),
    ]
    lines += table(HEADER.format(unit="ms"), [row_line(row, 1e-3) for row in large])
    lines += ["## Feature maps of networks", "", *means(usual), *losses(usual)]
    lines += table(HEADER.format(unit="ms"), [row_line(row, 1e-3) for row in usual])
    lines += ["## All of 1 MB and more", "", *means(large + usual)]
    if not arguments.quick:
        fresh = fresh_rows(arguments)
        lines += [
            "## Fresh memory",
            "",
            "The large cases on one thread, without reuse of memory.",
            "",
            *means(fresh),
        ]
        lines += table(HEADER.format(unit="ms"), [row_line(row, 1e-3) for row in fresh])
    lines += ["## The cost of a call", "", "Tensors under 1 MB, where the call itself counts.", ""]
    lines += [*means(small), *losses(small)]
    lines += table(HEADER.format(unit="µs"), [row_line(row, 1e-6) for row in small])
    lines += ["## Ways to call", "", "On one thread; *recorded*: the input requires a gradient.", ""]
    torch.set_num_threads(1)
    for shape in ((1, 4, 8, 8), (1, 64, 28, 28)):
        ways = calling_ways(shape)
        times = in_turns(list(ways.values()), rounds, seconds / 2)
        costs = [
            f"{name} | {took.median * 1e6:.2f} ± {took.spread:.0%}"
            for name, took in zip(ways, times, strict=True)
        ]
        lines += table(f"{list(shape)} | µs", costs)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    return lines


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few cases, 5 rounds")
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    parser.add_argument("--case", default="", metavar="PATTERN", help="only cases whose line matches")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="keep the rows here, and take those it has")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="with --rows: stop then, to go on another time"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="the large cases without reuse of memory, as JSON"
    )
    arguments = parser.parse_args()
    if arguments.fresh:
        arguments.case = f"(?=.*(?:{arguments.case})).* 1$"
        kept = Kept(None, math.inf)
        print(json.dumps([asdict(row) for row in run("large", arguments, kept, ("float32",), 3, 0.0)]))
        return
    downup.reuse_memory()
    lines = page(arguments)
    print("\n".join(lines))
    if arguments.output:
        arguments.output.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
