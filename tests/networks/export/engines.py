"""Runs an ONNX file in the engines of others, and torch networks with weights that show every error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float32]


def run_onnxruntime(path: Path, pictures: Array) -> Array:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: pictures})
    return scores  # type: ignore[no-any-return]


def run_openvino(path: Path, pictures: Array) -> Array:
    core: Any = openvino.Core()
    # It would take bfloat16 where the chip has it.
    compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([pictures])[0]  # type: ignore[no-any-return]


def enliven(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give He's weights and random statistics of batch norm: stock ones hide errors behind the last bias."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network.eval()
