"""Models of these layers: trained, saved, loaded by another process, exported to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from downup import keras as layers
from downup.errors import ArgumentError, DownupError
from keras_layers.conftest import run_python
from keras_layers.every_layer import COLUMNS, ROWS, build


def pictures(count: int, seed: int, data_format: str = "channels_last") -> np.ndarray:
    shape = (count, ROWS, COLUMNS, 3) if data_format == "channels_last" else (count, 3, ROWS, COLUMNS)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def trained() -> Any:
    keras.utils.set_random_seed(5)
    model = build()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = pictures(12, 0)
    targets = (inputs.mean(-1) > 0).astype(np.int32)
    losses = model.fit(inputs, targets, batch_size=4, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    return model


def in_process(backend: str, *arguments: Path) -> None:
    run_python(backend, "-m", "keras_layers.every_layer", *map(str, arguments))


def answers_of(path: Path, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of it; only standard operators may be in the file."""
    assert {entry.domain for entry in onnx.load(path).opset_import} == {""}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def test_the_model_has_every_layer(trained: Any) -> None:
    names = {type(layer).__name__ for layer in trained.layers}
    assert {name for name in layers.__all__ if name[0].isupper()} <= names


def test_a_fresh_process_answers_with_the_same_bits(trained: Any, tmp_path: Path) -> None:
    saved, images, answers = tmp_path / "model.keras", tmp_path / "images.npy", tmp_path / "answers.npy"
    trained.save(saved)
    np.save(images, pictures(3, 1))
    in_process("torch", saved, images, answers)
    assert np.load(answers).tobytes() == trained.predict(np.load(images), verbose=0).tobytes()


def test_the_other_backend_loads_it_answers_alike_and_exports_it(trained: Any, tmp_path: Path) -> None:
    saved, images, answers = tmp_path / "model.keras", tmp_path / "images.npy", tmp_path / "answers.npy"
    trained.save(saved)
    np.save(images, pictures(3, 2))
    in_process("jax", saved, images, answers, tmp_path / "model.onnx")
    ours = trained.predict(np.load(images), verbose=0)
    np.testing.assert_allclose(np.load(answers), ours, rtol=0, atol=1e-5 * np.abs(ours).max())
    np.testing.assert_allclose(answers_of(tmp_path / "model.onnx", np.load(images)), ours, rtol=0, atol=1e-4)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_onnx_runtime_gives_the_same_answers_for_any_batch(data_format: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(6)
    model = build(data_format)
    layers.export(model, tmp_path / "model.onnx")
    for count in (1, 2, 5):
        images = pictures(count, count, data_format)
        answers = answers_of(tmp_path / "model.onnx", images)
        np.testing.assert_allclose(answers, model.predict(images, verbose=0), rtol=0, atol=1e-4)


def test_a_model_of_open_size_is_exported_with_open_size(tmp_path: Path) -> None:
    picture = keras.Input((None, None, 3))
    pooled, positions = layers.MaxPoolingWithArgmax2D()(layers.Conv2D(4, 3, padding="same")(picture))
    smaller = layers.UpSampling2D()(layers.MaxPooling2D()(pooled))
    larger = layers.MaxUnpooling2D()([keras.layers.Add()([pooled, smaller]), positions])
    model = keras.Model(picture, layers.Conv2DTranspose(2, 2, strides=2)(larger))
    layers.export(model, tmp_path / "model.onnx")
    for shape in ((1, 8, 12, 3), (3, 32, 4, 3)):
        images = np.random.default_rng(3).normal(size=shape).astype(np.float32)
        answers = answers_of(tmp_path / "model.onnx", images)
        np.testing.assert_allclose(answers, model.predict(images, verbose=0), rtol=0, atol=1e-4)


def test_overlapping_windows_are_unpooled_alike_in_onnx_runtime(tmp_path: Path) -> None:
    picture = keras.Input((9, 7, 2))
    pooled, positions = layers.MaxPoolingWithArgmax2D(3, 1, padding="same")(picture)
    changed = layers.Conv2D(2, 3, padding="same")(pooled)  # so that samples of one position differ
    model = keras.Model(picture, layers.MaxUnpooling2D(3, 1, padding="same")([changed, positions]))
    layers.export(model, tmp_path / "model.onnx")
    images = np.random.default_rng(4).normal(size=(3, 9, 7, 2)).astype(np.float32)
    answers = answers_of(tmp_path / "model.onnx", images)
    np.testing.assert_allclose(answers, model.predict(images, verbose=0), rtol=0, atol=1e-4)


def test_several_inputs_and_outputs_keep_their_names_and_order(tmp_path: Path) -> None:
    one, two = keras.Input((4, 4, 2), name="one"), keras.Input((8, 8, 2), name="two")
    summed = keras.layers.Add(name="sum")([layers.UpSampling2D()(one), two])
    model = keras.Model([one, two], [summed, layers.MaxPooling2D(name="small")(two)])
    layers.export(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["one", "two"]
    assert [value.name for value in session.get_outputs()] == model.output_names
    images = {value.name: np.ones((2, *value.shape[1:]), np.float32) for value in session.get_inputs()}
    for ours, theirs in zip(
        model.predict(list(images.values()), verbose=0), session.run(None, images), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_what_cannot_be_exported_is_refused_with_the_way_out(tmp_path: Path) -> None:
    class Unknown(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(ArgumentError, match=r"does not know its inputs; build it from keras\.Input"):
        layers.export(Unknown(), tmp_path / "model.onnx")

    class Branching(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs if float(keras.ops.sum(inputs)) > 0 else -inputs

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    picture = keras.Input((4, 4, 1))
    with pytest.raises(DownupError, match="cannot be exported"):
        layers.export(keras.Model(picture, Branching()(picture)), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
