"""Layers with learned weights: strided convolution down, transposed convolution up."""

from __future__ import annotations

from typing import Any

import keras

from downup import geometry
from downup.errors import ArgumentError
from downup.keras._backend import IS_TORCH, from_planes, operators, plane_shape, planes

_register = keras.saving.register_keras_serializable(package="downup")


@_register
class Conv2D(keras.layers.Conv2D):
    """Weigh each window with learned filters: `keras.layers.Conv2D`, with its arguments; strides above 1 lead down.

    rows = floor((n - dilation_rate * (kernel_size - 1) - 1) / strides) + 1 with "valid" padding, ceil(n / strides) with
    "same".

    >>> image = keras.ops.ones((1, 4, 4, 1))
    >>> Conv2D(1, 3, strides=2, padding="same", kernel_initializer="ones")(image)[0, :, :, 0]
    tensor([[9., 6.],
            [6., 4.]], grad_fn=<SelectBackward0>)
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution alone, which Keras lets subclasses replace."""
        if not IS_TORCH:
            return super().convolution_op(inputs, kernel)
        return self._convolve(inputs, kernel, None)

    def call(self, inputs: Any) -> Any:
        """Images -> their features."""
        is_replaced = type(self).convolution_op is not Conv2D.convolution_op
        if not IS_TORCH or is_replaced:
            return super().call(inputs)
        features = self._convolve(inputs, self.kernel, self.bias)
        return features if self.activation is None else self.activation(features)

    def _convolve(self, inputs: Any, kernel: Any, bias: Any) -> Any:
        features = operators().conv2d(
            planes(inputs, self.data_format),
            keras.ops.convert_to_tensor(kernel).permute(3, 2, 0, 1),
            None if bias is None else keras.ops.convert_to_tensor(bias),
            self.strides,
            self.padding,
            self.dilation_rate,
            self.groups,
        )
        return from_planes(features, self.data_format)


@_register
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """Spread each sample over a window with learned filters: `keras.layers.Conv2DTranspose`, and `groups`.

    rows = strides * n + max(dilation_rate * (kernel_size - 1) + 1 - strides, 0) with "valid" padding, strides * n with
    "same"; with `output_padding`, strides * (n - 1) + kernel_size + output_padding, and with "same" kernel_size % 2 in place
    of kernel_size: `downup.geometry.conv_transpose_shape(..., rule="keras")`.

    Args:
        groups: channels are split into so many independent transposed convolutions; divides them and `filters`. The kernel
            has the shape (*kernel_size, filters / groups, channels).

    >>> image = keras.ops.ones((1, 1, 2, 1))
    >>> Conv2DTranspose(1, (1, 3), strides=2, kernel_initializer="ones")(image)[0, :, :, 0]
    tensor([[1., 1., 2., 1., 1.],
            [0., 0., 0., 0., 0.]], grad_fn=<SelectBackward0>)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
        if not isinstance(groups, int) or groups < 1 or filters % groups:
            raise ArgumentError(f"groups is {groups!r}; use a number that divides filters, {filters}")
        self.groups = groups

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        channels = plane_shape(input_shape, self.data_format)[1]
        if channels % self.groups:
            raise ArgumentError(f"groups is {self.groups}; use a number that divides the {channels} channels")
        channel_axis = -1 if self.data_format == "channels_last" else 1
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={channel_axis: channels})
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.filters // self.groups, channels),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            dtype=self.dtype,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                dtype=self.dtype,
            )

    def call(self, inputs: Any) -> Any:
        """Images -> larger ones."""
        if IS_TORCH:
            image = self._spread(inputs)
        elif self.groups == 1:
            return super().call(inputs)
        else:
            image = self._spread_groups(inputs)
        return image if self.activation is None else self.activation(image)

    def _spread(self, inputs: Any) -> Any:
        axes = [
            _cut(k, s, d, self.padding, extra)
            for k, s, d, extra in zip(
                self.kernel_size,
                self.strides,
                self.dilation_rate,
                self.output_padding or (None, None),
                strict=True,
            )
        ]
        image = operators().conv_transpose2d(
            planes(inputs, self.data_format),
            keras.ops.convert_to_tensor(self.kernel).permute(3, 2, 0, 1),
            None if self.bias is None else keras.ops.convert_to_tensor(self.bias),
            self.strides,
            tuple((before, max(after, 0)) for before, after in axes),
            tuple(max(-after, 0) for _, after in axes),
            self.groups,
            self.dilation_rate,
        )
        return from_planes(image, self.data_format)

    def _spread_groups(self, inputs: Any) -> Any:
        """Group by group, since `keras.ops` knows none."""
        axis = -1 if self.data_format == "channels_last" else 1
        parts = zip(
            keras.ops.split(inputs, self.groups, axis),
            keras.ops.split(keras.ops.convert_to_tensor(self.kernel), self.groups, -1),
            strict=True,
        )
        options = {
            "strides": list(self.strides),
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation_rate": self.dilation_rate,
            "data_format": self.data_format,
        }
        images = [keras.ops.conv_transpose(x, kernel, **options) for x, kernel in parts]
        image = keras.ops.concatenate(images, axis)
        if self.bias is None:
            return image
        shape = (1, 1, 1, self.filters) if axis == -1 else (1, self.filters, 1, 1)
        return image + keras.ops.reshape(self.bias, shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {**super().get_config(), "groups": self.groups}


def _cut(
    kernel_size: int, stride: int, dilation: int, padding: Any, output_padding: int | None
) -> tuple[int, int]:
    """Samples to take from both ends of what the windows cover, to have Keras's size; negative where zeros are added.

    Keras takes more from the end where the two are not equal, and adds nothing at the start.
    """
    asked = geometry.transposed_out_size(1, kernel_size, stride, padding, output_padding, dilation, "keras")
    total = geometry.extent(kernel_size, dilation) - asked
    before = max(total // 2, 0) if padding == "same" else 0
    return before, total - before
