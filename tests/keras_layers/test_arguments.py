"""What the cases do not show: arguments that act on weights, hard choices, refusals, and Keras without torch."""

from __future__ import annotations

import doctest
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

from downup import keras as layers
from downup.errors import ArgumentError
from downup.kernels import Window, reference
from keras_layers.cases import DATA_FORMATS, Arrays, hard_choices, hard_image
from keras_layers.conftest import run_python

ROOT = Path(__file__).resolve().parents[2]
CONVOLUTIONS = pytest.mark.parametrize("name", ["Conv2D", "Conv2DTranspose"])


@CONVOLUTIONS
def test_weights_begin_as_their_initializers_say(name: str) -> None:
    layer = getattr(layers, name)(
        3, 2, kernel_initializer="ones", bias_initializer=keras.initializers.Constant(2.0)
    )
    layer.build((None, 5, 5, 4))
    kernel, bias = layer.get_weights()
    assert np.all(kernel == 1)
    assert np.all(bias == 2)
    assert kernel.shape == ((2, 2, 4, 3) if name == "Conv2D" else (2, 2, 3, 4))


@CONVOLUTIONS
def test_constraints_hold_after_a_step(name: str) -> None:
    constraints = {"kernel_constraint": "non_neg", "bias_constraint": keras.constraints.NonNeg()}
    options = {"kernel_initializer": "zeros"}
    for is_constrained in (True, False):
        layer = getattr(layers, name)(3, 2, **options, **(constraints if is_constrained else {}))
        model = keras.Sequential([keras.Input((4, 4, 2)), layer])
        model.compile("sgd", lambda truth, scores: keras.ops.sum(scores))  # which falls with the weights
        model.fit(np.ones((2, 4, 4, 2), np.float32), np.zeros(2), verbose=0)
        lowest = min(float(weight.min()) for weight in layer.get_weights())
        assert (lowest == 0) if is_constrained else (lowest < 0)


def test_the_kernel_of_groups_is_that_of_each_group() -> None:
    layer = layers.Conv2DTranspose(6, 3, groups=2)
    layer.build((None, 5, 5, 4))
    assert layer.kernel.shape == (3, 3, 3, 4)


def test_hard_choices_are_those_of_the_reference_on_both_backends(on_jax: Arrays) -> None:
    ours = hard_choices()
    for key, array in ours.items():
        np.testing.assert_array_equal(array, on_jax[f"hard choices/{key}"], err_msg=key)
    window = Window((2, 2), (2, 2))
    pooled, positions, _ = reference.max_pool2d(np.moveaxis(hard_image(), -1, 1), window, (4, 5))
    np.testing.assert_array_equal(np.moveaxis(ours["pooled apart"], -1, 1), pooled)
    np.testing.assert_array_equal(np.moveaxis(ours["positions apart"], -1, 1), positions)


def test_lanczos_and_the_other_cubic_rule_are_those_of_scale_and_translate() -> None:
    """Keras has them on torch too, in a function that its layer does not use."""
    image = np.random.default_rng(2).normal(size=(1, 9, 8, 2)).astype(np.float32)
    for interpolation, rule in (("lanczos3", None), ("lanczos5", None), ("bicubic", "tensorflow")):
        theirs = keras.ops.image.scale_and_translate(
            image, (1, 27, 16, 2), np.array([3.0, 2.0]), np.zeros(2), (1, 2), interpolation, antialias=False
        )
        ours = layers.UpSampling2D((3, 2), interpolation=interpolation, cubic_rule=rule)(image)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
def test_images_are_handed_over_as_views(data_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer copies an image into another order before or after it computes."""
    copies: list[Any] = []
    contiguous = torch.Tensor.contiguous

    def counted(self: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        result = contiguous(self, *arguments, **options)
        if result.data_ptr() != self.data_ptr():
            copies.append(tuple(self.shape))
        return result

    monkeypatch.setattr(torch.Tensor, "contiguous", counted)
    x = torch.rand(2, 8, 12, 16, requires_grad=True)
    x = x if data_format == "channels_last" else torch.rand(2, 16, 8, 12, requires_grad=True)
    for name in (
        "MaxPooling2D",
        "AveragePooling2D",
        "BlurPooling2D",
        "UpSampling2D",
        "PixelShuffle2D",
        "PixelUnshuffle2D",
    ):
        out = getattr(layers, name)(data_format=data_format)(x)
        assert out.is_contiguous(), name
        out.backward(torch.ones_like(out))
    pooled, positions = layers.MaxPoolingWithArgmax2D(data_format=data_format)(x)
    assert layers.MaxUnpooling2D(data_format=data_format)([pooled, positions]).is_contiguous()
    assert not copies


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64"])
def test_other_types_go_through_every_layer(name: str) -> None:
    dtype = keras.mixed_precision.DTypePolicy("mixed_" + name) if name != "float64" else name
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 4)).astype(np.float32)
    for layer in (
        layers.Conv2D(4, 3, strides=2, dtype=dtype),
        layers.Conv2DTranspose(4, 3, strides=2, dtype=dtype),
        layers.MaxPooling2D(dtype=dtype),
        layers.AveragePooling2D(dtype=dtype),
        layers.BlurPooling2D(dtype=dtype),
        layers.UpSampling2D(interpolation="bilinear", dtype=dtype),
        layers.UpSampling2D(interpolation="lanczos3", dtype=dtype),
        layers.PixelShuffle2D(dtype=dtype),
        layers.PixelUnshuffle2D(dtype=dtype),
    ):
        assert keras.backend.standardize_dtype(layer(image).dtype) == name, layer.name
        assert all(
            weight.dtype == ("float64" if name == "float64" else "float32") for weight in layer.weights
        )
    pooled, positions = layers.MaxPoolingWithArgmax2D(dtype=dtype)(image)
    assert (
        keras.backend.standardize_dtype(layers.MaxUnpooling2D(dtype=dtype)([pooled, positions]).dtype) == name
    )


def test_wrong_arguments_are_refused_with_the_way_out() -> None:
    for call, words in (
        (lambda: layers.BlurPooling2D(taps=0), "taps is 0; use taps >= 1"),
        (lambda: layers.BlurPooling2D(taps=2000), "taps is 2000; use 1 to 1024"),
        (lambda: layers.BlurPooling2D(edge="wrap"), "edge is 'wrap'; use one of reflect, repeat, zero"),
        (lambda: layers.BlurPooling2D(data_format="nchw"), "data_format is 'nchw'; use \"channels_last\""),
        (lambda: layers.PixelShuffle2D(order="RCD"), "order is 'RCD'; use \"DCR\""),
        (lambda: layers.PixelShuffle2D(0), "block_size is 0; use block_size >= 1"),
        (lambda: layers.UpSampling2D(interpolation="area"), "interpolation is 'area'; use one of nearest"),
        (
            lambda: layers.UpSampling2D(cubic_rule="torch"),
            "cubic_rule is 'torch' with interpolation 'nearest'",
        ),
        (lambda: layers.MaxUnpooling2D(padding="full"), "padding is 'full'; use \"valid\""),
        (lambda: layers.Conv2DTranspose(4, 3, groups=3), "groups is 3; use a number that divides filters, 4"),
        (lambda: layers.Conv2DTranspose(4, 3, groups=2)(np.ones((1, 4, 4, 3))), "divides the 3 channels"),
    ):
        with pytest.raises(ArgumentError) as caught:
            call()
        assert words in str(caught.value)


def test_on_another_backend_the_layers_need_no_torch(tmp_path: Path) -> None:
    run_python(
        "jax",
        "-c",
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'torch': raise ImportError('there is no torch')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import numpy as np, downup.keras as layers\n"
        "x = np.ones((1, 4, 4, 4), 'float32')\n"
        "pooled, positions = layers.MaxPoolingWithArgmax2D()(x)\n"
        "assert layers.MaxUnpooling2D()([pooled, positions]).shape == x.shape\n"
        "assert layers.BlurPooling2D()(x).shape == layers.PixelUnshuffle2D()(x).shape[:3] + (4,)\n",
    )


def test_without_keras_the_way_out_is_told() -> None:
    program = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'keras' else find(name, *rest)\n"
        "import downup.keras"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingPackageError" in done.stderr
    assert "pip install 'downup[keras]'" in done.stderr


def test_the_guide_prints_what_it_says() -> None:
    outcome = doctest.testfile(str(ROOT / "docs" / "keras.md"), module_relative=False)
    assert outcome.attempted > 10
    assert outcome.failed == 0


def test_the_parts_of_the_example_that_are_quick_tell_their_story(capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "keras_fcn.py"), run_name="example")
    example["find_edges"](np.random.default_rng(0).random((8, 8, 1), np.float32))
    example["show_sizes"]()
    told = capsys.readouterr().out
    sizes = [line for line in told.splitlines() if line.startswith(("down", "up"))]
    assert len(sizes) == 11
    for line in sizes:
        expected = line.split("=")[-1].split()[0]
        assert f"got {expected} x" in line or "Unpooling" in line
    rng = np.random.default_rng(0)
    images, _ = example["tiles"]("val", 2, rng)
    assert example["build"]().predict(images, verbose=0).shape == (2, 96, 96, 4)
