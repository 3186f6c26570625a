"""The option by which commands choose a precision."""

from __future__ import annotations

from typing import Annotated

import typer

from downup.precision import Precision

PrecisionOption = Annotated[
    Precision,
    typer.Option(
        help="fast; exact: without Winograd; or bfloat16: products in bfloat16 where the processor is faster at them."
    ),
]
