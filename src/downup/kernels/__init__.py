"""The door to the native kernels: reads `downup.h`, loads the library beside it, turns its errors into exceptions.

Knows addresses, sizes and strides, and no framework. `DOWNUP_ISA` forces an instruction set (`avx512`, `avx2` or
`plain`); otherwise the best one that this processor runs is used. `DOWNUP_LIBRARY` names another build of the library,
such as the one with sanitizers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from downup.errors import ArgumentError, DownupError

_INTERFACE_VERSION = 7
_LIBRARY = "libdownup.dylib" if sys.platform == "darwin" else "libdownup.so"

FLOAT32, FLOAT64, BFLOAT16, UINT8, INT64 = range(5)
_NUMPY_TYPES = {"float32": FLOAT32, "float64": FLOAT64, "uint8": UINT8, "int64": INT64}


def _installed(name: str) -> Path:
    # In an editable installation the package lies in two folders: the sources, and what was built from them.
    folders = [Path(folder) / "kernels" for folder in sys.modules["downup"].__path__]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise DownupError(
        f"{name} is not in {' or '.join(map(str, folders))}; install downup with pip, which builds it"
    )


def _declarations(header: str) -> str:
    begin, end = "/* declarations begin */", "/* declarations end */"
    return header[header.index(begin) + len(begin) : header.index(end)]


ffi = cffi.FFI()
ffi.cdef(_declarations(_installed("downup.h").read_text(encoding="utf-8")))
_path = os.environ.get("DOWNUP_LIBRARY") or str(_installed(_LIBRARY))
lib: Any = ffi.dlopen(_path)
if lib.du_interface_version() != _INTERFACE_VERSION:
    raise DownupError(
        f"{_path} has interface {lib.du_interface_version()}, but this package needs "
        f"{_INTERFACE_VERSION}; install downup again"
    )


def check(code: int) -> None:
    """Raise what the library says about the call that returned `code`, unless it succeeded."""
    if code:
        sentence = ffi.string(lib.du_last_error()).decode()
        raise MemoryError(sentence) if code == lib.DU_OUT_OF_MEMORY else ArgumentError(sentence)


def reuse_memory() -> None:
    """Keep large blocks of memory that are freed, to use them again; from now on, in the whole process.

    Otherwise every large tensor is mapped anew, page by page: more than a kernel takes to fill it. The price is that
    the process never shrinks; see docs/memory.md.

    Raises:
        DownupError: the C library of this system is not glibc.
    """
    if lib.du_reuse_memory():
        raise DownupError(ffi.string(lib.du_last_error()).decode())


def available_isas() -> list[str]:
    """The instruction sets that were built and run here, best first."""
    names: list[str] = []
    while (name := lib.du_isa_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return names


def active_isa() -> str:
    """The instruction set in use."""
    return str(ffi.string(lib.du_isa_active()).decode())


def select_isa(name: str) -> None:
    """Use another instruction set from now on, in all threads; all kernels give the same bits on each."""
    if name not in available_isas():
        raise ArgumentError(f"DOWNUP_ISA is {name!r}; use one of {', '.join(available_isas())}")
    check(lib.du_isa_select(name.encode()))


if "DOWNUP_ISA" in os.environ:
    select_isa(os.environ["DOWNUP_ISA"])


@dataclass(frozen=True)
class Window:
    """A sliding window: (rows, columns) of everything; tap k of window i reads i * stride - pad_before + k * dilation.

    If `adaptive`, window i reads from floor(i * in / out) up to ceil((i + 1) * in / out), and `size` is the largest of them.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    pad_before: tuple[int, int] = (0, 0)
    pad_after: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False
    adaptive: bool = False

    @cached_property
    def native(self) -> Any:
        """The `du_window` that the C functions read."""
        fields = (
            self.size,
            self.stride,
            self.pad_before,
            self.pad_after,
            self.dilation,
            self.ceil_mode,
            self.adaptive,
        )
        try:
            return ffi.new("du_window *", fields)
        except OverflowError:
            raise ArgumentError(f"{self} has a number beyond 2**63; use at most 2**31 - 1") from None


def view(address: int, sizes: Sequence[int], strides: Sequence[int], element_type: int) -> Any:
    """A `du_view`: four sizes and four strides, in elements, of the memory at `address`."""
    return ffi.new("du_view *", (ffi.cast("void *", address), sizes, strides, element_type))


def array_view(array: np.ndarray[Any, Any]) -> Any:
    """A `du_view` of a four-dimensional NumPy array; the array must outlive it."""
    strides = [stride // array.itemsize for stride in array.strides]
    return view(array.ctypes.data, array.shape, strides, _NUMPY_TYPES[array.dtype.name])
