"""`.npy`, written row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from downup.prediction.sinks.layer import Layer, Rows


def write_npy(path: Path, layer: Layer, rows: Rows) -> None:
    """Write [rows, columns]; it holds numbers alone, neither colours nor names."""
    header = {
        "descr": np.lib.format.dtype_to_descr(rows.dtype),
        "fortran_order": False,
        "shape": (rows.rows, rows.columns),
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in rows.blocks():
            file.write(block.data)
