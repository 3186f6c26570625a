"""Layers with fixed weights: averages."""

from __future__ import annotations

from typing import Any

import keras

from downup.keras._backend import IS_TORCH, from_planes, ops, planes

_register = keras.saving.register_keras_serializable(package="downup")


@_register
class AveragePooling2D(keras.layers.AveragePooling2D):
    """Average each window: `keras.layers.AveragePooling2D`, with its arguments.

    Convention: "same" counts the samples of the image alone, on every backend. (Keras on torch repeats the edge where the
    padding is uneven.)

    >>> image = keras.ops.reshape(keras.ops.convert_to_tensor([1., 3., 5.]), (1, 1, 3, 1))
    >>> AveragePooling2D((1, 2), padding="same")(image).flatten()
    tensor([2., 5.])
    """

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)

    def call(self, inputs: Any) -> Any:
        """Images -> their averages."""
        if not IS_TORCH:
            return super().call(inputs)
        x = planes(inputs, self.data_format)
        averages = ops.avg_pool2d(x, self.pool_size, self.strides, self.padding, count_include_pad=False)
        return from_planes(averages, self.data_format)
