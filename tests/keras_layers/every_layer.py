"""A model with every layer; and, as a program, one loaded from a file in a process of its own:

python -m keras_layers.every_layer MODEL.keras IMAGES.npy ANSWERS.npy [EXPORTED.onnx]
"""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np

from downup import keras as layers

ROWS, COLUMNS = 20, 12


def build(data_format: str = "channels_last") -> Any:
    """[batch, 20, 12, 3] -> [batch, 20, 12, 2]; or with channels first."""

    def layer(name: str, *arguments: Any, **options: Any) -> Any:
        return getattr(layers, name)(*arguments, data_format=data_format, **options)

    shape = (ROWS, COLUMNS, 3) if data_format == "channels_last" else (3, ROWS, COLUMNS)
    picture = keras.Input(shape, name="picture")
    first = layer("Conv2D", 8, 3, padding="same", activation="relu")(picture)
    half, positions = layer("MaxPoolingWithArgmax2D", 3, 2, padding="same")(first)
    ways = [
        half,
        layer("UpSampling2D", interpolation="bilinear")(
            layer("AveragePooling2D", 3, 2, padding="same")(half)
        ),
        layer("UpSampling2D", interpolation="bicubic")(layer("BlurPooling2D")(half)),
        layer("UpSampling2D", interpolation="lanczos3")(layer("MaxPooling2D")(half)),
        layer("UpSampling2D", interpolation="bicubic", cubic_rule="tensorflow")(
            layer("Conv2D", 8, 2, strides=2)(half)
        ),
        layer("PixelShuffle2D")(layer("PixelUnshuffle2D")(half)),
        layer("Conv2DTranspose", 8, 3, strides=2, padding="same", groups=2)(layer("MaxPooling2D")(half)),
    ]
    back = layer("MaxUnpooling2D", 3, 2, padding="same")(
        [keras.layers.Add()(ways), positions], output_size=(ROWS, COLUMNS)
    )
    again = layer("UpSampling2D")(layer("MaxPooling2D")(back))
    return keras.Model(picture, layer("Conv2D", 2, 1)(keras.layers.Add()([again, first])))


def main() -> None:
    path, images, answers, *exported = sys.argv[1:]
    model = keras.models.load_model(path)
    np.save(answers, model.predict(np.load(images), batch_size=3, verbose=0))
    if exported:
        layers.export(model, exported[0])


if __name__ == "__main__":
    main()
