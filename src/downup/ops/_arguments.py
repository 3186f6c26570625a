"""What all families do with arguments: look at the image, and plan a call once for all that are alike."""

from __future__ import annotations

import marshal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from downup.errors import ArgumentError
from downup.ops._forms import Form

_Plan = TypeVar("_Plan")


def check_image(x: Tensor, may_be_single: bool = True) -> None:
    """Refuse what is no image, or an empty one."""
    if x.layout is not torch.strided:
        check_shape(x.shape, may_be_single)
        raise ArgumentError(f"input has layout {x.layout}; use input.to_dense()")
    check_shape(x.shape, may_be_single)


def check_shape(shape: Any, may_be_single: bool = True) -> None:
    """Refuse the shape of no image, or of an empty one."""
    if len(shape) != 4 and not (may_be_single and len(shape) == 3):
        single = " or [channels, rows, columns]" if may_be_single else ""
        raise ArgumentError(f"input has shape {tuple(shape)}; use [batch, channels, rows, columns]{single}")
    for size in shape[-3:]:
        # A symbolic size is known to be positive.
        if isinstance(size, int) and size < 1:
            raise ArgumentError(f"input has shape {tuple(shape)}; use at least 1 channel, row and column")


class Kept:
    """Values by key, as many as weigh no more than `most` together; the oldest leave first."""

    def __init__(self, most: int, weight_of: Callable[[Any], int] = lambda value: 1) -> None:
        self._most, self._weight_of = most, weight_of
        self._values: dict[Any, Any] = {}
        self._lock = threading.Lock()
        self.weight = 0
        self.get = self._values.get

    def put(self, key: Any, value: Any) -> None:
        """Keep `value`, unless it is too heavy even alone."""
        weight = self._weight_of(value)
        with self._lock:
            if weight > self._most or key in self._values:
                return
            self._values[key] = value
            self.weight += weight
            while self.weight > self._most:
                self.weight -= self._weight_of(self._values.pop(next(iter(self._values))))


def remembered(make: Callable[..., _Plan], kept: Kept | None = None) -> Callable[..., _Plan]:
    """`make(form, *arguments)`, with the last plans kept, by the form of the image and the arguments."""
    plans = kept or Kept(1024)
    get = plans.get

    def plan(form: Form, *arguments: Any) -> _Plan:
        try:
            key = make, form, _written(arguments)
        except ValueError:  # some argument is of no plain type
            return make(form, *arguments)
        found: _Plan | None = get(key)
        if found is None:
            found = make(form, *arguments)
            plans.put(key, found)
        return found

    return plan


def _written(arguments: tuple[Any, ...]) -> bytes:
    # Unlike equality, bytes tell 2, 2.0 and True apart at any depth; and lists can be written, but not hashed.
    try:
        return marshal.dumps(arguments, 0)
    except ValueError:
        return marshal.dumps(_plain(arguments), 0)


def _plain(value: Any) -> Any:
    """A torch.Size is a tuple, but is not written as one."""
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value
