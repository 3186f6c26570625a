"""One layer with arguments, run on whatever backend this process has: outputs and gradients as arrays of numbers.

Images are written channels-last; a case runs in either data format, and what comes out is turned back.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

import downup.keras

Arrays = dict[str, np.ndarray]

LAST, FIRST = "channels_last", "channels_first"
DATA_FORMATS = (LAST, FIRST)


@dataclass(frozen=True)
class Case:
    """A layer, its arguments, and the one whose effect is looked at: without it, something else must come out."""

    layer: str
    arguments: dict[str, Any]
    matters: str
    shape: tuple[int, int, int, int] = (2, 7, 9, 4)
    call: dict[str, Any] = field(default_factory=dict)
    # Pooling before un-pooling, which makes its positions.
    pooling: dict[str, Any] | None = None
    # Why plain Keras gives other numbers, by backend.
    keras_differs: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in {**self.arguments, **self.call}.items())
        return f"{self.layer}({said})"

    def without_what_matters(self) -> Case:
        """The same with the default of the argument that matters."""
        arguments = {k: v for k, v in self.arguments.items() if k != self.matters}
        call = {k: v for k, v in self.call.items() if k != self.matters}
        return Case(self.layer, arguments, self.matters, self.shape, call, self.pooling)

    def input_shape(self) -> tuple[int, ...]:
        """The shape of what the layer is called on."""
        if self.pooling is None:
            return self.shape
        return tuple(downup.keras.MaxPooling2D(**self.pooling).compute_output_shape(self.shape))

    def random(self, what: str, shape: Sequence[int]) -> np.ndarray:
        """Numbers that depend on the name of the layer and on what they are for, and on nothing else."""
        rng = np.random.default_rng(zlib.crc32(f"{self.layer} {what}".encode()))
        return rng.normal(size=tuple(shape)).astype(np.float32)

    def has_plain(self) -> bool:
        """Whether Keras itself has this layer with these arguments."""
        plain = getattr(keras.layers, self.layer, None)
        if plain is None or keras.backend.backend() in self.keras_differs:
            return False
        return self.layer == "Conv2D" or "groups" not in self.arguments


def turned(x: np.ndarray, data_format: str) -> np.ndarray:
    """Channels-last to `data_format`."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if data_format == FIRST and x.ndim == 4 else x


def turned_back(x: np.ndarray, data_format: str) -> np.ndarray:
    """The inverse of `turned`."""
    return np.moveaxis(x, 1, -1) if data_format == FIRST and x.ndim == 4 else x


def make(case: Case, data_format: str, is_plain: bool = False) -> Any:
    """The layer, downup's or Keras's own."""
    if not is_plain:
        return getattr(downup.keras, case.layer)(**case.arguments, data_format=data_format)
    arguments = {name: value for name, value in case.arguments.items() if name != "cubic_rule"}
    return getattr(keras.layers, case.layer)(**arguments, data_format=data_format)


def run(case: Case, data_format: str = LAST, is_plain: bool = False) -> Arrays:
    """Outputs, and the gradients of a weighted sum of them for the images and the weights; all channels-last."""
    layer = make(case, data_format, is_plain)
    images = turned(case.random("image", case.shape), data_format)
    fixed: list[Any] = []
    if case.pooling is not None:
        pool = downup.keras.MaxPoolingWithArgmax2D(**case.pooling, data_format=data_format)
        pooled, positions = pool(images)
        images, fixed = keras.ops.convert_to_numpy(pooled), [keras.ops.convert_to_numpy(positions)]
    shapes = [images.shape, fixed[0].shape] if fixed else images.shape
    layer.build(shapes)
    layer.set_weights([case.random(f"weight {i}", w.shape) for i, w in enumerate(layer.weights)])
    backend = keras.backend.backend()
    gradients = _torch_gradients if backend == "torch" else _jax_gradients
    outputs, image_gradient, weight_gradients = gradients(case, layer, images, fixed)
    arrays = {f"output {i}": turned_back(x, data_format) for i, x in enumerate(outputs)}
    if image_gradient is not None:
        arrays["gradient of the image"] = turned_back(image_gradient, data_format)
    arrays |= {f"gradient of weight {i}": x for i, x in enumerate(weight_gradients)}
    return arrays


def _upstream(case: Case, layer: Any, shape: Sequence[int]) -> np.ndarray:
    """What each output counts in the sum: the same in both data formats."""
    is_first = layer.data_format == FIRST
    last = (shape[0], shape[2], shape[3], shape[1]) if is_first else shape
    return turned(case.random("upstream", last), layer.data_format)


def _torch_gradients(case: Case, layer: Any, images: np.ndarray, fixed: list[Any]) -> Any:
    import torch

    x = torch.tensor(images, requires_grad=True)
    inputs = [x, *map(torch.tensor, fixed)] if fixed else x
    outputs = layer(inputs, **case.call)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    upstream = torch.tensor(_upstream(case, layer, tuple(outputs[0].shape)))
    total = (outputs[0] * upstream).sum() + sum(layer.losses)
    total.backward()
    weights = [w.value.grad.numpy() for w in layer.trainable_weights]
    return [o.detach().numpy() for o in outputs], x.grad.numpy(), weights


def _jax_gradients(case: Case, layer: Any, images: np.ndarray, fixed: list[Any]) -> Any:
    import jax

    # The outermost layer's own regularizer of activity is not asked, so that a model stands around it.
    outermost = layer if fixed else keras.Sequential([keras.Input(batch_shape=images.shape), layer])

    def total(x: Any, trainable: Any) -> Any:
        inputs = [x, *fixed] if fixed else x
        outputs, _, losses = outermost.stateless_call(trainable, [], inputs, return_losses=True, **case.call)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        upstream = _upstream(case, layer, outputs[0].shape)
        return (outputs[0] * upstream).sum() + sum(losses), outputs

    trainable = [v.value for v in layer.trainable_variables]
    step = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))
    (_, outputs), (image_gradient, weights) = step(images, trainable)
    return [np.asarray(o) for o in outputs], np.asarray(image_gradient), [np.asarray(w) for w in weights]


def hard_image() -> np.ndarray:
    """Equal samples, NaN and infinities."""
    rng = np.random.default_rng(9)
    image = rng.integers(0, 3, size=(2, 9, 10, 3)).astype(np.float32)
    image[0, 2, 3], image[0, 3, 4], image[0, 7, :5], image[1, :4, :4] = np.nan, np.nan, np.inf, -np.inf
    return image


def hard_choices() -> Arrays:
    """What the pool takes from them."""
    arrays, image = {}, hard_image()
    for name, size, stride, padding in (("apart", 2, 2, "valid"), ("overlapping", 3, 2, "same")):
        layer = downup.keras.MaxPoolingWithArgmax2D(size, stride, padding)
        for part, array in zip(("pooled", "positions"), layer(image), strict=True):
            arrays[f"{part} {name}"] = keras.ops.convert_to_numpy(array)
    return arrays
