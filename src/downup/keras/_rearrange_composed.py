"""The rearranging layers in `keras.ops`, for the backends that downup has no operators for.

An image is split into the axes b (batch), r (rows), y (rows of a block), s (columns), x (columns of a block), c (channels).
"""

from __future__ import annotations

from typing import Any

from keras import ops

# The axes of a large image, and of a small one whose blocks lie in its channels.
_LARGE = {"channels_last": "brysxc", "channels_first": "bcrysx"}
_SMALL = {
    ("channels_last", "DCR"): "brsyxc",
    ("channels_last", "CRD"): "brscyx",
    ("channels_first", "DCR"): "byxcrs",
    ("channels_first", "CRD"): "bcyxrs",
}


def pixel_unshuffle(x: Any, factor: int, order: str, data_format: str) -> Any:
    """Space into channels."""
    sizes = _sizes(x, factor, data_format, is_large=True)
    moved = _move(x, _LARGE[data_format], _SMALL[data_format, order], sizes)
    area, blocks = (sizes["r"], sizes["s"]), (sizes["c"] * factor * factor,)
    shape = (*area, *blocks) if data_format == "channels_last" else (*blocks, *area)
    return ops.reshape(moved, (sizes["b"], *shape))


def pixel_shuffle(x: Any, factor: int, order: str, data_format: str) -> Any:
    """Channels into space."""
    sizes = _sizes(x, factor, data_format, is_large=False)
    moved = _move(x, _SMALL[data_format, order], _LARGE[data_format], sizes)
    area, channels = (sizes["r"] * factor, sizes["s"] * factor), (sizes["c"],)
    shape = (*area, *channels) if data_format == "channels_last" else (*channels, *area)
    return ops.reshape(moved, (sizes["b"], *shape))


def _sizes(x: Any, factor: int, data_format: str, *, is_large: bool) -> dict[str, Any]:
    batch, *rest = ops.shape(x)
    rows, columns, channels = rest if data_format == "channels_last" else (*rest[1:], rest[0])
    if is_large:
        rows, columns = rows // factor, columns // factor
    else:
        channels = channels // (factor * factor)
    return {"b": batch, "r": rows, "y": factor, "s": columns, "x": factor, "c": channels}


def _move(x: Any, before: str, after: str, sizes: dict[str, Any]) -> Any:
    split = ops.reshape(x, tuple(sizes[axis] for axis in before))
    return ops.transpose(split, tuple(before.index(axis) for axis in after))
