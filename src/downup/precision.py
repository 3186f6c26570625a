"""How exactly the engine computes a convolution."""

from __future__ import annotations

from typing import Literal, get_args

# "fast" may rearrange sums, for fewer multiplications; "exact" multiplies every weight with its sample; "bfloat16" is
# fast, and rounds what it multiplies to bfloat16 where the processor then takes less time.
Precision = Literal["fast", "exact", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
