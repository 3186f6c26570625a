"""What all families do with arguments: look at the image, and plan a call once for all that are alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from downup.errors import ArgumentError

_Plan = TypeVar("_Plan")


def check_image(x: Tensor, may_be_single: bool = True) -> None:
    """Refuse what is no image, or an empty one."""
    if x.dim() != 4 and not (may_be_single and x.dim() == 3):
        single = " or [channels, rows, columns]" if may_be_single else ""
        raise ArgumentError(f"input has shape {tuple(x.shape)}; use [batch, channels, rows, columns]{single}")
    if x.layout is not torch.strided:
        raise ArgumentError(f"input has layout {x.layout}; use input.to_dense()")
    for size in x.shape[-3:]:
        # A symbolic size is known to be positive.
        if isinstance(size, int) and size < 1:
            raise ArgumentError(f"input has shape {tuple(x.shape)}; use at least 1 channel, row and column")


def remembered(make: Callable[..., _Plan]) -> Callable[..., _Plan]:
    """`make`, with the plans of the last calls kept; lists stand for tuples."""
    kept = lru_cache(maxsize=1024, typed=True)(lambda types, *arguments: make(*arguments))

    def plan(*arguments: Any) -> _Plan:
        try:
            return kept(_types_within(arguments), *arguments)
        except TypeError:  # some argument has no hash
            listed = tuple(map(_tuple, arguments))
        try:
            return kept(_types_within(listed), *listed)
        except TypeError:
            return make(*arguments)

    return plan


def _types_within(arguments: tuple[Any, ...]) -> Any:
    """The types inside tuples, at which the cache does not look: 2.0 is equal to 2, but is no size."""
    return tuple((*map(type, value), _types_within(value)) for value in arguments if type(value) is tuple)


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value
