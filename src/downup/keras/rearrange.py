"""Layers that lose no sample: space moved into channels and back."""

from __future__ import annotations

from typing import Any

import keras

from downup import geometry
from downup.errors import ArgumentError
from downup.keras import _rearrange_composed as composed
from downup.keras._backend import (
    IS_TORCH,
    Shape,
    checked_data_format,
    from_planes,
    image_shape,
    operators,
    plane_shape,
    planes,
)

_register = keras.saving.register_keras_serializable(package="downup")

_ORDERS = ("DCR", "CRD")


class _Rearranging(keras.layers.Layer):
    """What the two layers share: their arguments."""

    direction: geometry.Direction

    def __init__(
        self, block_size: int = 2, data_format: str | None = None, order: str = "DCR", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.block_size = geometry.whole("block_size", block_size, 1, block_size)
        self.data_format = checked_data_format(data_format)
        if order not in _ORDERS:
            raise ArgumentError(f'order is {order!r}; use "DCR" (TensorFlow, ONNX) or "CRD" (PyTorch)')
        self.order = order
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self._build_at_init()

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The shape of an image -> that of the rearranged one."""
        batch, channels, *sizes = plane_shape(input_shape, self.data_format)
        # Sizes that are not known yet divide.
        known = [self.block_size if n is None else n for n in sizes]
        _, channels, *new = geometry.shuffle_shape((1, channels, *known), self.block_size, self.direction)
        sizes = [None if old is None else n for old, n in zip(sizes, new, strict=True)]
        return image_shape((batch, channels, *sizes), self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        own = {"block_size": self.block_size, "data_format": self.data_format, "order": self.order}
        return {**super().get_config(), **own}


@_register
class PixelUnshuffle2D(_Rearranging):
    """Move each block of r x r pixels into r * r channels: a way down that keeps every sample.

    Convention: the new channel is (y * r + x) * channels + c in the order "DCR" (TensorFlow's `space_to_depth`), and
    (c * r + y) * r + x in "CRD" (PyTorch's `pixel_unshuffle`), in both data formats. (`keras.ops.space_to_depth` of Keras 3
    takes the one with channels last and the other with channels first.)

    Args:
        block_size: r, at least 1; rows and columns must be multiples of it.
        data_format: "channels_last" or "channels_first".
        order: "DCR" or "CRD", how the new channels are counted.

    >>> image = keras.ops.reshape(keras.ops.convert_to_tensor([0., 1., 2., 3.]), (1, 2, 2, 1))
    >>> PixelUnshuffle2D()(image).shape
    torch.Size([1, 1, 1, 4])
    """

    direction = "down"

    def call(self, inputs: Any) -> Any:
        """Images -> smaller ones of more channels."""
        if not IS_TORCH:
            return composed.pixel_unshuffle(inputs, self.block_size, self.order, self.data_format)
        x = planes(inputs, self.data_format)
        return from_planes(
            operators().pixel_unshuffle(x, self.block_size, order=self.order), self.data_format
        )


@_register
class PixelShuffle2D(_Rearranging):
    """Lay r * r channels out as a block of r x r pixels: a way up in which the network paints every pixel.

    Convention: pixel (y, x) of a block of channel c comes from channel (y * r + x) * channels / (r * r) + c in the order
    "DCR" (TensorFlow's `depth_to_space`), from (c * r + y) * r + x in "CRD" (PyTorch's `pixel_shuffle`), in both data
    formats.

    Args:
        block_size: r, at least 1; the channels must be a multiple of r * r.
        data_format: "channels_last" or "channels_first".
        order: "DCR" or "CRD", how the channels are counted.

    >>> image = keras.ops.reshape(keras.ops.convert_to_tensor([0., 1., 2., 3.]), (1, 1, 1, 4))
    >>> PixelShuffle2D()(image)[0, :, :, 0]
    tensor([[0., 1.],
            [2., 3.]])
    """

    direction = "up"

    def call(self, inputs: Any) -> Any:
        """Images -> larger ones of fewer channels."""
        if not IS_TORCH:
            return composed.pixel_shuffle(inputs, self.block_size, self.order, self.data_format)
        x = planes(inputs, self.data_format)
        return from_planes(operators().pixel_shuffle(x, self.block_size, order=self.order), self.data_format)
