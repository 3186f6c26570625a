"""Resampling in `keras.ops`, by any two tables of taps, for the backends that downup has no operators for."""

from __future__ import annotations

from typing import Any

from keras import ops

from downup.taps import Taps


def resample(x: Any, rows: Taps, columns: Taps, data_format: str) -> Any:
    """Images resampled along the rows, then along the columns; each table as a matrix, and half types in float32."""
    dtype = str(x.dtype)
    exact = x if dtype in ("float32", "float64") else ops.cast(x, "float32")
    tables = [ops.convert_to_tensor(taps.dense(), exact.dtype) for taps in (rows, columns)]
    # The letters of an image, of what its rows become, and of what its columns become.
    letters = ("bhwc", "bywc", "byxc") if data_format == "channels_last" else ("bchw", "bcyw", "bcyx")
    exact = ops.einsum(f"yh,{letters[0]}->{letters[1]}", tables[0], exact)
    exact = ops.einsum(f"xw,{letters[1]}->{letters[2]}", tables[1], exact)
    return ops.cast(exact, dtype)
