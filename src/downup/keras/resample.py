"""Layers with fixed weights: averages, binomial smoothing, interpolation."""

from __future__ import annotations

from typing import Any

import keras

from downup import geometry
from downup.errors import ArgumentError
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
from downup.keras._resample_composed import resample
from downup.taps import EDGES, binomial_taps, sampled_taps

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
        averages = operators().avg_pool2d(
            x, self.pool_size, self.strides, self.padding, count_include_pad=False
        )
        return from_planes(averages, self.data_format)


INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
# Keras's own rule for "bicubic" is that of the library under it.
CUBIC_RULES = ("torch", "tensorflow")
MOST_TAPS = 1024
_MODES = {"lanczos3": "lanczos"}


@_register
class UpSampling2D(keras.layers.UpSampling2D):
    """Enlarge by whole factors: `keras.layers.UpSampling2D`, with its arguments, and Lanczos on torch too.

    Convention: pixels are squares, so that sample i of the result lies at (i + 0.5) / size - 0.5 of the image. "nearest"
    repeats samples, "bilinear" repeats the edge, "lanczos3" and "lanczos5" leave out what lies beyond it.

    Args:
        size: whole factors, a number or (rows, columns).
        data_format: "channels_last" or "channels_first".
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        cubic_rule: of "bicubic": "torch" (Keys' coefficient -0.75, the edge repeated) or "tensorflow" (-0.5, what lies
            beyond the edge left out; JAX too). Unless given, that of plain Keras on the running backend; a saved layer
            keeps its own.

    >>> image = keras.ops.reshape(keras.ops.convert_to_tensor([0., 4.]), (1, 1, 2, 1))
    >>> UpSampling2D((1, 2), interpolation="bilinear")(image).flatten()
    tensor([0., 1., 3., 4.])
    """

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        cubic_rule: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(size, data_format, interpolation, **kwargs)
        if self.interpolation not in INTERPOLATIONS:
            raise ArgumentError(f"interpolation is {interpolation!r}; use one of {', '.join(INTERPOLATIONS)}")
        if cubic_rule is not None and (cubic_rule not in CUBIC_RULES or self.interpolation != "bicubic"):
            raise ArgumentError(
                f'cubic_rule is {cubic_rule!r} with interpolation {interpolation!r}; use "torch" or "tensorflow", and only '
                'with "bicubic"'
            )
        self._keras_rule = "torch" if IS_TORCH else "tensorflow"
        self.cubic_rule = (cubic_rule or self._keras_rule) if self.interpolation == "bicubic" else None

    def call(self, inputs: Any) -> Any:
        """Images -> larger ones."""
        if not IS_TORCH:
            is_kerass_own = self.cubic_rule in (None, self._keras_rule)
            return super().call(inputs) if is_kerass_own else self._by_matrices(inputs)
        x = planes(inputs, self.data_format)
        if not x.is_floating_point():
            return super().call(inputs)
        size = x.shape[2] * self.size[0], x.shape[3] * self.size[1]
        mode = _MODES.get(self.interpolation, self.interpolation)
        rule = {"cubic_coefficient": -0.5, "exclude_outside": True} if self.cubic_rule == "tensorflow" else {}
        return from_planes(operators().interpolate(x, size, mode=mode, **rule), self.data_format)

    def _by_matrices(self, inputs: Any) -> Any:
        _, _, *sizes = plane_shape(inputs.shape, self.data_format)
        tables = [sampled_taps(n, n * factor, "cubic") for n, factor in zip(sizes, self.size, strict=True)]
        return resample(inputs, tables[0], tables[1], self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {**super().get_config(), "cubic_rule": self.cubic_rule}


@_register
class BlurPooling2D(keras.layers.Layer):
    """Smooth each channel with a binomial filter, then keep every `strides`-th sample: a way down without aliasing.

    rows = ceil(n / strides)

    Convention: an odd filter centres sample i of the result on sample i * strides, an even one half a sample later;
    reflected edges are repeated where the image is too short to reflect.

    Args:
        taps: length of the filter, 1 to 1024.
        strides: a number or (rows, columns), at least 1.
        edge: what lies outside the image: "reflect" it, "repeat" its edge, or "zero".
        data_format: "channels_last" or "channels_first".

    Source: Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019.

    >>> image = keras.ops.reshape(keras.ops.convert_to_tensor([0., 4., 0., 0.]), (1, 1, 4, 1))
    >>> BlurPooling2D()(image).flatten()
    tensor([2., 1.])
    """

    def __init__(
        self,
        taps: int = 3,
        strides: Any = 2,
        edge: str = "reflect",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.taps = geometry.whole("taps", taps, 1, taps)
        if self.taps > MOST_TAPS:
            raise ArgumentError(f"taps is {taps}; use 1 to {MOST_TAPS}")
        self.strides = geometry.pair("strides", strides, 1)
        if edge not in EDGES:
            raise ArgumentError(f"edge is {edge!r}; use one of {', '.join(EDGES)}")
        self.edge: Any = edge
        self.data_format = checked_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Images -> smaller ones."""
        if IS_TORCH:
            x = planes(inputs, self.data_format)
            blurred = operators().blur_pool2d(x, taps=self.taps, stride=self.strides, edge=self.edge)
            return from_planes(blurred, self.data_format)
        _, _, *sizes = plane_shape(inputs.shape, self.data_format)
        tables = [
            binomial_taps(n, self.taps, step, self.edge) for n, step in zip(sizes, self.strides, strict=True)
        ]
        return resample(inputs, tables[0], tables[1], self.data_format)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The shape of an image -> that of the smaller one."""
        batch, channels, *sizes = plane_shape(input_shape, self.data_format)
        smaller = [None if n is None else -(-n // step) for n, step in zip(sizes, self.strides, strict=True)]
        return image_shape((batch, channels, *smaller), self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        own = {
            "taps": self.taps,
            "strides": self.strides,
            "edge": self.edge,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **own}
