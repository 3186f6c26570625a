"""Whole networks in downup's engine and in the engines of others, side by side.

    python benchmarks/networks.py --quick
    python benchmarks/networks.py --case 'SegNet.*512x512'
    python benchmarks/networks.py --trained demo                also the error of a network that `downup demo` trained
    python benchmarks/networks.py --rows FILE --minutes 3       some of the cases; the same again goes on with the rest
    python benchmarks/networks.py --rows FILE --minutes 0 --output docs/networks_benchmark.md    a page of those it has

Each case runs in one process, the engines in turns, on the same picture and as many threads. ONNX Runtime is timed with
threads that spin and with threads that do not; the faster counts.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import held_positions
from downup.networks import export_onnx
from engines import (
    AVX2_ONLY,
    BFLOAT16,
    COMPILED,
    ENGINES,
    EXACT,
    LOADERS,
    OURS_BFLOAT16,
    alone,
    picture,
    runs,
)
from measure import copy_of, in_turns, machine
from network_page import report
from network_subjects import NETWORKS, TRAINED, UNPOOLING, Case, Numbers, cases, enlivened
from trained import Trained

ROUNDS = 7
# Threads of the engine before may watch for more work for so long, and would take a core from the next one.
REST_SECONDS = 0.05
# What the rounds of one case may take together; there are at least two.
CASE_SECONDS = 10.0
# Processes of each engine: to load a network, and to run it without AVX-512.
LOADS, LIMITED = 5, 3


class Bench:
    """Measures cases, with the files of the networks in a folder."""

    def __init__(self, folder: Path, trained: Trained | None) -> None:
        self._folder, self._trained = folder, trained

    def _parts(self, name: str) -> tuple[torch.nn.Module, Path]:
        if name == TRAINED and self._trained:
            return self._trained.network(), self._trained.onnx
        network, path = enlivened(NETWORKS[name]()), self._folder / f"{name}.onnx"
        if not path.exists():
            export_onnx(network, torch.zeros(2, 3, 64, 64), path)
        return network, path

    def measure(self, case: Case) -> Numbers:
        """Milliseconds, megabytes or relative error, by engine."""
        network, path = self._parts(case.network)
        if case.kind in ("memory", "load", "avx2"):
            return measured_alone(case, path)
        source = self._trained.picture if self._trained and case.network == TRAINED else picture
        x = source(case.rows, case.columns)
        torch.set_num_threads(case.threads)
        if case.kind == "error":
            if case.network == UNPOOLING:
                network, path = held_positions.hold(network, torch.from_numpy(x)), self._folder / "held.onnx"
                held_positions.export(network, torch.from_numpy(x), path)
            with torch.inference_mode():
                exact = copy.deepcopy(network).double()(torch.from_numpy(x).double()).numpy()
            found = {}
            for engine in (*ENGINES, EXACT, OURS_BFLOAT16, BFLOAT16):
                call = runs(engine, path, network, x, case.threads)[-1]
                found[engine] = float(np.linalg.norm(call() - exact) / np.linalg.norm(exact))
            return found
        beside = (*ENGINES, OURS_BFLOAT16, BFLOAT16)
        engines = ("downup", COMPILED) if case.kind == "compiled" else beside
        return timed(
            (engine, call) for engine in engines for call in runs(engine, path, network, x, case.threads)
        )


def measured_alone(case: Case, path: Path) -> Numbers:
    """Megabytes or milliseconds of each engine in processes of its own, the engines in turns."""
    run = partial(
        alone, network=case.network, path=path, picture=(case.rows, case.columns), threads=case.threads
    )
    if case.kind == "memory":
        return {
            f"{engine}{key}": numbers[f"memory{key}"]
            for engine in ENGINES
            for numbers in [run(engine)]
            for key in ("", " again")
        }
    is_load = case.kind == "load"
    engines = LOADERS if is_load else ENGINES
    environment = {} if is_load else AVX2_ONLY
    rounds = [
        {engine: run(engine, runs=3 if is_load else 4, environment=environment) for engine in engines}
        for _ in range(LOADS if is_load else LIMITED)
    ]
    found: Numbers = {}
    for engine in engines:
        ms = [1e3 * numbers[engine]["load" if is_load else "run"] for numbers in rounds]
        found[engine] = statistics.median(ms)
        found[f"{engine} ±"] = (max(ms) - min(ms)) / 2 / found[engine]
        found[f"{engine} import"] = 1e3 * statistics.median(numbers[engine]["import"] for numbers in rounds)
    return found


def timed(calls: Iterable[tuple[str, Callable[[], Any]]]) -> Numbers:
    """Milliseconds of each engine's faster call: medians of rounds in turns, the order reversed from round to round."""
    order = list(calls)
    taken: list[list[float]] = [[] for _ in order]
    numbers = list(range(len(order)))
    for _, call in order:
        call()
    start = time.monotonic()
    for number in range(ROUNDS):
        if number >= 2 and time.monotonic() - start > CASE_SECONDS:
            break
        for i in numbers:
            time.sleep(REST_SECONDS)
            begin = time.perf_counter()
            order[i][1]()
            taken[i].append(time.perf_counter() - begin)
        numbers.reverse()
    found: Numbers = {}
    for (engine, _), seconds in zip(order, taken, strict=True):
        ms = 1e3 * statistics.median(seconds)
        if ms < found.get(engine, math.inf):
            found[engine] = ms
            found[f"{engine} ±"] = (max(seconds) - min(seconds)) / 2 * 1e3 / ms
    return found


class Kept:
    """Rows in a file, one to a line, so that a long run can be had in parts; without a file, none."""

    def __init__(self, path: Path | None, minutes: float) -> None:
        self._path, self._end = path, time.monotonic() + 60 * minutes
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        self.rows: dict[str, Numbers] = dict(map(json.loads, lines))

    def take(self, name: str, measure: Callable[[], Numbers]) -> bool:
        """See that a row is there; False if the time is over."""
        if name not in self.rows:
            if time.monotonic() > self._end:
                return False
            self.rows[name] = measure()
            print(name, {key: float(f"{value:.4g}") for key, value in self.rows[name].items()}, flush=True)
            if self._path:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([name, self.rows[name]]) + "\n")
        return True


def ceilings() -> Numbers:
    """What the machine can do: billions of multiply-adds a second in torch's best matrix product, and GB/s of a copy."""
    found = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        side, copied = 2048, 256 << 20
        left, right, out = torch.randn(side, side), torch.randn(side, side), torch.empty(side, side)
        product = partial(torch.mm, left, right, out=out)
        multiply, copying = in_turns([product, copy_of(copied)], 9, 0.05)
        found[f"multiply {threads}"] = side**3 / min(multiply.rounds) / 1e9
        found[f"copy {threads}"] = copied / copying.median / 1e9
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="512x512 on two threads alone")
    parser.add_argument("--case", default="", metavar="PATTERN", help="only cases whose line matches")
    parser.add_argument("--output", type=Path, help="Markdown file to write; printed in any case")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="keep the rows here, and take those it has")
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="with --rows: begin no case later; the page is of those there are",
    )
    parser.add_argument(
        "--trained", type=Path, metavar="RUN", help="run folder of a network trained on the Earth sample"
    )
    arguments = parser.parse_args()
    pattern = "^time: .*512x512, 2" if arguments.quick else arguments.case
    trained = Trained(arguments.trained) if arguments.trained else None
    kept = Kept(arguments.rows, arguments.minutes)
    chosen = [
        case for case in cases() if re.search(pattern, str(case)) and (trained or case.network != TRAINED)
    ]
    notes = machine()
    if not kept.take("ceilings", ceilings):
        raise SystemExit(f"{arguments.rows} has no rows; give --minutes")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), trained)
        for case in chosen:
            if not kept.take(str(case), partial(bench.measure, case)):
                break
    left = sum(str(case) not in kept.rows for case in chosen)
    text = report(kept.rows, notes)
    print(text)
    if left:
        print(f"{left} of {len(chosen)} cases are left; run the same again to go on", file=sys.stderr)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
