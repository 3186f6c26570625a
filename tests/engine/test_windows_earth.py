"""The Earth at full size in windows, equal in every pixel to the whole at once."""

from __future__ import annotations

import numpy as np
import torch

from downup import engine
from downup.data import earth
from downup.networks import NetworkConfig, build, export_onnx
from downup.prediction import windows_of
from engine.windowed import in_windows
from networks.export.engines import enliven


def test_the_earth_in_windows_is_the_earth(is_long, tmp_path, tell):
    picture = earth.picture("grey")
    network = enliven(build(NetworkConfig(model="segnet", classes=4, width=0.1, in_channels=1)))
    export_onnx(network, torch.zeros(2, 1, 64, 64), tmp_path / "model.onnx")
    session = engine.Session(tmp_path / "model.onnx", threads=2)
    if not is_long:
        picture = picture[1000:1064, : 3 * session.stride + 2 * session.halo]
    x = ((picture.astype(np.float32) / 255 - 0.3) / 0.2).transpose(2, 0, 1)[None]
    whole = session.labels(x)
    assert len(np.unique(whole)) > 1
    counts = []
    for window in (512, 1024, 1500) if is_long else (session.stride,):
        parts = windows_of(session, *picture.shape[:2], window)
        np.testing.assert_array_equal(in_windows(session.labels, x, parts), whole)
        counts.append(len(parts))
    assert min(counts) > 1
    tell(
        f"Earth at {picture.shape[1]} x {picture.shape[0]}: equal to the whole in every pixel in {counts} windows"
    )
