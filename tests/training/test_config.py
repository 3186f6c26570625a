import dataclasses
import json

import pytest

from downup.errors import ArgumentError
from downup.training.config import TrainConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch", 0),
        ("size", 0),
        ("steps_per_epoch", -1),
        ("threads", 0),
        ("seed", -1),
        ("patience", -1),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("width", -1.0),
        ("weight_decay", -0.1),
        ("dice", float("inf")),
        ("schedule", "cosine"),
        ("channels", "cmyk"),
        ("class_weights", "heavy"),
        ("augment", ("flip", "mirror")),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(ArgumentError, match=f"^{name} is "):
        TrainConfig(**{name: value})


def test_options_survive_json():
    config = TrainConfig(model="segnet", augment=("turn",), lr=0.1, size=64)

    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_option_is_refused():
    with pytest.raises(ArgumentError, match="unknown training option 'rate'"):
        TrainConfig.from_dict({"rate": 1})


def test_every_option_is_compared():
    other = {
        "model": "segnet", "encoder": "vgg16", "down": "max", "up": "nearest", "width": 0.5,
        "channels": "grey", "weights": "file", "epochs": 1, "steps_per_epoch": 2, "size": 3, "batch": 4,
        "lr": 5.0, "weight_decay": 6.0, "schedule": "one-cycle", "dice": 7.0, "class_weights": "balanced",
        "augment": (), "seed": 8, "patience": 9, "amp": True, "device": "cpu", "threads": 10,
    }  # fmt: skip
    names = [field.name for field in dataclasses.fields(TrainConfig)]

    assert [name for name, _, _ in TrainConfig(**other).differences(TrainConfig())] == names
