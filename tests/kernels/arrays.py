"""Arrays in the layouts that views describe."""

from __future__ import annotations

import numpy as np

from downup import kernels

LAYOUTS = ("channels first", "channels last", "apart")


def laid_out(array, layout):
    """The same numbers [batch, channel, row, column], otherwise in memory."""
    if layout == "channels first":
        return np.ascontiguousarray(array)
    if layout == "channels last":
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    # Every third element of a larger array, its rows and columns exchanged.
    batch, channels, rows, columns = array.shape
    unread = np.nan if array.dtype.kind == "f" else 99
    block = np.full((batch, channels, columns, 3 * rows), unread, array.dtype)
    made = block[..., 1::3].swapaxes(2, 3)
    made[...] = array
    return made


def empty(shape, layout, dtype=np.float32):
    return laid_out(np.zeros(shape, dtype), layout)


def view(array):
    return kernels.array_view(array)


def activation(kind=kernels.lib.DU_IDENTITY, alpha=0.0, beta=0.0, slopes=None):
    made = kernels.ffi.new("du_activation *", (kind, alpha, beta, kernels.ffi.NULL))
    if slopes is not None:
        made.slopes = pointer(slopes)
    return made


def pointer(numbers):
    return kernels.ffi.cast("float *", numbers.ctypes.data)
