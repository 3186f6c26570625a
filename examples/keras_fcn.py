"""Down and up with Keras: edges, sizes, a fully convolutional network that learns the Earth, and its ONNX file.

python examples/keras_fcn.py [FOLDER]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import onnxruntime

import downup
from downup import keras as layers
from downup.data import earth

SIDE, STEPS, BATCH = 96, 120, 12


def heading(text: str) -> None:
    """Set off a part of the story."""
    print(f"\n{text}\n{'-' * len(text)}")


def find_edges(picture: np.ndarray) -> None:
    """Two filters set by hand: one answers where left and right differ, the other where above and below do."""
    heading("1. A convolution finds what its filter looks like")
    vertical = np.array([[1, 0, -1]] * 3, np.float32)
    conv = layers.Conv2D(2, 3, padding="same", use_bias=False)
    conv.build((None, *picture.shape))
    conv.set_weights([np.stack([vertical, vertical.T], -1)[:, :, None, :]])

    square = np.zeros((1, 7, 14, 1), np.float32)
    square[:, 2:5, 4:10] = 1
    answers = np.abs(keras.ops.convert_to_numpy(conv(square)))[0]
    print("a bright box     vertical edges   horizontal edges")
    for row in range(7):
        images = square[0, row, :, 0], answers[row, :, 0], answers[row, :, 1]
        print("   ".join("".join(" .:#"[min(int(v), 3)] for v in image) for image in images))
    coast = np.abs(keras.ops.convert_to_numpy(conv(picture[None])))
    print(
        f"on a coast: mean answer {coast[..., 0].mean():.3f} (vertical), {coast[..., 1].mean():.3f} (horizontal)"
    )


def show_sizes() -> None:
    """Each way down and up beside its equation."""
    heading("2. Every way down and up, and its size")
    n, c = 13, 8
    x = np.random.default_rng(0).normal(size=(1, n, n, c)).astype(np.float32)
    pooled, positions = layers.MaxPoolingWithArgmax2D()(x)
    unpooled = layers.MaxUnpooling2D()([pooled, positions], output_size=(13, 13))
    smooth = layers.UpSampling2D(interpolation="bilinear")(x)
    even = x[:, :12, :12]
    rows = (
        ("down", "Conv2D(8, 3, strides=2)", "floor((n - k) / s) + 1", (n - 3) // 2 + 1, layers.Conv2D(c, 3, 2)(x)),
        ("down", 'Conv2D(8, 3, strides=2, "same")', "ceil(n / s)", -(-n // 2), layers.Conv2D(c, 3, 2, "same")(x)),
        ("down", "MaxPooling2D(2)", "floor((n - k) / s) + 1", (n - 2) // 2 + 1, layers.MaxPooling2D()(x)),
        ("down", "AveragePooling2D(2)", "floor((n - k) / s) + 1", (n - 2) // 2 + 1, layers.AveragePooling2D()(x)),
        ("down", "BlurPooling2D()", "ceil(n / s)", -(-n // 2), layers.BlurPooling2D()(x)),
        ("down", "PixelUnshuffle2D(2), n = 12", "n / r", 12 // 2, layers.PixelUnshuffle2D()(even)),
        ("up", "UpSampling2D(2)", "n * s", n * 2, layers.UpSampling2D()(x)),
        ("up", 'UpSampling2D(2, "bilinear")', "n * s", n * 2, smooth),
        ("up", "MaxUnpooling2D(2) of n = 6", "s * (n - 1) + k", 2 * 5 + 2, unpooled),
        ("up", "Conv2DTranspose(8, 3, strides=2)", "s * (n - 1) + k", 2 * 12 + 3, layers.Conv2DTranspose(c, 3, 2)(x)),
        ("up", "PixelShuffle2D(2)", "n * r", n * 2, layers.PixelShuffle2D()(x)),
    )  # fmt: skip
    for way, call, equation, expected, image in rows:
        size = f"got {image.shape[1]} x {image.shape[2]}, {image.shape[3]} channels"
        print(f"{way:5} {call:34} {equation:23} = {expected:3}   {size}")
    print("(un-pooling was asked for 13: a pool of 2 brings 12 and 13 to the same 6)")


def build() -> keras.Model:
    """A fully convolutional network: three ways down, and three up."""
    picture = keras.Input((SIDE, SIDE, 3), name="picture")
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(picture)
    x, positions = layers.MaxPoolingWithArgmax2D(name="down_1_max")(x)
    x = first = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = layers.BlurPooling2D(name="down_2_blur")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(48, 3, strides=2, padding="same", activation="relu", name="down_3_strided")(x)
    x = layers.Conv2D(48, 3, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(32, 4, strides=2, padding="same", activation="relu", name="up_3_transposed")(x)
    x = layers.UpSampling2D(interpolation="bilinear", name="up_2_bilinear")(x)
    x = keras.layers.Concatenate()([x, first])
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = layers.MaxUnpooling2D(name="up_1_unpool")([x, positions])
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    return keras.Model(picture, layers.Conv2D(len(earth.CLASSES), 1, name="scores")(x), name="fcn")


# Each layer of the network that changes the size, and its equation.
EQUATIONS = {
    "down_1_max": "floor((n - 2) / 2) + 1",
    "down_2_blur": "ceil(n / 2)",
    "down_3_strided": "ceil(n / 2)",
    "up_3_transposed": "n * 2",
    "up_2_bilinear": "n * 2",
    "up_1_unpool": "2 * (n - 1) + 2",
}


def show_network(model: keras.Model) -> None:
    """The size of each map on the way down and up, beside the equation that foretells it."""
    for name, equation in EQUATIONS.items():
        layer = model.get_layer(name)
        # Of a pair, the map comes first and its positions second.
        (_, n, *_), (_, rows, columns, channels) = (
            (image[0] if isinstance(image, list | tuple) else image).shape
            for image in (layer.input, layer.output)
        )
        kind = type(layer).__name__
        print(f"{name:16} {kind:23} {equation:22} of n = {n:2}: got {rows} x {columns}, {channels} channels")


def tiles(part: str, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random squares of the Earth's tiles, and their labels."""
    samples = earth.dataset().splits[part]
    images, masks = [], []
    for i in rng.choice(len(samples), count):
        image, mask = samples[i].read_image("rgb"), samples[i].read_mask()
        y, x = (rng.integers(0, size - SIDE + 1) for size in mask.shape)
        images.append(image[y : y + SIDE, x : x + SIDE] / np.float32(255))
        masks.append(mask[y : y + SIDE, x : x + SIDE])
    return np.stack(images), np.stack(masks).astype(np.int32)


def main() -> None:
    """Tell the story."""
    started = time.perf_counter()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    downup.reuse_memory()
    rng = np.random.default_rng(0)
    find_edges(earth.picture("grey")[600:760, 2700:2900] / np.float32(255))
    show_sizes()

    heading("3. A fully convolutional network learns the Earth")
    model = build()
    show_network(model)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255))
    images, masks = tiles("train", STEPS * BATCH, rng)
    answers, truth = tiles("val", 36, rng)
    is_known = truth != 255

    def accuracy() -> float:
        labels = model.predict(answers, verbose=0).argmax(-1)
        return float((labels == truth)[is_known].mean())

    print(f"before: {accuracy():.1%} of the validation pixels right")
    for epoch in range(3):
        history = model.fit(images, masks, batch_size=BATCH, epochs=1, verbose=0)
        print(f"epoch {epoch + 1}: loss {history.history['loss'][0]:.3f}, {accuracy():.1%} right")

    heading("4. Saved, exported, run elsewhere")
    model.save(folder / "fcn.keras")
    again = keras.models.load_model(folder / "fcn.keras")
    scores = model.predict(answers, verbose=0)
    print("loaded from fcn.keras: same bits", np.array_equal(scores, again.predict(answers, verbose=0)))
    layers.export(model, folder / "fcn.onnx")
    session = onnxruntime.InferenceSession(folder / "fcn.onnx", providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"picture": answers})[0]
    is_same = np.abs(theirs - scores).max(-1) < 1e-4
    labels = (theirs.argmax(-1) == scores.argmax(-1)).mean()
    print(f"ONNX Runtime: scores equal to 1e-4 on {is_same.mean():.3%} of the pixels, labels on {labels:.3%}")
    if not is_same.all():
        print(
            "(elsewhere a rounding made another sample the largest of its window, so that it is put back beside)"
        )
    print(f"\nfiles in {folder}; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
