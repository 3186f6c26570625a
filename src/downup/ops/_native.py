"""Which torch tensors may reach the native kernels, and whose threads do the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cffi
import torch
from torch import Tensor
from torch.autograd import forward_ad

from downup import kernels

FLOATING = frozenset({torch.float32, torch.float64, torch.bfloat16})

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


threads = torch.get_num_threads
