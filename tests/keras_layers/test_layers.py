"""Every argument of every layer: what it does, in both data formats, on both backends, and against Keras's own layer."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import downup.keras
from downup import geometry
from downup.errors import ArgumentError
from downup.keras._backend import POSITION_TYPE, plane_shape
from keras_layers.cases import DATA_FORMATS, FIRST, LAST, Arrays, Case, make, run, turned
from keras_layers.table import CASES

BY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def assert_same(ours: Arrays, theirs: Arrays, about: str) -> None:
    assert set(ours) == set(theirs)
    for key in ours:
        assert ours[key].shape == theirs[key].shape, f"{key} {about}"
        # Weights and inputs are of size 1: sums of them need no bound relative to their own size beyond that.
        scale = max(1.0, float(np.abs(theirs[key]).max()))
        np.testing.assert_allclose(
            ours[key], theirs[key], rtol=0, atol=1e-5 * scale, err_msg=f"{key} {about}"
        )


@BY_CASE
def test_the_argument_makes_a_difference(case: Case) -> None:
    with_it = run(case)
    try:
        without = run(case.without_what_matters())
    except (ArgumentError, TypeError):
        return  # nor does it go without
    assert any(is_other(array, without.get(key)) for key, array in with_it.items())


def is_other(one: np.ndarray, other: np.ndarray | None) -> bool:
    return other is None or one.shape != other.shape or np.abs(one - other).max() > 1e-3


@BY_CASE
def test_both_data_formats_give_the_same_numbers(case: Case) -> None:
    assert_same(run(case, FIRST), run(case, LAST), "channels-first and channels-last")


@BY_CASE
def test_numbers_and_gradients_are_those_of_the_plain_keras_layer(case: Case) -> None:
    if case.has_plain():
        for data_format in DATA_FORMATS:
            assert_same(run(case, data_format), run(case, data_format, is_plain=True), "ours and Keras's")


@BY_CASE
def test_the_other_backend_gives_the_same_numbers(case: Case, on_jax: Arrays) -> None:
    ours, i = run(case), CASES.index(case)
    found = 0
    for data_format in (*DATA_FORMATS, "plain"):
        prefix = f"{i}/{data_format}/"
        theirs = {k.removeprefix(prefix): v for k, v in on_jax.items() if k.startswith(prefix)}
        if theirs:
            assert_same(ours, theirs, f"torch and JAX, {data_format}")
            found += 1
    assert found


@BY_CASE
def test_sizes_and_types_are_foretold_and_are_those_of_the_geometry(case: Case) -> None:
    batch, rows, columns, channels = case.input_shape()
    for data_format in DATA_FORMATS:
        for size in ((rows, columns), (None, None)):
            layer = make(case, data_format)
            shape = (batch, *size, channels) if data_format == LAST else (batch, channels, *size)
            inputs = keras.Input(batch_shape=shape)
            if case.pooling is not None:
                inputs = [inputs, keras.Input(batch_shape=shape, dtype=POSITION_TYPE)]
            outputs = layer(inputs, **case.call)
            outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
            if None in size:
                assert len(outputs[0].shape) == 4
                continue
            arrays = [
                turned(array, data_format) for key, array in run(case, data_format).items() if "output" in key
            ]
            assert [tuple(o.shape) for o in outputs] == [array.shape for array in arrays]
            assert [o.dtype for o in outputs] == [str(array.dtype) for array in arrays]
            planes = plane_shape(outputs[0].shape, data_format)
            assert planes == geometry_of(case, (batch, channels, rows, columns))


def geometry_of(case: Case, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The size by downup.geometry's rules."""
    options = case.arguments | case.call
    padding = options.get("padding", "valid")
    if case.layer == "MaxUnpooling2D":
        size, step = options.get("pool_size", 2), options.get("strides") or options.get("pool_size", 2)
        plain = geometry.conv_transpose_shape(shape, shape[1], size, step, padding)
        return plain[:2] + options["output_size"] if "output_size" in options else plain
    if case.layer.startswith("Conv2D"):
        names = {"strides": "stride", "dilation_rate": "dilation", "padding": "padding"}
        known = {names[name]: value for name, value in options.items() if name in names}
        if case.layer == "Conv2D":
            return geometry.conv_shape(shape, options["filters"], options["kernel_size"], **known)
        known = {"padding": "valid"} | known
        known |= {"output_padding": options.get("output_padding"), "rule": "keras"}
        return geometry.conv_transpose_shape(shape, options["filters"], options["kernel_size"], **known)
    if case.layer.startswith("Pixel"):
        direction = "down" if case.layer == "PixelUnshuffle2D" else "up"
        return geometry.shuffle_shape(shape, options.get("block_size", 2), direction)
    if case.layer == "UpSampling2D":
        return geometry.upsample_shape(shape, scale_factor=options.get("size", 2))
    if case.layer == "BlurPooling2D":
        return geometry.pool_shape(shape, 1, options.get("strides", 2), "same")
    size = options.get("pool_size", 2)
    return geometry.pool_shape(shape, size, options.get("strides"), padding)


@BY_CASE
def test_the_arguments_survive_a_round_through_the_configuration(case: Case) -> None:
    layer = make(case, FIRST)
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == f"downup>{case.layer}"
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    assert set(case.arguments) <= set(layer.get_config())


def test_every_layer_has_cases() -> None:
    layers = {name for name in downup.keras.__all__ if name[0].isupper()}
    assert {case.layer for case in CASES} == layers
