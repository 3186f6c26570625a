"""How things are timed: in turns, in one process, over memory that is not given back between calls."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from downup import kernels

Call = Callable[[], object]

# What the rounds of one case may take together.
MOST_SECONDS = 2.0
# Threads of the call before may watch for more work for so long, and would take a core from the next one.
SETTLE_SECONDS = 0.01


@dataclass(frozen=True)
class Times:
    """Seconds of one call, one number for each round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        low, _, high = statistics.quantiles(self.rounds, n=4)
        return (high - low) / 2 / self.median


def in_turns(calls: Sequence[Call], rounds: int, round_seconds: float) -> list[Times]:
    """Time each call in every round, the order reversed from round to round.

    Short calls are repeated in a round; calls of seconds get fewer rounds.
    """
    repeats, once = [], 0.0
    for call in calls:
        call()
        start = time.perf_counter()
        call()
        took = time.perf_counter() - start
        once += took
        repeats.append(max(1, math.ceil(round_seconds / took)))
    rounds = max(3, min(rounds, int(MOST_SECONDS / once)))
    measured: list[list[float]] = [[] for _ in calls]
    order = list(range(len(calls)))
    for _ in range(rounds):
        for i in order:
            call = calls[i]
            time.sleep(SETTLE_SECONDS)
            start = time.perf_counter()
            for _ in range(repeats[i]):
                call()
            measured[i].append((time.perf_counter() - start) / repeats[i])
        order.reverse()
    return [Times(tuple(times)) for times in measured]


def ratio(slow: Times, fast: Times) -> float:
    """How many times faster, as the median over the rounds: what disturbs a round disturbs both sides of it."""
    return statistics.median(a / b for a, b in zip(slow.rounds, fast.rounds, strict=True))


def copy_of(size_bytes: int) -> Call:
    """A copy that reads and writes so many bytes together."""
    source = torch.ones(max(1, size_bytes // 8), dtype=torch.float32)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def machine() -> list[str]:
    """What it was measured on, one line each."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return [
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        f"downup with {kernels.active_isa()} kernels (of {', '.join(kernels.available_isas())})",
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), Python {platform.python_version()}",
        f"load average {os.getloadavg()[0]:.1f} at the start",
    ]
