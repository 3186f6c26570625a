"""Convolutions: weights packed once, and the step that runs them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from downup import kernels
from downup.engine.activation import IDENTITY, Activation
from downup.engine.steps import Call, Memory, Step
from downup.engine.values import Array, Value
from downup.graph import Tiles
from downup.graph.shapes import Window
from downup.kernels import Window as NativeWindow
from downup.kernels.convolve import ACTIVATIONS, Convolution, ConvolutionSpec
from downup.kernels.convolve import Activation as KernelActivation
from downup.precision import Precision


def prepare(
    weight: Array,
    bias: Array | None,
    window: Window,
    *,
    precision: Precision,
    groups: int = 1,
    is_transposed: bool = False,
    upsample: tuple[int, int] = (1, 1),
    activation: Activation = IDENTITY,
) -> Convolution:
    """Pack the weights of a convolution, once for all plans and threads.

    weight: [out, in / groups, rows, columns], transposed [in, out / groups, rows, columns].
    precision: see `downup.engine.Session`.
    upsample: whole factors of a nearest upsampling in front of the window.
    """
    first, second = weight.shape[0], weight.shape[1] * groups
    before, after = zip(*window.pads, strict=True)
    extra = window.output_padding
    spec = ConvolutionSpec(
        in_channels=first if is_transposed else second,
        out_channels=second if is_transposed else first,
        window=NativeWindow(window.size, window.stride, before, after, window.dilation),  # type: ignore[arg-type]
        groups=groups,
        output_padding=extra if is_transposed and extra else (0, 0),  # type: ignore[arg-type]
        upsample=upsample,
        transposed=is_transposed,
        precision=precision,
        activation=KernelActivation(
            ACTIVATIONS[activation.kind], activation.alpha, activation.beta, activation.slopes
        ),
    )
    numbers = None if bias is None else np.ascontiguousarray(bias, np.float32)
    return Convolution(spec, np.ascontiguousarray(weight, np.float32), numbers)


def tiles_of(convolution: Convolution) -> list[tuple[Tiles, Tiles]]:
    """Which outputs are computed together, of rows and of columns; none where each is by itself."""
    if not convolution.algorithm.startswith("winograd"):
        return []
    _, steps = convolution.steps
    # After a nearest upsampling the tiles begin where the window has left the padding.
    first = convolution.spec.window.pad_before if convolution.algorithm == "winograd_repeated" else (0, 0)
    rows, columns = (Tiles(step, start % step) for step, start in zip(steps, first, strict=True))
    return [(rows, columns)]


@dataclass(eq=False, kw_only=True)
class ConvolutionStep(Step):
    """A convolution with all that was fused into it."""

    convolution: Convolution
    parts: tuple[Value, ...]
    residual: Value | None

    @classmethod
    def of(
        cls,
        convolution: Convolution,
        parts: Sequence[Value],
        residual: Value | None,
        out: Value,
        operator: str,
        scratch: Callable[[str, int], Value],
        threads: int,
    ) -> ConvolutionStep:
        """The step that reads `parts`, one after the other as channels, adds `residual` and writes `out`."""
        batch, _, rows, columns = parts[0].shape
        size = convolution.scratch_bytes(batch, (rows, columns), threads)
        counted = parts[0] if convolution.spec.transposed else out
        return cls(
            name=out.name,
            operator=operator,
            algorithm=convolution.algorithm,
            reads=(*parts,) if residual is None else (*parts, residual),
            writes=(out,),
            in_place=() if residual is None else ((residual, out),),
            scratch=(scratch(f"scratch of {out.name}", size),) if size else (),
            multiply_adds=batch * math.prod(counted.shape[2:]) * math.prod(convolution.spec.weight_shape),
            convolution=convolution,
            parts=tuple(parts),
            residual=residual,
        )

    def bind(self, memory: Memory, threads: int) -> Call:
        """The call of the native function."""
        residual = kernels.ffi.NULL if self.residual is None else memory.view(self.residual, kernels.FLOAT32)
        return partial(
            kernels.lib.du_convolution_run,
            self.convolution.native,
            len(self.parts),
            memory.views(self.parts, kernels.FLOAT32),
            residual,
            memory.view(self.writes[0], kernels.FLOAT32),
            kernels.ffi.cast("void *", memory.address(self.scratch[0])) if self.scratch else kernels.ffi.NULL,
            self.scratch[0].size if self.scratch else 0,
            threads,
        )
