"""PNG written row by row: Pillow wants the whole picture in memory."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from downup.prediction.sinks.layer import Layer, Rows

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_CHUNK = 1 << 20


def write_png(path: Path, layer: Layer, rows: Rows) -> None:
    """Write one byte a pixel, with the colours of the layer's palette if it has one; or two, which have no palette.

    Eight bits whatever the number of classes: some readers give scaled values for fewer.
    """
    size = rows.dtype.itemsize
    with path.open("wb") as file:
        file.write(_SIGNATURE)
        kind = _GREY if layer.palette is None else _PALETTE
        _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", rows.columns, rows.rows, 8 * size, kind, 0, 0, 0))
        if layer.palette is not None:
            _write_chunk(file, b"PLTE", layer.palette)
        for note in layer.notes:
            _write_chunk(file, b"tEXt", b"Comment\0" + note.encode("latin-1", "replace"))
        # Rows as they are, without a filter: neighbours among labels are equal or unrelated.
        packer = zlib.compressobj(6)
        waiting = b""
        for block in rows.blocks():
            lines = np.zeros((block.shape[0], block.shape[1] * size + 1), np.uint8)
            lines[:, 1:] = np.ascontiguousarray(block, block.dtype.newbyteorder(">")).view(np.uint8)
            waiting += packer.compress(lines.data)
            if len(waiting) >= _CHUNK:
                _write_chunk(file, b"IDAT", waiting)
                waiting = b""
        _write_chunk(file, b"IDAT", waiting + packer.flush())
        _write_chunk(file, b"IEND", b"")


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
