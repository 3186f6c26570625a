"""What a network's file says of itself."""

from __future__ import annotations

import pytest

from downup.data import ClassInfo, NetworkMetadata
from downup.errors import DataError

ABOUT = NetworkMetadata(
    classes=(ClassInfo("land", (0, 158, 115)), ClassInfo("Wasser, süß", (0, 114, 178))),
    channels="rgb",
    mean=(0.485, 0.456, 1 / 3),
    deviation=(0.229, 0.224, 0.225),
    stride=32,
    halo=207,
    network={"model": "unet", "width": 0.125},
)


def test_what_is_written_is_read_again_beside_the_words_of_others() -> None:
    words = {**ABOUT.to_properties(), "author": "somebody else"}
    assert all(isinstance(value, str) for value in words.values())
    assert NetworkMetadata.from_properties(words, "model.onnx") == ABOUT


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", "[]"),
        ("classes", '[{"name": "land"}]'),
        ("classes", '[{"name": "land", "color": [0, 0, 256]}]'),
        ("classes", "land, water"),
        ("channels", "cmyk"),
        ("normalization", '{"mean": [0.5, 0.5, 0.5], "std": [1, 1, 0]}'),
        ("normalization", '{"mean": [0.5, 0.5, NaN], "std": [1, 1, 1]}'),
        ("normalization", '{"mean": [0.5], "std": [1]}'),
        ("stride", "0"),
        ("halo", "-1"),
        ("halo", "far"),
        ("network", "[]"),
        ("stride", None),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_file(key: str, value: str | None) -> None:
    words = ABOUT.to_properties()
    del words[f"downup.{key}"]
    if value is not None:
        words[f"downup.{key}"] = value
    with pytest.raises(DataError, match=r"model\.onnx: metadata.*export the network again"):
        NetworkMetadata.from_properties(words, "model.onnx")


@pytest.mark.parametrize("words", [{}, {"downup.metadata": "2"}])
def test_a_file_of_others_says_how_to_write_one(words: dict[str, str]) -> None:
    with pytest.raises(DataError, match="downup export RUN"):
        NetworkMetadata.from_properties(words, "model.onnx")
