"""What a machine can do at most, measured: to tell how near a step comes to it."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from downup import kernels
from downup.kernels import array_view, lib

# Long enough for the clock, short enough to be tried many times: a trial that nothing else disturbs is looked for.
_ROUNDS = 1 << 20
_TRIALS = 10
# Beyond every cache but those of the largest machines.
_COPIED_BYTES = 128 << 20

# Winograd makes 16 outputs, of 9 taps each, with so many products.
_PRODUCTS = {"winograd": 36 / (16 * 9), "winograd_repeated": 25 / (16 * 9)}


@dataclass(frozen=True)
class Ceilings:
    """What `threads` threads do at most.

    multiply_adds: a second, in registers.
    bytes: a second, read and written by a copy that no cache holds.
    """

    threads: int
    multiply_adds: float
    bytes: float

    def seconds(self, algorithm: str, multiply_adds: int, size: int) -> float:
        """The least time for a step that is done in this way: of its products or its reading and writing, what takes longer.

        Winograd's products are fewer than the multiply-adds of the definition. Steps whose data is still in a cache may
        take less.
        """
        products = multiply_adds * _PRODUCTS.get(algorithm, 1.0)
        return max(products / self.multiply_adds, size / self.bytes)


def measure_ceilings(threads: int) -> Ceilings:
    """Measure them, in a second or less."""
    count = lib.du_multiply_adds(_ROUNDS, threads)
    source = np.ones((1, 1, 1024, _COPIED_BYTES // 2 // 4096), np.float32)
    target = np.zeros_like(source)
    views = [array_view(array) for array in (source, target)]
    rates, widths = [], []
    for _ in range(_TRIALS):
        start = perf_counter()
        lib.du_multiply_adds(_ROUNDS, threads)
        middle = perf_counter()
        kernels.check(lib.du_pixel_shuffle(*views, 1, lib.DU_CRD, threads))
        end = perf_counter()
        rates.append(count / (middle - start))
        widths.append(_COPIED_BYTES / (end - middle))
    return Ceilings(threads, max(rates), max(widths))
