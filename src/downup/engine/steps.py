"""The steps of a plan, and how a step becomes a call on a block of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from downup import kernels
from downup.engine.values import Array, Value

Call = Callable[[], int]
"""Runs a step; returns the code of a kernel, 0 for success."""

_TYPES = {
    np.dtype(np.float32): kernels.FLOAT32,
    np.dtype(np.float64): kernels.FLOAT64,
    np.dtype(np.uint8): kernels.UINT8,
    np.dtype(np.int64): kernels.INT64,
}


class Memory(Protocol):
    """Where the buffers of a plan are during a run."""

    def address(self, value: Value) -> int:
        """The address of a value's first element."""
        ...

    def view(self, value: Value, dtype: int) -> Any:
        """A `du_view` of a value of four axes; it moves with the arrays that the caller gets."""
        ...

    def views(self, values: Sequence[Value], dtype: int) -> Any:
        """The same of several values, side by side."""
        ...

    def array(self, value: Value) -> Array:
        """A value as a NumPy array."""
        ...


@dataclass(eq=False, kw_only=True)
class Step:
    """One call of a kernel, or of NumPy.

    name: that of the value it makes.
    operator: the ONNX operators it stands for, joined by "+".
    algorithm: how it is done.
    in_place: pairs of a value it reads and one it writes that may be one memory.
    scratch: memory that it needs while it runs.
    """

    name: str
    operator: str
    algorithm: str
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    in_place: tuple[tuple[Value, Value], ...] = ()
    scratch: tuple[Value, ...] = ()
    multiply_adds: int = 0

    def bind(self, memory: Memory, threads: int) -> Call:
        """The call, ready to be made any number of times."""
        raise NotImplementedError

    @property
    def bytes(self) -> int:
        """Bytes that are read and written."""
        return sum(value.size * value.dtype.itemsize for value in (*self.reads, *self.writes))


@dataclass(frozen=True)
class Argument:
    """A value as an argument of a kernel: a view of four axes, or with `is_pointer` the address of its first element."""

    value: Value
    is_pointer: bool = False


@dataclass(eq=False, kw_only=True)
class KernelStep(Step):
    """A function of the native library; it ends with the number of threads.

    arguments: values (as views), `Argument`s, and whatever else goes to the function as it is.
    kept: what must live as long as the step.
    """

    function: Any
    arguments: Sequence[Any]
    kept: Any = None

    def bind(self, memory: Memory, threads: int) -> Call:
        """The call of the native function."""
        given = []
        for argument in self.arguments:
            if isinstance(argument, Value):
                given.append(memory.view(argument, _TYPES[argument.dtype]))
            elif isinstance(argument, Argument):
                given.append(kernels.ffi.cast("void *", memory.address(argument.value)))
            else:
                given.append(argument)
        return partial(self.function, *given, threads)


@dataclass(eq=False, kw_only=True)
class ArrayStep(Step):
    """NumPy on views of the block: for what is rare.

    compute: takes the arrays that are read; returns one for each that is written, or with `is_into` takes those too and
        fills them.
    """

    compute: Callable[..., Any]
    is_into: bool = False

    def bind(self, memory: Memory, threads: int) -> Call:
        """Compute, and store the results."""
        given = [memory.array(value) for value in self.reads]
        stored = [memory.array(value) for value in self.writes]
        compute = self.compute

        def fill() -> int:
            compute(*given, *stored)
            return 0

        def call() -> int:
            found = compute(*given)
            for to, array in zip(stored, found if isinstance(found, tuple) else (found,), strict=True):
                to[...] = array
            return 0

        return fill if self.is_into else call
