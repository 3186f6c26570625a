"""Which way a layer takes, and images seen as planes [batch, channel, rows, columns], whatever their data format."""

from __future__ import annotations

from typing import Any

import keras

from downup.errors import ArgumentError

IS_TORCH = keras.backend.backend() == "torch"
if IS_TORCH:
    import torch

    from downup import ops
    from downup.keras import _exported

# A place in a plane. What keras.ops offers on JAX has 32 bits, unless that is told otherwise.
POSITION_TYPE = "int64" if IS_TORCH else "int32"

Shape = tuple[Any, ...]

__all__ = [
    "IS_TORCH",
    "POSITION_TYPE",
    "Shape",
    "checked_data_format",
    "from_planes",
    "image_shape",
    "ops",
    "plane_shape",
    "planes",
]


def operators() -> Any:
    """The operators on torch tensors; while a model is exported, in words of torch that its exporter knows."""
    return _exported if torch.compiler.is_exporting() else ops


def planes(x: Any, data_format: str) -> Any:
    """A torch tensor as [batch, channel, rows, columns]: a view, which torch calls channels-last where it is that."""
    x = keras.ops.convert_to_tensor(x)
    return x.permute(0, 3, 1, 2) if data_format == "channels_last" else x


def from_planes(x: Any, data_format: str) -> Any:
    """The inverse of `planes`."""
    return x.permute(0, 2, 3, 1) if data_format == "channels_last" else x


def plane_shape(shape: Any, data_format: str) -> Shape:
    """The shape of an image as (batch, channels, rows, columns)."""
    batch, *rest = shape
    return (batch, rest[2], rest[0], rest[1]) if data_format == "channels_last" else (batch, *rest)


def image_shape(shape: Any, data_format: str) -> Shape:
    """The inverse of `plane_shape`."""
    batch, channels, rows, columns = shape
    return (
        (batch, rows, columns, channels)
        if data_format == "channels_last"
        else (batch, channels, rows, columns)
    )


def checked_data_format(data_format: str | None) -> str:
    """`data_format` if it is one; that of Keras's configuration if there is none."""
    if data_format is None:
        return str(keras.config.image_data_format())
    if data_format not in ("channels_last", "channels_first"):
        raise ArgumentError(f'data_format is {data_format!r}; use "channels_last" or "channels_first"')
    return data_format
