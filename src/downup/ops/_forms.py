"""How tensors lie in memory: worked out once for all that lie alike, so that a small call costs little."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from downup import kernels
from downup.errors import ArgumentError, DownupError

ELEMENT_TYPES = {
    torch.float32: kernels.FLOAT32,
    torch.float64: kernels.FLOAT64,
    torch.bfloat16: kernels.BFLOAT16,
    torch.uint8: kernels.UINT8,
    torch.int64: kernels.INT64,
}

if kernels.ffi.sizeof("du_view") != 80:
    raise DownupError("du_view is not laid out as `Form` packs it; this platform is not known")

_pack_rest = struct.Struct("=8qi4x").pack
_pack_two = struct.Struct("=Q72sQ72s").pack
_pack_three = struct.Struct("=Q72sQ72sQ72s").pack
_VIEW = kernels.ffi.typeof("du_view *")
_from_buffer = kernels.ffi.from_buffer
# torch's own way for compiled graphs: a third of the time of torch.empty_strided, and always on the CPU.
_empty_strided = torch._C._dynamo.guards._empty_strided_cpu  # type: ignore[attr-defined]

Layout = torch.memory_format


class Form:
    """Shape, strides and type of a tensor. Those that lie alike share one, and what is remembered of calls is found by it.

    size: rows and columns.
    layout: the one of torch's two that it is packed in; None if in neither.
    is_sliced: in neither, but every sample of its images lies where it would in a larger one: the kernels read it there.
    rest: what its `du_view` says but for the address; empty where there is none.
    """

    __slots__ = ("dtype", "is_sliced", "layout", "rest", "shape", "size", "strides")

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> None:
        self.shape, self.strides, self.dtype = shape, strides, dtype
        self.size = shape[-2:]
        self.layout = _layout(torch.empty_strided(shape, strides, device="meta"))
        self.is_sliced = self.layout is None and _is_sliced(shape, strides)
        self.rest = rest_of_view(self, ELEMENT_TYPES[dtype]) if dtype in ELEMENT_TYPES else b""

    def empty(self) -> Tensor:
        """A tensor that lies so, on the CPU, without contents, whatever the default device is."""
        return _empty_strided(self.shape, self.strides, self.dtype)  # type: ignore[no-any-return]


def form_of(x: Tensor) -> Form:
    """How `x` lies."""
    return _form(x.shape, x.stride(), x.dtype)


_form = lru_cache(maxsize=4096)(lambda shape, strides, dtype: Form(tuple(shape), strides, dtype))


def rest_of_view(form: Form, element: int) -> bytes:
    """The `du_view` of such tensors without the address; `element` names their type to the kernel."""
    return _pack_rest(*form.shape, *form.strides, element) if len(form.shape) == 4 else b""


@lru_cache(maxsize=4096)
def resized(form: Form, size: tuple[int, int], dtype: torch.dtype | None = None) -> Form:
    """How a result [n, c, *size] lies that is made of a tensor of this form."""
    return packed_form((*form.shape[:2], *size), dtype or form.dtype, form.layout or torch.contiguous_format)


def packed_form(shape: tuple[int, ...], dtype: torch.dtype, layout: Layout) -> Form:
    """The form of a new tensor in this layout."""
    like = torch.empty(shape, device="meta", memory_format=layout)
    return _form(like.shape, like.stride(), dtype)


def packed(x: Tensor) -> tuple[Tensor, Form]:
    """`x` [n, c, h, w] in one of the two layouts, and its form; copied only when it is in neither."""
    form = form_of(x)
    if form.layout is None:
        # As torch orders the results of other layouts, and the fakes of these operators theirs.
        x = x.contiguous(memory_format=torch._prims_common.suggest_memory_format(x))
        form = form_of(x)
    return x, form


def readable(x: Tensor) -> tuple[Tensor, Form, Layout]:
    """`x` for kernels that read slices of images where they lie; and how torch lays out what is made of it."""
    form = form_of(x)
    if not form.is_sliced:
        x, form = packed(x)
        return x, form, form.layout or torch.contiguous_format
    return x, form, torch._prims_common.suggest_memory_format(x)


def laid(name: str, x: Tensor, form: Form) -> Tensor:
    """`x` as this packed form says; copied only when it lies in another way."""
    if form_of(x) is form:
        return x
    if x.shape != form.shape or x.dtype != form.dtype:
        raise ArgumentError(
            f"the {name} has shape {tuple(x.shape)} and dtype {x.dtype}; use {form.shape} and {form.dtype}"
        )
    return x.contiguous(memory_format=form.layout or torch.contiguous_format)


def _layout(like: Tensor) -> Layout | None:
    if like.is_contiguous():
        return torch.contiguous_format
    if like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return None


def _is_sliced(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    if len(shape) != 4:
        return False
    _, channels, rows, columns = shape
    _, plane, down, right = strides
    in_planes = right == 1 and down >= columns and plane >= down * (rows - 1) + columns
    in_pixels = plane == 1 and right >= channels and down >= right * (columns - 1) + channels
    return in_planes or in_pixels


# The bytes of all views of a call at once: a fifth of what cffi takes to convert their fields one by one.


def two_views(x: Tensor, x_rest: bytes, y: Tensor, y_rest: bytes) -> tuple[Any, Any]:
    """The `du_view`s of two tensors, which must outlive them; the first must outlive the second."""
    first = _from_buffer(_VIEW, _pack_two(x.data_ptr(), x_rest, y.data_ptr(), y_rest))
    return first, first + 1


def three_views(
    x: Tensor, x_rest: bytes, y: Tensor, y_rest: bytes, z: Tensor, z_rest: bytes
) -> tuple[Any, Any, Any]:
    """The same of three."""
    first = _from_buffer(_VIEW, _pack_three(x.data_ptr(), x_rest, y.data_ptr(), y_rest, z.data_ptr(), z_rest))
    return first, first + 1, first + 2
