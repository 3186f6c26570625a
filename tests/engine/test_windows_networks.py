"""Every network of downup, cut into windows; a few of each kind are in test_networks.py."""

from __future__ import annotations

import pytest
import torch

from downup import engine
from downup.networks import MODELS, NetworkConfig, allowed_encoders, allowed_pairs, build, export_onnx
from engine.windowed import assert_equal_in_windows
from networks.export.engines import enliven

ALL = [
    (model, encoder, *pair)
    for model in MODELS
    for encoder in allowed_encoders(model)
    for pair in allowed_pairs(model, encoder)
]


# torch takes some seconds to export each of them.
@pytest.mark.timeout(7200)
def test_all_networks_of_downup_are_equal_in_windows(is_long, tmp_path, tell):
    names = ALL if is_long else ALL[:1]
    windows = 0
    for number, (model, encoder, down, up) in enumerate(names):
        torch.manual_seed(number)
        config = NetworkConfig(model=model, encoder=encoder, down=down, up=up, classes=4, width=0.1)
        export_onnx(enliven(build(config)), torch.zeros(2, 3, 64, 64), tmp_path / "model.onnx")
        session = engine.Session(tmp_path / "model.onnx", threads=2)
        assert session.multiple == 1
        windows += assert_equal_in_windows(session, number)
    tell(
        f"{len(names)} of {len(ALL)} networks of downup, all accepted, equal to the whole in {windows} windows"
    )
