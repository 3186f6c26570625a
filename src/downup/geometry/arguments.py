"""What the arguments of a window may be: numbers, pairs, symbols, and the words for padding."""

from __future__ import annotations

import numbers
from typing import Any, Literal, TypeAlias

from downup.errors import ArgumentError

Pair: TypeAlias = tuple[int, int]
Sides: TypeAlias = tuple[Pair, Pair]
Padding: TypeAlias = int | Pair | Sides | Literal["valid", "same", "same_lower"]
AxisPadding: TypeAlias = int | Pair | Literal["valid", "same", "same_lower"]
DataFormat: TypeAlias = Literal["channels_first", "channels_last"]
Direction: TypeAlias = Literal["down", "up"]

AXES = ("rows", "columns")


def pair(name: str, value: Any, minimum: int = 0) -> Pair:
    """Read an argument that is one whole number, or one for rows and one for columns.

    Raises:
        ArgumentError: not one or two whole numbers, or one below `minimum`.

    >>> pair("stride", 2, 1), pair("stride", (2, 3), 1)
    ((2, 2), (2, 3))
    """
    if type(value) is int and value >= minimum:  # the usual case, which every call of an operator passes
        return value, value
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            return pair(name, value[0], minimum)
        if len(value) == 2:
            return whole(name, value[0], minimum, value), whole(name, value[1], minimum, value)
        raise ArgumentError(f"{name} is {value!r}; use one number, or a pair (rows, columns)")
    number = whole(name, value, minimum, value)
    return number, number


def whole(name: str, value: Any, minimum: int, shown: Any) -> int:
    """Read one whole number, of Python's, NumPy's or a symbolic kind; `shown` is what the user typed.

    >>> whole("taps", 3, minimum=1, shown=3)
    3
    """
    if type(value) is int and value >= minimum:
        return value
    if isinstance(value, bool) or not (isinstance(value, numbers.Integral) or _is_symbol(value)):
        raise ArgumentError(f"{name} is {shown!r}; use whole numbers, at least {minimum}")
    number: int = value if isinstance(value, int) or _is_symbol(value) else int(value)
    if isinstance(number, int) and number < minimum:
        raise ArgumentError(f"{name} is {shown!r}; use {name} >= {minimum}")
    return number


def _is_symbol(value: Any) -> bool:
    """Whether it is torch's SymInt or SymPy's integer symbol (a float's `is_integer` is a method)."""
    return hasattr(value, "__sym_max__") or getattr(value, "is_integer", None) is True


def larger(a: Any, b: Any) -> Any:
    """`max` that does not branch on a symbol.

    >>> larger(2, 5)
    5
    """
    if isinstance(a, int) and isinstance(b, int):  # while torch.compile traces, its symbols too
        return max(a, b)
    for one, other in ((a, b), (b, a)):
        if hasattr(one, "__sym_max__"):
            return one.__sym_max__(other)
    return (a + b + abs(a - b)) // 2


def extent(kernel_size: int, dilation: int = 1) -> int:
    """How many input samples a window spans, from its first to its last.

    >>> extent(3), extent(3, dilation=2)
    (3, 5)
    """
    return dilation * (kernel_size - 1) + 1
