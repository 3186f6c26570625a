"""Convolutions of the native library: prepared once, run on NumPy arrays whose channels lie side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from downup.errors import ArgumentError
from downup.kernels import Window, array_view, check, ffi, lib
from downup.precision import PRECISIONS, Precision

Array: TypeAlias = np.ndarray[Any, Any]

ACTIVATIONS = (
    "identity",
    "relu",
    "leaky_relu",
    "prelu",
    "clip",
    "sigmoid",
    "silu",
    "hard_sigmoid",
    "hard_swish",
    "gelu",
    "gelu_tanh",
    "elu",
    "tanh",
    "exp",
    "erf",
    "sqrt",
    "abs",
)
ALGORITHMS = ("auto", "direct", "winograd", "winograd_repeated", "depthwise", "grouped", "direct_bfloat16")


def _index(name: str, value: str, names: Sequence[str]) -> int:
    if value not in names:
        raise ArgumentError(f"{name} is {value!r}; use one of {', '.join(names)}")
    return names.index(value)


@dataclass(frozen=True)
class Activation:
    """What is applied to each output.

    `alpha` is the slope below zero of "leaky_relu" and "elu". "clip" goes from `alpha` to `beta`; "hard_sigmoid" is
    alpha x + beta within 0 and 1. "prelu" has its `slopes`, one for each out channel.
    """

    kind: str = "identity"
    alpha: float = 0.0
    beta: float = 0.0
    slopes: Array | None = None


@dataclass(frozen=True)
class ConvolutionSpec:
    """A convolution but for its weights: `in_channels`, upsampled by repetition, under `window`, to `out_channels`.

    If `transposed`, the window is that of a convolution the other way, of which this is the transpose, and
    `output_padding` is the number of rows and columns more. Precision "exact" rules out what rearranges sums for speed;
    "bfloat16" rounds what is multiplied to bfloat16, where that is faster on this processor.
    """

    in_channels: int
    out_channels: int
    window: Window
    groups: int = 1
    output_padding: tuple[int, int] = (0, 0)
    upsample: tuple[int, int] = (1, 1)
    transposed: bool = False
    precision: Precision = "fast"
    algorithm: str = "auto"
    activation: Activation = Activation()

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """[out, in / groups, rows, columns]; of a transposed one [in, out / groups, rows, columns]."""
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // max(1, self.groups), *self.window.size)


class Convolution:
    """A convolution with its weights, which are copied. Any number of threads may run it at once.

    Args:
        spec: what it computes.
        weight: float32, of `spec.weight_shape`.
        bias: float32 [out_channels], or None.

    Raises:
        ArgumentError: an argument of the wrong shape or out of range.
    """

    def __init__(self, spec: ConvolutionSpec, weight: Array, bias: Array | None = None) -> None:
        self.spec = spec
        activation = spec.activation
        weight_address, _kept_weight = _floats("weight", weight, spec.weight_shape)
        bias_address, _kept_bias = _floats("bias", bias, (spec.out_channels,))
        slopes_address, _kept_slopes = _floats("slopes", activation.slopes, (spec.out_channels,))
        kind = _index("activation", activation.kind, ACTIVATIONS)
        try:
            native = ffi.new(
                "du_convolution_spec *",
                (
                    spec.in_channels,
                    spec.out_channels,
                    spec.groups,
                    spec.window.native[0],
                    spec.output_padding,
                    spec.upsample,
                    spec.transposed,
                    _index("precision", spec.precision, PRECISIONS),
                    _index("algorithm", spec.algorithm, ALGORITHMS),
                    (kind, activation.alpha, activation.beta, slopes_address),
                ),
            )
        except OverflowError:
            raise ArgumentError(f"{spec} has a number beyond 2**63; use at most 2**31 - 1") from None
        handle = lib.du_convolution_new(native, weight_address, bias_address)
        if handle == ffi.NULL:
            check(lib.du_last_code())
        self.native = ffi.gc(handle, lib.du_convolution_free)

    @property
    def algorithm(self) -> str:
        """The name of the algorithm that was chosen."""
        return str(ffi.string(lib.du_convolution_algorithm(self.native)).decode())

    @property
    def steps(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(in, out) of (rows, columns): where inputs repeat so many samples on, outputs repeat bit by bit so many on."""
        inner, outer = ffi.new("int64_t[2]"), ffi.new("int64_t[2]")
        check(lib.du_convolution_steps(self.native, inner, outer))
        return (inner[0], inner[1]), (outer[0], outer[1])

    def out_size(self, in_size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the output for those of an input."""
        out = ffi.new("int64_t[2]")
        check(lib.du_convolution_out_size(self.native, ffi.new("int64_t[2]", in_size), out))
        return out[0], out[1]

    def scratch_bytes(self, batch: int, in_size: tuple[int, int], threads: int) -> int:
        """Bytes that a run borrows."""
        found = int(lib.du_convolution_scratch_bytes(self.native, batch, *in_size, threads))
        if found < 0:
            check(lib.du_last_code())
        return found

    def run(
        self,
        parts: Array | Sequence[Array],
        out: Array | None = None,
        residual: Array | None = None,
        *,
        threads: int = 1,
        scratch: Array | None = None,
    ) -> Array:
        """The activation of convolution + bias + residual.

        Args:
            parts: float32 [batch, channel, row, column] with the channels side by side in memory (`channels_last`),
                or several of them, whose channels one after the other are the input's.
            out: where to write it, likewise; a new array if left out.
            residual: what is added before the activation, like `out`, or `out` itself.
            threads: the most threads to use.
            scratch: uint8, at least `scratch_bytes` of them, side by side; fresh memory if left out.
        """
        arrays = [parts] if isinstance(parts, np.ndarray) else list(parts)
        views = [array_view(array)[0] for array in arrays]
        if not views:
            raise ArgumentError("parts is empty; give at least one array")
        batch, _, rows, columns = arrays[0].shape
        if out is None:
            out = empty_channels_last((batch, self.spec.out_channels, *self.out_size((rows, columns))))
        if scratch is None:
            scratch = np.empty(self.scratch_bytes(batch, (rows, columns), threads), np.uint8)
        elif not scratch.flags.c_contiguous:
            raise ArgumentError("scratch is not contiguous; use bytes that lie side by side")
        check(
            lib.du_convolution_run(
                self.native,
                len(views),
                ffi.new("du_view[]", views),
                ffi.NULL if residual is None else array_view(residual),
                array_view(out),
                ffi.cast("void *", scratch.ctypes.data),
                scratch.nbytes,
                threads,
            )
        )
        return out


def _floats(name: str, array: Array | None, shape: tuple[int, ...]) -> tuple[Any, Array | None]:
    """The address of an array as the library reads it, and what must live until then."""
    if array is None:
        return ffi.NULL, None
    if array.dtype != np.float32 or array.shape != shape:
        raise ArgumentError(f"{name} is {array.dtype} {list(array.shape)}; use float32 {list(shape)}")
    array = np.ascontiguousarray(array)
    return ffi.cast("float *", array.ctypes.data), array


def empty_channels_last(shape: Sequence[int]) -> Array:
    """A float32 array of logical shape [batch, channel, row, column] whose channels lie side by side."""
    batch, channels, rows, columns = shape
    return np.empty((batch, rows, columns, channels), np.float32).transpose(0, 3, 1, 2)


def channels_last(array: Array) -> Array:
    """The same [batch, channel, row, column], in float32 and with the channels side by side in memory."""
    out = empty_channels_last(array.shape)
    out[...] = array
    return out
