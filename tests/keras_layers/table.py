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
RESAMPLE = (
    Case("AveragePooling2D", {"pool_size": (3, 2)}, "pool_size"),
    Case("AveragePooling2D", {"pool_size": 3, "strides": (1, 2)}, "strides"),
    Case("AveragePooling2D", {"pool_size": 3, "padding": "same"}, "padding"),
    Case("AveragePooling2D", {"pool_size": 4, "padding": "same"}, "padding", keras_differs=REPEATED_EDGE),
)

CASES = (*SELECT, *RESAMPLE)
