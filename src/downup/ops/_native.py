"""How torch tensors reach the native kernels: which tensors may, their views, and whose threads do the work."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import cffi
import torch
from torch import Tensor
from torch.autograd import forward_ad

from downup import kernels
from downup.errors import DownupError

ELEMENT_TYPES = {
    torch.float32: kernels.FLOAT32,
    torch.float64: kernels.FLOAT64,
    torch.bfloat16: kernels.BFLOAT16,
    torch.uint8: kernels.UINT8,
    torch.int64: kernels.INT64,
}
FLOATING = frozenset({torch.float32, torch.float64, torch.bfloat16})

if kernels.ffi.sizeof("du_view") != 80:
    raise DownupError("du_view is not laid out as `view` packs it; this platform is not known")

_PLAIN_CLASSES = frozenset({Tensor, torch.nn.Parameter})
_is_compiling = torch.compiler.is_compiling
_dispatch_modes = torch._C._len_torch_dispatch_stack
_transforms = torch._C._functorch.peek_interpreter_stack
_tracing_state = torch._C._get_tracing_state
_is_many = torch._C._functorch.is_legacy_batchedtensor


def _borrow_torch_threads() -> None:
    """Run on the threads torch already has: a second pool would fight its spinning threads for the same cores.

    torch's wheels carry a libgomp of their own; where there is none, the library starts threads itself.
    """
    libraries = Path(torch.__file__).parent / "lib"
    for path in sorted(libraries.glob("libgomp*.so*")):
        gomp = cffi.FFI()
        signature = "void (*)(void (*)(void *), void *, unsigned, unsigned)"
        gomp.cdef("void GOMP_parallel(void (*)(void *), void *, unsigned, unsigned);")
        library = gomp.dlopen(str(path))  # loaded by torch before: the same instance
        _KEPT.append((gomp, library))
        address = int(gomp.cast("uintptr_t", gomp.addressof(library, "GOMP_parallel")))
        kernels.lib.du_threads_borrow(kernels.ffi.cast(signature, address))
        return


_KEPT: list[Any] = []  # what the native library points into must stay loaded
_borrow_torch_threads()


def is_native(x: Tensor, types: frozenset[torch.dtype] = FLOATING) -> bool:
    """Whether the kernels may read `x` directly: a plain tensor on the CPU, with nobody watching the calls.

    Traced, transformed, faked or wrapped tensors take the way through the dispatcher instead.
    """
    return (
        x.dtype in types
        and x.is_cpu
        and type(x) in _PLAIN_CLASSES
        and x.layout is torch.strided
        and not _is_compiling()
        and not _dispatch_modes()
        and _transforms() is None
        and _tracing_state() is None
        and forward_ad._current_level < 0
        and not x.is_neg()
        and not _is_many(x)
    )


def is_transformed(x: Tensor) -> bool:
    """Whether torch.func, forward derivatives or batched gradients are at work.

    They know torch's own functions in every respect, and those registered here only in part.
    """
    if _is_compiling():
        return False
    return forward_ad._current_level >= 0 or _transforms() is not None or _is_many(x)


def packed(x: Tensor) -> tuple[Tensor, torch.memory_format]:
    """`x` [n, c, h, w] in one of the two layouts, with that layout's name; copied only when it is in neither."""
    if x.is_contiguous():
        return x, torch.contiguous_format
    if x.is_contiguous(memory_format=torch.channels_last):
        return x, torch.channels_last
    # As torch orders the results of other layouts, and the fakes of these operators theirs.
    layout = torch._prims_common.suggest_memory_format(x)
    return x.contiguous(memory_format=layout), layout


_pack_address = struct.Struct("=Q").pack
_pack_rest = struct.Struct("=8qi4x").pack
_VIEW = kernels.ffi.typeof("du_view *")
_from_buffer = kernels.ffi.from_buffer
_CPU = torch.device("cpu")


def view(x: Tensor, elements: Mapping[torch.dtype, int] = ELEMENT_TYPES) -> Any:
    """The `du_view` of a four-dimensional tensor, which must outlive it; `elements` names types to the kernel."""
    # The bytes of the struct: a third of what cffi takes to convert its fields.
    return _from_buffer(
        _VIEW, _pack_address(x.data_ptr()) + _rest_of_view(x.shape, x.stride(), elements[x.dtype])
    )


@lru_cache(maxsize=4096)
def _rest_of_view(sizes: tuple[int, ...], strides: tuple[int, ...], element: int) -> bytes:
    return _pack_rest(*sizes, *strides, element)


def empty(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
    """A tensor [n, c, h, w] on the CPU, without contents, whatever the default device is."""
    return torch.empty_strided(shape, _strides(shape, layout), dtype=dtype, device=_CPU)


@lru_cache(maxsize=4096)
def _strides(shape: tuple[int, ...], layout: torch.memory_format) -> tuple[int, ...]:
    _, channels, rows, columns = shape
    if layout is torch.channels_last:
        return rows * columns * channels, 1, columns * channels, channels
    return channels * rows * columns, rows * columns, columns, 1


threads = torch.get_num_threads
