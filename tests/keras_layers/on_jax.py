"""Run the cases on the JAX backend, in a process of its own: python -m keras_layers.on_jax TARGET [--long]."""

from __future__ import annotations

import sys

import keras
import numpy as np

from keras_layers.cases import DATA_FORMATS, LAST, hard_choices, run
from keras_layers.table import CASES


def main() -> None:
    target, is_long = sys.argv[1], "--long" in sys.argv
    assert keras.backend.backend() == "jax"
    arrays: dict[str, np.ndarray] = {}
    for i, case in enumerate(CASES):
        # A quick run takes the data formats in turns.
        for data_format in DATA_FORMATS if is_long else (DATA_FORMATS[i % 2],):
            for key, value in run(case, data_format).items():
                arrays[f"{i}/{data_format}/{key}"] = value
        # Keras's own numbers on JAX are needed where those on torch are others.
        if case.has_plain() and (is_long or case.keras_differs):
            for key, value in run(case, LAST, is_plain=True).items():
                arrays[f"{i}/plain/{key}"] = value
    arrays |= {f"hard choices/{key}": value for key, value in hard_choices().items()}
    np.savez(target, **arrays)


if __name__ == "__main__":
    main()
