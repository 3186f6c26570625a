"""Layers that select: max pooling keeps one sample of each window, un-pooling puts it back where it was."""

from __future__ import annotations

from typing import Any

import keras

from downup import geometry
from downup.errors import ArgumentError
from downup.keras import _select_composed as composed
from downup.keras._backend import (
    IS_TORCH,
    POSITION_TYPE,
    Shape,
    checked_data_format,
    from_planes,
    image_shape,
    operators,
    plane_shape,
    planes,
)

_register = keras.saving.register_keras_serializable(package="downup")


@_register
class MaxPooling2D(keras.layers.MaxPooling2D):
    """Keep the largest sample of each window: `keras.layers.MaxPooling2D`, with its arguments.

    >>> image = keras.ops.reshape(keras.ops.convert_to_tensor([1., 5., 2., 0.]), (1, 1, 4, 1))
    >>> MaxPooling2D((1, 2))(image).flatten()
    tensor([5., 2.])
    """

    def call(self, inputs: Any) -> Any:
        """Images -> their largest samples."""
        if not IS_TORCH:
            return super().call(inputs)
        x = planes(inputs, self.data_format)
        return from_planes(
            operators().max_pool2d(x, self.pool_size, self.strides, self.padding), self.data_format
        )


@_register
class MaxPoolingWithArgmax2D(MaxPooling2D):
    """`MaxPooling2D` that also tells where each sample was: what `MaxUnpooling2D` needs.

    Convention: a position is `row * columns + column` in the plane of its own image and channel, in both data formats; of
    equal samples the first, of NaNs the last, row by row.

    Returns:
        The pooled images, and positions of the same shape: int64 on torch, int32 elsewhere.

    >>> image = keras.ops.reshape(keras.ops.convert_to_tensor([1., 5., 2., 0.]), (1, 1, 4, 1))
    >>> [part.flatten() for part in MaxPoolingWithArgmax2D((1, 2))(image)]
    [tensor([5., 2.]), tensor([1, 2])]
    """

    def call(self, inputs: Any) -> Any:
        """Images -> their largest samples, and positions."""
        arguments = self.pool_size, self.strides, self.padding
        if not IS_TORCH:
            return composed.max_pool(inputs, *arguments, self.data_format)
        x = planes(inputs, self.data_format)
        pooled, positions = operators().max_pool2d(x, *arguments, return_indices=True)
        return from_planes(pooled, self.data_format), from_planes(positions, self.data_format)

    def compute_output_shape(self, input_shape: Any) -> tuple[Shape, Shape]:
        """The shape of an image -> that of the pooled one, twice."""
        shape = super().compute_output_shape(input_shape)
        return shape, shape

    def compute_output_spec(self, inputs: Any) -> Any:
        """What a symbolic image becomes."""
        shape, _ = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, inputs.dtype), keras.KerasTensor(shape, POSITION_TYPE)


@_register
class MaxUnpooling2D(keras.layers.Layer):
    """Put samples back where a `MaxPoolingWithArgmax2D` of the same arguments took them, in an image of zeros.

    Called on `[x, positions]`, and `output_size=(rows, columns)` where the size before pooling is not the one below.

    rows = pool_size * 1 + strides * (n - 1) with "valid" padding, strides * n with "same".

    Convention: positions count in the plane of the result. Where several samples have one position, the last is kept.

    Args:
        pool_size, strides, padding, data_format: as for the pooling.

    Raises:
        ArgumentError: an `output_size` that the pooling would not have brought to n; on torch also a position outside it.

    >>> image = keras.ops.reshape(keras.ops.convert_to_tensor([1., 5., 2., 0.]), (1, 1, 4, 1))
    >>> MaxUnpooling2D((1, 2))(MaxPoolingWithArgmax2D((1, 2))(image)).flatten()
    tensor([0., 5., 2., 0.])
    """

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = geometry.pair("pool_size", pool_size, 1)
        self.strides = self.pool_size if strides is None else geometry.pair("strides", strides, 1)
        if padding not in ("valid", "same"):
            raise ArgumentError(f'padding is {padding!r}; use "valid" or "same", as for the pooling')
        self.padding: Any = padding
        self.data_format = checked_data_format(data_format)
        self.input_spec = [keras.layers.InputSpec(ndim=4), keras.layers.InputSpec(ndim=4)]
        self._build_at_init()

    def call(self, inputs: Any, output_size: Any = None) -> Any:
        """[samples, their positions] -> images."""
        x, positions = inputs
        shape = self.compute_output_shape([x.shape, positions.shape], output_size)
        size = plane_shape(shape, self.data_format)[2:]
        if not IS_TORCH:
            return composed.max_unpool(x, positions, size, self.data_format)
        values, places = planes(x, self.data_format), planes(positions, self.data_format).long()
        image = operators().max_unpool2d(values, places, self.pool_size, self.strides, self.padding, size)
        return from_planes(image, self.data_format)

    def compute_output_shape(self, input_shape: Any, output_size: Any = None) -> Shape:
        """Shapes of [samples, positions] -> that of the images."""
        batch, channels, *size = plane_shape(input_shape[0], self.data_format)
        plain = [
            None
            if n is None
            else geometry.transposed_out_size(n, self.pool_size[i], self.strides[i], self.padding)
            for i, n in enumerate(size)
        ]
        if output_size is None:
            return image_shape((batch, channels, *plain), self.data_format)
        asked = geometry.pair("output_size", output_size, 1)
        for i, name in enumerate(("rows", "columns")):
            if size[i] is None:
                continue
            pooled = geometry.window_out_size(
                asked[i], self.pool_size[i], self.strides[i], self.padding, axis=name
            )
            if pooled != size[i]:
                raise ArgumentError(
                    f"output_size is {asked}, but {asked[i]} {name} are pooled to {pooled}, not to {size[i]}; "
                    f"use the size before pooling, such as {plain[i]} {name}"
                )
        return image_shape((batch, channels, *asked), self.data_format)

    def compute_output_spec(self, inputs: Any, output_size: Any = None) -> Any:
        """What symbolic samples become."""
        x, positions = inputs
        shape = self.compute_output_shape([x.shape, positions.shape], output_size)
        return keras.KerasTensor(shape, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        own = {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **own}
