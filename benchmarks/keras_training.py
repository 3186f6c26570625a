"""A training step of a U-Net of downup's Keras layers beside the same model of plain ones, on the torch backend's CPU.

    python benchmarks/keras_training.py [--size 256] [--batch 4] [--rounds 7]

The same weights, images and threads, channels-last, steps in turns. The time of the sampling layers (pooling and
up-sampling) is taken inside the step, forward and backward, from marks around each of them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch

import downup
import downup.keras

WIDTHS = (16, 32, 64, 128)
SAMPLING = ("MaxPooling2D", "UpSampling2D")


class Clock:
    """Seconds between marks, forward and backward together."""

    def __init__(self) -> None:
        self.seconds, self.began = 0.0, 0.0

    def start(self) -> None:
        """Begin to count."""
        self.began = time.perf_counter()

    def stop(self) -> None:
        """Count what went by."""
        self.seconds += time.perf_counter() - self.began


class Enter(torch.autograd.Function):
    """Before a layer, and after its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, clock: Clock) -> Any:
        """The same image."""
        ctx.clock = clock
        clock.start()
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        """The same gradient."""
        ctx.clock.stop()
        return grad, None


class Leave(torch.autograd.Function):
    """After a layer, and before its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, clock: Clock) -> Any:
        """The same image."""
        ctx.clock = clock
        clock.stop()
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        """The same gradient."""
        ctx.clock.start()
        return grad, None


def unet(package: Any, size: int, interpolation: str) -> Any:
    def block(x: Any, width: int) -> Any:
        for _ in range(2):
            x = package.Conv2D(width, 3, padding="same", activation="relu")(x)
        return x

    x = picture = keras.Input((size, size, 3))
    skips = []
    for width in WIDTHS[:-1]:
        x = block(x, width)
        skips.append(x)
        x = package.MaxPooling2D()(x)
    x = block(x, WIDTHS[-1])
    for width in reversed(WIDTHS[:-1]):
        x = package.UpSampling2D(interpolation=interpolation)(x)
        x = block(keras.layers.Concatenate()([x, skips.pop()]), width)
    return keras.Model(picture, package.Conv2D(4, 1)(x))


def marked(model: Any, clock: Clock) -> None:
    """Set the marks around the sampling layers."""
    for layer in model.layers:
        if type(layer).__name__ in SAMPLING:
            plain = layer.call

            def call(inputs: Any, plain: Any = plain) -> Any:
                return Leave.apply(plain(Enter.apply(inputs, clock)), clock)

            layer.call = call


def steps(model: Any, rounds: list[float], images: Any, labels: Any) -> None:
    start = time.perf_counter()
    model.train_on_batch(images, labels)
    rounds.append(time.perf_counter() - start)


def compare(arguments: argparse.Namespace, interpolation: str) -> str:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(arguments.batch, arguments.size, arguments.size, 3)).astype(np.float32)
    labels = rng.integers(0, 4, size=images.shape[:3])
    models, clocks = {}, {}
    for name, package in (("keras", keras.layers), ("downup", downup.keras)):
        model = unet(package, arguments.size, interpolation)
        if models:
            model.set_weights(models["keras"].get_weights())
        model.compile(
            keras.optimizers.SGD(1e-3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        models[name], clocks[name] = model, Clock()
        marked(model, clocks[name])
        model.train_on_batch(images, labels)
    whole: dict[str, list[float]] = {name: [] for name in models}
    sampling: dict[str, list[float]] = {name: [] for name in models}
    for i in range(arguments.rounds):
        for name in sorted(models, reverse=bool(i % 2)):
            clocks[name].seconds = 0.0
            steps(models[name], whole[name], images, labels)
            sampling[name].append(clocks[name].seconds)
    step = {name: statistics.median(times) for name, times in whole.items()}
    own = {name: statistics.median(times) for name, times in sampling.items()}
    share = own["keras"] / step["keras"]
    saved = 1 - own["downup"] / own["keras"]
    return (
        f"| {interpolation} | {step['keras'] * 1e3:.0f} | {own['keras'] * 1e3:.0f} | {share:.0%} | "
        f"{own['downup'] * 1e3:.0f} | {saved:.0%} | {step['downup'] * 1e3:.0f} | "
        f"{step['keras'] / step['downup']:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    downup.reuse_memory()
    print(
        f"{torch.get_num_threads()} threads, {arguments.batch} pictures of {arguments.size} x {arguments.size}"
    )
    print(
        "| up-sampling | Keras: step, ms | of it sampling, ms | share | downup: sampling, ms | saved | step, ms | faster |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for interpolation in ("nearest", "bilinear"):
        print(compare(arguments, interpolation), flush=True)


if __name__ == "__main__":
    main()
