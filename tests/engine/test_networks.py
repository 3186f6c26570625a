"""downup's own networks, exported and run by the engine, against torch at sizes of all kinds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from downup import engine
from downup.networks import NetworkConfig, build, export_onnx
from engine.windowed import assert_equal_in_windows
from networks.export.engines import enliven

SIZES = ((2, 64, 96), (1, 33, 47), (1, 70, 50))


@pytest.mark.parametrize(
    "options",
    [
        {"model": "segnet"},
        {"model": "deconvnet", "encoder": "vgg16"},
        {"model": "fcn8s", "encoder": "resnet18", "up": "bilinear"},
        {"model": "unet", "encoder": "vgg16", "down": "blur", "up": "shuffle"},
        {"model": "unet", "encoder": "resnet50", "down": "avg", "up": "nearest", "in_channels": 1},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_a_network_gives_the_scores_of_torch(options, tmp_path):
    torch.manual_seed(3)
    network = enliven(build(NetworkConfig.from_dict({"classes": 5, "width": 0.01, **options})))
    channels, is_unpooling = options.get("in_channels", 3), options["model"] in ("segnet", "deconvnet")
    export_onnx(network, torch.zeros(2, channels, 64, 64), tmp_path / "model.onnx")
    session = engine.Session(tmp_path / "model.onnx", threads=2)
    for batch, rows, columns in SIZES:
        pictures = torch.randn(batch, channels, rows, columns)
        with torch.no_grad():
            wanted = network(pictures).numpy()
        scores = session.run(pictures.numpy())
        assert scores.shape == wanted.shape
        # Rounding can move a position, which changes few scores: with random weights many are nearly equal.
        assert (scores.argmax(1) == wanted.argmax(1)).mean() >= (0.99 if is_unpooling else 0.999)
        assert np.median(np.abs(scores - wanted)) <= 2e-6 * np.abs(wanted).max()
        np.testing.assert_array_equal(session.labels(pictures.numpy()), scores.argmax(1))
        steps = session.steps(pictures.numpy())
        assert {step.operators for step in steps if step.algorithm == "numpy"} <= {"Pad"}
        if is_unpooling:
            operators = [step.operators for step in steps]
            assert operators.count("MaxUnpool") == operators.count("MaxPool+taps") == 5
    assert_equal_in_windows(session)
