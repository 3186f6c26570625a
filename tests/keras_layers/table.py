"""Every argument of every layer, once or more."""

from __future__ import annotations

from keras_layers.cases import Case

SELECT = (
    Case("MaxPooling2D", {"pool_size": (3, 2)}, "pool_size"),
    Case("MaxPooling2D", {"pool_size": 3, "strides": (1, 2)}, "strides"),
    Case("MaxPooling2D", {"pool_size": (2, 3), "padding": "same"}, "padding"),
    Case("MaxPooling2D", {"pool_size": (3, 2), "strides": (3, 4), "padding": "same"}, "strides"),
    Case("MaxPoolingWithArgmax2D", {"pool_size": (3, 2)}, "pool_size"),
    Case("MaxPoolingWithArgmax2D", {"pool_size": 3, "strides": (2, 1)}, "strides"),
    Case("MaxPoolingWithArgmax2D", {"pool_size": (2, 3), "padding": "same"}, "padding"),
    Case(
        "MaxUnpooling2D",
        {"pool_size": (3, 2)},
        "pool_size",
        pooling={"pool_size": (3, 2)},
        shape=(2, 9, 8, 4),
    ),
    Case("MaxUnpooling2D", {"strides": 3}, "strides", pooling={"strides": 3}, shape=(2, 8, 5, 4)),
    Case(
        "MaxUnpooling2D",
        {"padding": "same", "pool_size": 3, "strides": 2},
        "padding",
        pooling={"padding": "same", "pool_size": 3, "strides": 2},
        shape=(2, 8, 6, 4),
    ),
    Case("MaxUnpooling2D", {}, "output_size", pooling={}, call={"output_size": (7, 9)}),
    # Windows that overlap: several samples have one position.
    Case(
        "MaxUnpooling2D",
        {"pool_size": 3, "strides": 2, "padding": "same"},
        "output_size",
        pooling={"pool_size": 3, "strides": 2, "padding": "same"},
        call={"output_size": (7, 9)},
    ),
)

REPEATED_EDGE = {"torch": "repeats the edge where the padding is uneven, and counts it"}
NO_LANCZOS = {"torch": "has none"}
CUBIC_ON_JAX = {"jax": 'its rule is "tensorflow"'}
CUBIC_ON_TORCH = {"torch": 'its rule is "torch"'}
RESAMPLE = (
    Case("AveragePooling2D", {"pool_size": (3, 2)}, "pool_size"),
    Case("AveragePooling2D", {"pool_size": 3, "strides": (1, 2)}, "strides"),
    Case("AveragePooling2D", {"pool_size": 3, "padding": "same"}, "padding"),
    Case("AveragePooling2D", {"pool_size": 4, "padding": "same"}, "padding", keras_differs=REPEATED_EDGE),
    Case("UpSampling2D", {"size": (3, 2)}, "size"),
    Case("UpSampling2D", {"interpolation": "bilinear", "size": (2, 3)}, "interpolation"),
    Case(
        "UpSampling2D",
        {"interpolation": "lanczos3", "size": (3, 2)},
        "interpolation",
        keras_differs=NO_LANCZOS,
    ),
    Case("UpSampling2D", {"interpolation": "lanczos5"}, "interpolation", keras_differs=NO_LANCZOS),
    Case(
        "UpSampling2D",
        {"interpolation": "bicubic", "cubic_rule": "torch"},
        "interpolation",
        keras_differs=CUBIC_ON_JAX,
    ),
    Case(
        "UpSampling2D",
        {"interpolation": "bicubic", "cubic_rule": "tensorflow", "size": 3},
        "cubic_rule",
        keras_differs=CUBIC_ON_TORCH,
    ),
    Case("BlurPooling2D", {"taps": 4}, "taps"),
    Case("BlurPooling2D", {"strides": (3, 1)}, "strides"),
    Case("BlurPooling2D", {"taps": 5, "edge": "repeat"}, "edge"),
    Case("BlurPooling2D", {"edge": "zero"}, "edge"),
)

REARRANGE = (
    Case("PixelUnshuffle2D", {"block_size": 3}, "block_size", shape=(2, 6, 12, 2)),
    Case("PixelUnshuffle2D", {"order": "CRD"}, "order", shape=(2, 6, 4, 3)),
    Case("PixelShuffle2D", {"block_size": 3}, "block_size", shape=(2, 3, 2, 36)),
    Case("PixelShuffle2D", {"order": "CRD"}, "order", shape=(2, 3, 2, 12)),
)


def _convolutions(layer: str, rates: tuple[Case, ...]) -> tuple[Case, ...]:
    """The arguments that both have."""
    plain = {"filters": 6, "kernel_size": 3}
    return (
        Case(layer, {"filters": 4, "kernel_size": (2, 4)}, "kernel_size"),
        Case(layer, {"filters": 5, "kernel_size": 3}, "filters"),
        Case(layer, plain | {"strides": (2, 3)}, "strides"),
        Case(layer, plain | {"padding": "same"}, "padding"),
        Case(layer, plain | {"padding": "same", "strides": 2, "kernel_size": 4}, "strides"),
        Case(layer, plain | {"dilation_rate": 2}, "dilation_rate"),
        Case(layer, plain | {"dilation_rate": 3, "padding": "same", "kernel_size": 2}, "dilation_rate"),
        Case(layer, plain | {"groups": 2}, "groups"),
        Case(layer, plain | {"activation": "tanh"}, "activation"),
        Case(layer, plain | {"use_bias": False}, "use_bias"),
        Case(layer, plain | {"kernel_regularizer": "l2"}, "kernel_regularizer"),
        Case(layer, plain | {"bias_regularizer": "l1"}, "bias_regularizer"),
        Case(layer, plain | {"activity_regularizer": "l2"}, "activity_regularizer"),
        *rates,
    )


CONVOLVE = (
    *_convolutions("Conv2D", ()),
    *_convolutions(
        "Conv2DTranspose",
        tuple(
            Case(
                "Conv2DTranspose",
                {"filters": 4, "kernel_size": k, "strides": s, "padding": p, "output_padding": o},
                m,
            )
            for k, s, p, o, m in (
                ((3, 2), 2, "valid", 1, "output_padding"),
                ((4, 3), (3, 2), "same", (2, 0), "output_padding"),
                ((5, 3), 2, "same", None, "padding"),
                # Windows shorter than the stride leave gaps, which Keras fills to the last.
                ((1, 2), 3, "valid", None, "strides"),
                ((2, 1), 4, "same", None, "strides"),
                ((1, 2), 4, "same", 3, "output_padding"),
            )
        ),
    ),
)

CASES = (*SELECT, *RESAMPLE, *REARRANGE, *CONVOLVE)
