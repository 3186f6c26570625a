"""What an output sample sees: receptive field, stride and offset of a chain of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from downup.geometry.arguments import Direction, extent


@dataclass(frozen=True)
class Step:
    """One layer along one axis, as far as positions go; `padding` is the padding before the first sample.

    A "down" step is a convolution or pool; an "up" step is the transpose of one.
    """

    kernel_size: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    direction: Direction = "down"

    @property
    def extent(self) -> int:
        """Samples from the first to the last of a window."""
        return extent(self.kernel_size, self.dilation)

    @staticmethod
    def upsample(factor: int, mode: Literal["nearest", "bilinear", "bicubic"] = "nearest") -> Step:
        """Interpolation by a whole factor (corners not aligned), as the transposed convolution that it is.

        >>> Step.upsample(2, "bilinear")
        Step(kernel_size=4, stride=2, padding=1, dilation=1, direction='up')
        """
        reach = {"nearest": 1, "bilinear": 2, "bicubic": 4}[mode]  # input samples that an output sample reads
        kernel = reach * factor - (factor % 2 if reach > 1 else 0)
        return Step(kernel, factor, (kernel - factor) // 2, direction="up")


@dataclass(frozen=True)
class Field:
    """What one output sample of a chain sees, in input samples.

    size: most input samples that one output sample can depend on, from the first to the last.
    stride: input samples from one output sample to the next; a fraction where the chain ends above the input.
    offset: where the centre of output sample 0 lies; 0 is the centre of input sample 0.
    """

    size: int
    stride: Fraction
    offset: Fraction


def receptive_field(steps: Sequence[Step]) -> Field:
    """Receptive field of a chain of layers, from the input on, away from the borders.

    >>> receptive_field([Step(3, padding=1), Step(2, stride=2), Step.upsample(2)])
    Field(size=4, stride=Fraction(1, 1), offset=Fraction(0, 1))
    """
    stride, offset, period = Fraction(1), Fraction(0), 1
    for step in steps:
        centre = Fraction(step.extent - 1, 2) - step.padding
        if step.direction == "down":
            offset += centre * stride
            stride *= step.stride
        else:
            stride /= step.stride
            offset -= centre * stride
            period *= step.stride
    # Above an up step the samples see differently many inputs by turns: look at one whole turn.
    size = 0
    for phase in range(period):
        first = last = phase
        for step in reversed(steps):
            if step.direction == "down":
                first = first * step.stride - step.padding
                last = last * step.stride - step.padding + step.extent - 1
            else:
                first = -((step.extent - 1 - step.padding - first) // step.stride)
                last = (last + step.padding) // step.stride
        size = max(size, last - first + 1)
    return Field(size, stride, offset)
