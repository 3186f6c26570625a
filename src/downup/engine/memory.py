"""The blocks of memory that runs work in, and where each buffer lies in one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np

from downup.engine.steps import Step
from downup.engine.values import Array, Buffer, Value

# A cache line: vectors of every instruction set are read without crossing one.
_ALIGNMENT = 64
# A page for large blocks: the system then can back them with huge pages.
_PAGE = 1 << 21
# A block that is larger is not kept for runs that need less than half of it.
_MOST_IDLE_BYTES = 1 << 30
# Windows of a picture have nine shapes: first, middle and last ones along both axes.
_MOST_RUNS = 12


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

    Of equal ones, that which is needed first: whatever the order they come in, the block is of the same size.

    Returns the size of the block.
    """
    placed: list[Buffer] = []
    total = 0
    for buffer in sorted(buffers, key=lambda buffer: (-buffer.size, buffer.first, buffer.last)):
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


@dataclass(eq=False)
class Block:
    """Memory that one run at a time works in.

    runs: by their plan, those that are bound to this memory.
    """

    memory: Array
    runs: OrderedDict[Any, Any] = field(default_factory=OrderedDict)

    def bound(self, plan: Any, bind: Callable[[Any, Block], Any]) -> Any:
        """The run of a plan in this memory; of those used last, a few are kept."""
        if plan not in self.runs:
            self.runs[plan] = bind(plan, self)
            while len(self.runs) > _MOST_RUNS:
                self.runs.popitem(last=False)
        self.runs.move_to_end(plan)
        return self.runs[plan]


class Blocks:
    """Memory that runs borrow: one block for each that runs at a time, however many plans there are.

    So windows of all sizes that a picture is cut into take what the largest of them takes.
    """

    def __init__(self) -> None:
        self._idle: list[Block] = []
        self._lock = Lock()

    @contextmanager
    def lend(self, size: int) -> Iterator[Block]:
        """A block of at least so many bytes, which nobody else has meanwhile."""
        block = self._take(size) or Block(new_block(size))
        try:
            yield block
        finally:
            with self._lock:
                self._idle.append(block)

    def _take(self, size: int) -> Block | None:
        """An idle block that fits; one that does not is let go, since a fitting one takes its place."""
        with self._lock:
            if not self._idle:
                return None
            fitting = [b for b in self._idle if size <= b.memory.size <= max(2 * size, _MOST_IDLE_BYTES)]
            block = min(fitting or self._idle, key=lambda b: b.memory.size)
            self._idle.remove(block)
        return block if fitting else None
