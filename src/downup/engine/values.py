"""What flows between the steps of a plan: arrays that are views of buffers.

A reshape, a slice or a transposition makes another view of the same buffer, and costs nothing when the plan runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Home = Literal["block", "output", "constant"]


@dataclass(eq=False)
class Buffer:
    """A stretch of memory: in the block, in an array that the caller gets, or a weight.

    first, last: the first step that writes it and the last one that reads it; an input is written before step 0.
    offset: its place in the block.
    """

    name: str
    size: int
    home: Home = "block"
    array: Array | None = None
    first: int = 1 << 60
    last: int = -1
    offset: int = 0


@dataclass(frozen=True, eq=False)
class Value:
    """An array in a buffer. Strides and offset are in bytes; the axes are those of ONNX, wherever they lie in memory."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    buffer: Buffer
    offset: int = 0

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def constant(self) -> Array | None:
        """The numbers of a weight; None for what the steps compute."""
        return array_of(self, self.buffer.array) if self.buffer.array is not None else None

    @property
    def is_float(self) -> bool:
        """Whether the kernels take it."""
        return self.dtype == np.float32

    @property
    def has_adjacent_channels(self) -> bool:
        """Whether the channels of a pixel lie side by side."""
        return self.rank == 4 and (self.strides[1] == self.dtype.itemsize or self.shape[1] == 1)

    def with_axes(self, shape: Sequence[int], strides: Sequence[int]) -> Value:
        """The same memory with other axes."""
        return replace(self, shape=tuple(shape), strides=tuple(strides))

    def transposed(self, order: Sequence[int]) -> Value:
        """The axes in another order."""
        return self.with_axes([self.shape[i] for i in order], [self.strides[i] for i in order])

    def sliced(self, axis: int, start: int, count: int, step: int = 1) -> Value:
        """`count` samples of an axis, `step` apart."""
        shape, strides = list(self.shape), list(self.strides)
        offset = self.offset + (start * strides[axis] if count else 0)
        shape[axis], strides[axis] = count, strides[axis] * step
        return replace(self, shape=tuple(shape), strides=tuple(strides), offset=offset)

    def expanded(self, shape: Sequence[int]) -> Value:
        """Axes of one sample repeated, and new ones in front, as NumPy broadcasts."""
        new = len(shape) - self.rank
        kept = [
            0 if old == 1 and wanted != 1 else stride
            for old, wanted, stride in zip(self.shape, shape[new:], self.strides, strict=True)
        ]
        return self.with_axes(shape, [0] * new + kept)

    def reshaped(self, shape: Sequence[int]) -> Value | None:
        """The same elements in the same order with other axes, or None where memory does not allow that."""
        strides = reshaped_strides(self.shape, self.strides, tuple(shape), self.dtype.itemsize)
        return None if strides is None else self.with_axes(shape, strides)

    def padded(self, rank: int = 4) -> Value:
        """With axes of one sample in front, up to `rank`."""
        missing = rank - self.rank
        return self.with_axes((1,) * missing + self.shape, (0,) * missing + self.strides)

    def has_memory_of(self, other: Value) -> bool:
        """Whether both have each element at the same address."""
        return (
            self.buffer is other.buffer
            and self.offset == other.offset
            and self.shape == other.shape
            and all(a == b or n == 1 for a, b, n in zip(self.strides, other.strides, self.shape, strict=True))
        )


def reshaped_strides(
    shape: tuple[int, ...], strides: tuple[int, ...], new: tuple[int, ...], itemsize: int
) -> tuple[int, ...] | None:
    """Strides of the new axes over the same memory.

    >>> reshaped_strides((2, 8, 3, 5), (480, 4, 160, 32), (2, 2, 4, 15), 4)
    (480, 16, 4, 32)
    >>> reshaped_strides((1, 8, 3, 5), (480, 4, 160, 32), (1, 24, 5), 4) is None
    True
    """
    if math.prod(shape) == 0:
        return packed_strides(new, itemsize)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    found: list[int] = []
    i = 0
    j = 0
    while j < len(new):
        if new[j] == 1:
            found.append(old[i][1] if i < len(old) else itemsize)
            j += 1
            continue
        # The fewest axes on both sides that hold equally many elements.
        last_old, last_new = i + 1, j + 1
        have, want = old[i][0], new[j]
        while have != want:
            if have < want:
                have *= old[last_old][0]
                last_old += 1
            else:
                want *= new[last_new]
                last_new += 1
        for k in range(i, last_old - 1):
            if old[k][1] != old[k + 1][0] * old[k + 1][1]:
                return None
        stride = old[last_old - 1][1]
        group: list[int] = []
        for k in range(last_new - 1, j - 1, -1):
            group.append(stride)
            stride *= new[k]
        found += reversed(group)
        i, j = last_old, last_new
    return tuple(found)


def packed_strides(
    shape: Sequence[int], itemsize: int, order: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Strides without gaps; `order` names the axes from the outermost to the innermost."""
    strides, step = [0] * len(shape), itemsize
    for axis in reversed(range(len(shape)) if order is None else order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def memory_order(value: Value) -> list[int]:
    """The axes from the one with the longest stride to the shortest."""
    return sorted(range(value.rank), key=lambda axis: -abs(value.strides[axis]))


CHANNELS_LAST = (0, 2, 3, 1)


def array_of(value: Value, memory: Array) -> Array:
    """The value as a NumPy array over its buffer's bytes."""
    return np.ndarray(value.shape, value.dtype, memory, value.offset, value.strides)


def constant_value(name: str, array: Array) -> Value:
    """A weight as a value."""
    kept = np.ascontiguousarray(array).reshape(np.shape(array))
    buffer = Buffer(name, kept.nbytes, "constant", kept.reshape(-1).view(np.uint8))
    return Value(name, kept.shape, kept.dtype, packed_strides(kept.shape, kept.itemsize), buffer)
