"""How a bug is swapped in for a public function, and taken out again."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from downup import ops
from downup.errors import ArgumentError

Arguments = dict[str, Any]
# How a bug spoils a call: the right function, and the arguments by name, defaults filled in.
Spoil = Callable[[Callable[..., Any], Arguments], Any]


@dataclass(frozen=True)
class Bug:
    """What is wrong, in which operator, and the call that is made instead of the right one."""

    what: str
    operator: str
    spoil: Spoil


class BrokenPlantError(BaseException):
    """The bug itself fails, which no check may take for a find."""


@contextlib.contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """`downup.ops.<operator>` with the bug in it."""
    right = getattr(ops, bug.operator)
    signature = inspect.signature(right)

    def by_name(**arguments: Any) -> Any:
        return right(**arguments)

    def wrong(*given: Any, **named: Any) -> Any:
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        answer = right(*given, **named)  # what is refused is refused with the bug as well
        try:
            return bug.spoil(by_name, dict(bound.arguments))
        except ArgumentError:
            return answer  # the bug makes no call here: to be refused would be no find
        except Exception as caught:
            raise BrokenPlantError(f"{bug.what}: {caught!r}") from caught

    setattr(ops, bug.operator, wrong)
    try:
        yield
    finally:
        setattr(ops, bug.operator, right)


def instead(**changes: Any) -> Spoil:
    """Other arguments; a function of all of them stands for its result."""

    def spoil(right: Callable[..., Any], arguments: Arguments) -> Any:
        new = {name: value(arguments) if callable(value) else value for name, value in changes.items()}
        return right(**(arguments | new))

    return spoil


def of_result(change: Callable[[Any, Arguments], Any]) -> Spoil:
    """The samples of the right result, changed; positions stay."""

    def spoil(right: Callable[..., Any], arguments: Arguments) -> Any:
        result = right(**arguments)
        if isinstance(result, tuple):
            return change(result[0], arguments), *result[1:]
        return change(result, arguments)

    return spoil


def of_positions(change: Callable[[Tensor, Arguments], Tensor]) -> Spoil:
    """The positions of a pool, changed where they are asked for."""

    def spoil(right: Callable[..., Any], arguments: Arguments) -> Any:
        result = right(**arguments)
        return (result[0], change(result[1], arguments)) if isinstance(result, tuple) else result

    return spoil
