"""Pictures of a size that is given as words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from downup.errors import ArgumentError

if TYPE_CHECKING:
    from downup.engine import Session


def picture_of(session: Session, size: str) -> dict[str, Any]:
    """Random inputs for a network, its rows and columns as in "480x640" where the network leaves them open.

    >>> rows_and_columns("480x640")
    (480, 640)
    """
    import numpy as np

    rows, columns = rows_and_columns(size)
    generator = np.random.default_rng(0)
    made = {}
    for name, shape in session.example_shapes(rows, columns).items():
        dtype = session.input_type(name)
        numbers = generator.standard_normal(shape)
        made[name] = numbers.astype(dtype) if dtype.kind == "f" else np.zeros(shape, dtype)
    return made


def rows_and_columns(size: str) -> tuple[int, int]:
    """Read "480x640"."""
    parts = size.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ArgumentError(f"size is {size!r}; use rows x columns, such as 480x640")
    return int(parts[0]), int(parts[1])
