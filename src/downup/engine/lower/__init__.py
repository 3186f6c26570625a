"""How each operator of ONNX becomes steps: one file for each family, one function for each operator."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from downup.engine.lower import convolve, pointwise, rearrange, reduce, resample, select
from downup.engine.lower.context import Lowering, UnsupportedError
from downup.engine.lower.rare import RARE, lower_rare

Lower = Callable[[Lowering, ir.Node], None]

LOWERINGS: dict[str, Lower] = {
    **dict.fromkeys(RARE, lower_rare),
    **pointwise.LOWERINGS,
    **convolve.LOWERINGS,
    **select.LOWERINGS,
    **resample.LOWERINGS,
    **rearrange.LOWERINGS,
    **reduce.LOWERINGS,
}

# What follows from the sizes of the inputs whatever the picture.
FOLDED = frozenset({"Shape", "Size"})

__all__ = ["FOLDED", "LOWERINGS", "Lowering", "UnsupportedError"]
