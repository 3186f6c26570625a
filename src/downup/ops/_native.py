"""How torch tensors reach the native kernels: which tensors may, their views, and whose threads do the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cffi
import torch
from torch import Tensor

from downup import kernels

ELEMENT_TYPES = {
    torch.float32: kernels.FLOAT32,
    torch.float64: kernels.FLOAT64,
    torch.bfloat16: kernels.BFLOAT16,
    torch.uint8: kernels.UINT8,
    torch.int64: kernels.INT64,
}
FLOATING = frozenset({torch.float32, torch.float64, torch.bfloat16})

_PLAIN_CLASSES = frozenset({Tensor, torch.nn.Parameter})
_is_compiling = torch.compiler.is_compiling
_dispatch_modes = torch._C._len_torch_dispatch_stack
_transforms = torch._C._functorch.peek_interpreter_stack
_tracing_state = torch._C._get_tracing_state


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
        and not x.is_neg()
    )


def packed(x: Tensor) -> tuple[Tensor, torch.memory_format]:
    """`x` [n, c, h, w] in one of the two layouts, with that layout's name; copied only when it is in neither."""
    if x.is_contiguous():
        return x, torch.contiguous_format
    if x.is_contiguous(memory_format=torch.channels_last):
        return x, torch.channels_last
    if x.stride(1) == 1 and x.size(1) > 1:
        return x.contiguous(memory_format=torch.channels_last), torch.channels_last
    return x.contiguous(), torch.contiguous_format


def view(x: Tensor) -> Any:
    """The `du_view` of a four-dimensional tensor, which must outlive it."""
    return kernels.view(x.data_ptr(), x.shape, x.stride(), ELEMENT_TYPES[x.dtype])


threads = torch.get_num_threads
