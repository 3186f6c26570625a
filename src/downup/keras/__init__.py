"""The operators as Keras 3 layers, under the names that Keras gives them, and with the ones that it lacks.

Where Keras has the layer, it is subclassed: weights, serialization, mixed precision and sizes are Keras's own. On the torch
backend the layers run `downup.ops`, in both data formats without a transposing copy; on the others they compose `keras.ops`.
"""

from importlib.util import find_spec

from downup.errors import MissingPackageError

if find_spec("keras") is None:
    raise MissingPackageError(
        "downup.keras needs Keras 3, which is not installed; run: pip install 'downup[keras]'"
    )

from downup.keras._export import export
from downup.keras.convolve import Conv2D, Conv2DTranspose
from downup.keras.rearrange import PixelShuffle2D, PixelUnshuffle2D
from downup.keras.resample import AveragePooling2D, BlurPooling2D, UpSampling2D
from downup.keras.select import MaxPooling2D, MaxPoolingWithArgmax2D, MaxUnpooling2D

__all__ = [
    "AveragePooling2D",
    "BlurPooling2D",
    "Conv2D",
    "Conv2DTranspose",
    "MaxPooling2D",
    "MaxPoolingWithArgmax2D",
    "MaxUnpooling2D",
    "PixelShuffle2D",
    "PixelUnshuffle2D",
    "UpSampling2D",
    "export",
]
