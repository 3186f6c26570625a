"""Taps: which input samples each output sample along one axis reads, and how much each counts.

Every resampling with fixed weights is a pair of such tables, one for the rows and one for the columns: pooling by averages,
smoothing, interpolation. A table is made by a planner, never changes, and is kept for the next call with the same arguments.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from downup.errors import ArgumentError
from downup.geometry import whole
from downup.kernels import Window, check, ffi, lib

Filter = Literal["nearest", "linear", "cubic", "lanczos", "lanczos5"]
Coordinates = Literal[
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"
]
Rounding = Literal["torch", "torch_exact", "floor", "ceil", "prefer_floor", "prefer_ceil"]
Edge = Literal["reflect", "repeat", "zero"]
Counted = Literal["padded", "inside"]

# In the order of their numbers in downup.h.
FILTERS = ("nearest", "linear", "cubic", "lanczos", "lanczos5")
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
ROUNDINGS = ("torch", "torch_exact", "floor", "ceil", "prefer_floor", "prefer_ceil")
EDGES = ("reflect", "repeat", "zero")
COUNTED = ("padded", "inside")


class Taps:
    """The table of one axis: `out[i] = sum(weight[k] * in[index[k]] for k in range(start[i], start[i + 1])) / divisor[i]`.

    in_size, out_size: samples along the axis.
    count: taps of all output samples together.
    """

    def __init__(self, handle: Any) -> None:
        if handle == ffi.NULL:
            check(lib.du_last_code())
        self.native = ffi.gc(handle, lib.du_taps_free)
        sizes = ffi.new("int64_t[3]")
        check(lib.du_taps_sizes(self.native, sizes))
        self.in_size, self.out_size, self.count = sizes

    def __repr__(self) -> str:
        return f"Taps({self.in_size} -> {self.out_size}, {self.count} taps)"

    def __reduce__(self) -> Any:
        start, index, weight, divisor = self.table
        # With the divisors in the weights: a table read back gives the same sums but for their last bit.
        weight = weight / np.repeat(divisor, np.diff(start))
        return custom_taps, (self.in_size, start, index, weight)

    @cached_property
    def table(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """start [out_size + 1], index [count], weight [count], divisor [out_size]."""
        start = np.empty(self.out_size + 1, np.int64)
        index, weight = np.empty(self.count, np.int64), np.empty(self.count)
        divisor = np.empty(self.out_size)
        check(lib.du_taps_read(self.native, *map(_pointer, (start, index, weight, divisor))))
        return start, index, weight, divisor

    @cached_property
    def transposed(self) -> Taps:
        """The taps of the gradient: outputs and inputs change places."""
        return Taps(lib.du_taps_transposed(self.native))

    def dense(self) -> NDArray[np.float64]:
        """The table as a matrix [out_size, in_size].

        >>> sampled_taps(2, 4, "linear").dense().tolist()
        [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
        """
        start, index, weight, divisor = self.table
        rows = np.repeat(np.arange(self.out_size), np.diff(start))
        matrix = np.zeros((self.out_size, self.in_size))
        np.add.at(matrix, (rows, index), weight / divisor[rows])
        return matrix

    def then(self, other: Taps) -> Taps:
        """One table for this resampling and another one after it.

        Raises:
            ArgumentError: `other` does not begin with the samples that this one ends with.

        >>> down = adaptive_taps(4, 2)
        >>> down.then(sampled_taps(2, 4, "nearest")).dense().tolist()[0]
        [0.5, 0.5, 0.0, 0.0]
        """
        if other.in_size != self.out_size:
            raise ArgumentError(
                f"other reads {other.in_size} samples but this makes {self.out_size}; give both one size"
            )
        matrix = other.dense() @ self.dense()
        rows, index = np.nonzero(matrix)
        start = np.searchsorted(rows, np.arange(other.out_size + 1))
        return custom_taps(self.in_size, start, index, matrix[rows, index])


def _pointer(array: NDArray[Any]) -> Any:
    return ffi.cast("double *" if array.dtype == np.float64 else "int64_t *", array.ctypes.data)


def _size(name: str, value: int) -> int:
    return whole(name, value, 1, value)


def _choice(name: str, value: str, choices: tuple[str, ...]) -> int:
    if value not in choices:
        raise ArgumentError(f"{name} is {value!r}; use one of {', '.join(choices)}")
    return choices.index(value)


def window_taps(in_size: int, window: Window, axis: Literal[0, 1], divisor: Counted | float) -> Taps:
    """The sum of every sample of a sliding window, along its rows (axis 0) or columns (1), divided.

    The divisor is a number, or counts the samples on the image and its padding ("padded") or on the image ("inside").

    >>> window_taps(3, Window((1, 2), (1, 2), pad_after=(0, 1)), 1, "inside").dense().tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    if isinstance(divisor, str):
        counted, number = _choice("divisor", divisor, COUNTED), 0.0
    else:
        counted, number = lib.DU_COUNT_GIVEN, float(divisor)
    return Taps(lib.du_taps_window(_size("in_size", in_size), window.native, axis, counted, number))


def adaptive_taps(in_size: int, out_size: int) -> Taps:
    """Averages of the samples from floor(i * in / out) up to ceil((i + 1) * in / out).

    >>> adaptive_taps(3, 2).dense().tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    return Taps(lib.du_taps_adaptive(_size("in_size", in_size), _size("out_size", out_size)))


def binomial_taps(in_size: int, count: int, stride: int, edge: Edge = "reflect") -> Taps:
    """Every `stride`-th sample of the input smoothed by a row of Pascal's triangle of `count` taps.

    >>> binomial_taps(4, 3, 2).dense().tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.25, 0.5, 0.25]]
    """
    numbers = _size("in_size", in_size), _size("count", count), _size("stride", stride)
    return Taps(lib.du_taps_binomial(*numbers, _choice("edge", edge, EDGES)))


def sampled_taps(
    in_size: int,
    out_size: int,
    filter: Filter,
    *,
    ratio: float = -1.0,
    coordinates: Coordinates = "half_pixel",
    rounding: Rounding = "torch",
    antialias: bool = False,
    exclude_outside: bool = False,
    cubic_coefficient: float = -0.75,
) -> Taps:
    """Samples read between those of the image, with a filter.

    Args:
        in_size, out_size: samples along the axis.
        filter: "nearest", "linear", "cubic" (Keys), "lanczos" (three lobes) or "lanczos5" (five).
        ratio: input samples per output sample; negative for in_size / out_size.
        coordinates: where output sample i lies, in ONNX's names.
        rounding: which sample "nearest" takes: torch's two rules, computed in float32 from the ratio alone, or one of
            ONNX's, from the coordinates.
        antialias: widen the filter on the way down.
        exclude_outside: drop taps outside the image and let the others sum to one, instead of repeating the edge.
        cubic_coefficient: of "cubic".
    """
    sampling = ffi.new("du_sampling *")
    sampling.filter = _choice("filter", filter, FILTERS)
    sampling.coordinates = _choice("coordinates", coordinates, COORDINATES)
    sampling.rounding = _choice("rounding", rounding, ROUNDINGS)
    sampling.antialias, sampling.exclude_outside = antialias, exclude_outside
    sampling.ratio, sampling.cubic_coefficient = ratio, cubic_coefficient
    return Taps(lib.du_taps_sampled(_size("in_size", in_size), _size("out_size", out_size), sampling))


def custom_taps(in_size: int, start: ArrayLike, index: ArrayLike, weight: ArrayLike) -> Taps:
    """Taps of your own: output sample i has those from start[i] up to start[i + 1].

    >>> custom_taps(3, [0, 1, 3], [2, 0, 1], [1.0, 0.5, 0.5]).dense().tolist()
    [[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]
    """
    for name, numbers in (("start", start), ("index", index)):
        if np.asarray(numbers).dtype.kind not in "iu" and np.size(numbers):
            raise ArgumentError(f"{name} is {numbers!r}; use whole numbers")
    starts, indexes = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(index, np.int64)
    weights = np.ascontiguousarray(weight, np.float64)
    if starts.ndim != 1 or indexes.ndim != 1 or weights.shape != indexes.shape or len(starts) < 2:
        raise ArgumentError(
            f"start, index and weight have shapes {starts.shape}, {indexes.shape} and {weights.shape}; "
            "use [out_size + 1], [taps] and [taps]"
        )
    pointers = map(_pointer, (starts, indexes, weights))
    return Taps(lib.du_taps_of(in_size, len(starts) - 1, len(indexes), *pointers))
