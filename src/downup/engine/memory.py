"""Where each buffer lies in the block of memory that a run works in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from downup.engine.steps import Step
from downup.engine.values import Array, Buffer, Value

# A cache line: vectors of every instruction set are read without crossing one.
_ALIGNMENT = 64
# A page for large blocks: the system then can back them with huge pages.
_PAGE = 1 << 21


def set_lifetimes(steps: Sequence[Step], inputs: Iterable[Value], outputs: Iterable[Value]) -> None:
    """Note for each buffer which steps need it."""
    for value in inputs:
        value.buffer.first = -1
        value.buffer.last = 0
    for number, step in enumerate(steps):
        for value in (*step.reads, *step.writes, *step.scratch):
            value.buffer.first = min(value.buffer.first, number)
            value.buffer.last = max(value.buffer.last, number)
    for value in outputs:
        value.buffer.last = len(steps)


def share_in_place(steps: Sequence[Step]) -> dict[Buffer, Buffer]:
    """Let an output take the place of an input that nobody needs afterwards, where the step allows it.

    Returns the buffer that now stands for each one that was given up.
    """
    stands_for: dict[Buffer, Buffer] = {}

    def now(buffer: Buffer) -> Buffer:
        while buffer in stands_for:
            buffer = stands_for[buffer]
        return buffer

    for number, step in enumerate(steps):
        for old, new in step.in_place:
            kept, gone = now(old.buffer), now(new.buffer)
            if (
                kept is not gone
                and kept.home == gone.home == "block"
                and kept.last == number
                and gone.first == number
                and kept.size == gone.size
                and old.offset == new.offset == 0
                and old.strides == new.strides
                # Nothing else of that memory is read while it is overwritten.
                and all(v.has_memory_of(old) or now(v.buffer) is not kept for v in step.reads)
            ):
                kept.last = gone.last
                stands_for[gone] = kept
                break
    return {buffer: now(buffer) for buffer in stands_for}


def place(buffers: Iterable[Buffer]) -> int:
    """Give each buffer its offset in the block, largest first at the lowest place that is free while it lives.

    Returns the size of the block.
    """
    placed: list[Buffer] = []
    total = 0
    for buffer in sorted(buffers, key=lambda buffer: -buffer.size):
        offset = 0
        together = (b for b in placed if b.first <= buffer.last and buffer.first <= b.last)
        for other in sorted(together, key=lambda b: b.offset):
            if offset + buffer.size <= other.offset:
                break
            offset = max(offset, _rounded(other.offset + other.size))
        buffer.offset = offset
        total = max(total, offset + _rounded(buffer.size))
        placed.append(buffer)
    return total


def _rounded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def new_block(size: int) -> Array:
    """Bytes that begin at a cache line, or at a huge page where they are many."""
    alignment = _PAGE if size >= 2 * _PAGE else _ALIGNMENT
    memory = np.empty(size + alignment, np.uint8)
    start = -memory.ctypes.data % alignment
    return memory[start : start + size]
