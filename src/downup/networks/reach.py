"""How far one sample of a feature map sees in the input picture: integers, followed through the modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn as torch_nn

from downup import nn


@dataclass(frozen=True)
class Reach:
    """What one sample of a map may depend on, along one axis, in input pixels.

    Sample i of a map with `step` stands for the input pixels from i * step to (i + 1) * step - 1. It depends
    on no pixel further than `before` ahead of that block or `after` behind it. Both are upper bounds.
    """

    step: int = 1
    before: int = 0
    after: int = 0

    def windowed(self, kernel_size: int, stride: int, padding: int, dilation: int = 1) -> Reach:
        """Follow a convolution or a pool.

        >>> Reach().windowed(kernel_size=7, stride=2, padding=3)
        Reach(step=2, before=3, after=2)
        """
        overhang = dilation * (kernel_size - 1) - padding - (stride - 1)
        return Reach(
            step=self.step * stride,
            before=self.before + self.step * max(0, padding),
            after=self.after + self.step * max(0, overhang),
        )

    def refined(self, factor: int, reads: Callable[[int], tuple[int, int]]) -> Reach:
        """Follow an upsampling by `factor`.

        Args:
            factor: output samples per input sample; it divides `step`.
            reads: gives, for output sample 0 <= phase < factor, the first and last input sample that it
            reads.

        >>> Reach(step=4).refined(2, lambda phase: (0, 0))
        Reach(step=2, before=2, after=2)
        """
        step = self.step // factor
        if step * factor != self.step:
            raise ValueError(f"factor {factor} does not divide the step {self.step}")
        ends = [reads(phase) for phase in range(factor)]
        return Reach(
            step=step,
            before=self.before
            + max(phase * step - first * self.step for phase, (first, _) in enumerate(ends)),
            after=self.after
            + max((last + 1) * self.step - (phase + 1) * step for phase, (_, last) in enumerate(ends)),
        )

    def joined(self, other: Reach) -> Reach:
        """Follow a sum or a concatenation of two maps of the same size."""
        if self.step != other.step:
            raise ValueError(f"maps with steps {self.step} and {other.step} have different sizes")
        return replace(self, before=max(self.before, other.before), after=max(self.after, other.after))


def follow(module: torch_nn.Module, reach: Reach) -> Reach:
    """Return the reach of a module's output samples, given that of its input samples.

    A module of our own says it in a method `reach`; of the others, those that networks are made of are known.
    """
    own = getattr(module, "reach", None)
    if own is not None:
        result = own(reach)
        if not isinstance(result, Reach):
            raise TypeError(f"{type(module).__name__}.reach returned {result!r}")
        return result
    if isinstance(module, torch_nn.Sequential):
        for part in module:
            reach = follow(part, reach)
        return reach
    if isinstance(module, _POINTWISE):
        return reach
    if isinstance(module, torch_nn.ConvTranspose2d | nn.ConvTranspose2d):
        kernel_size, stride, padding = map(_rows, (module.kernel_size, module.stride, module.padding))
        return reach.refined(
            stride,
            lambda phase: (-((kernel_size - 1 - phase - padding) // stride), (phase + padding) // stride),
        )
    if isinstance(module, torch_nn.Conv2d | nn.Conv2d | nn.MaxPool2d | nn.MaxPool2dWithOffsets):
        sizes = map(_rows, (module.kernel_size, module.stride, module.padding, module.dilation))
        return reach.windowed(*sizes)
    if isinstance(module, nn.AvgPool2d):
        return reach.windowed(*map(_rows, (module.kernel_size, module.stride, module.padding)))
    if isinstance(module, nn.BlurPool2d):
        return reach.windowed(module.taps, module.stride, (module.taps - 1) // 2)
    if isinstance(module, nn.PixelShuffle):
        return reach.refined(module.upscale_factor, lambda phase: (0, 0))
    if isinstance(module, nn.Upsample):
        factor = int(_rows(module.scale_factor))
        if module.mode == "nearest":
            return reach.refined(factor, lambda phase: (0, 0))
        # Bilinear: the centre of output sample `phase` lies at (phase + 0.5) / factor - 0.5 between two
        # inputs.
        return reach.refined(factor, lambda phase: (-1, 0) if 2 * phase + 1 < factor else (0, 1))
    raise TypeError(f"no rule for how far {type(module).__name__} sees")


_POINTWISE = (torch_nn.BatchNorm2d, torch_nn.ReLU, torch_nn.Dropout, torch_nn.Identity)


def _rows(value: object) -> int:
    first = value[0] if isinstance(value, tuple) else value
    if not isinstance(first, int | float):
        raise TypeError(f"expected a number, got {value!r}")
    return int(first)
