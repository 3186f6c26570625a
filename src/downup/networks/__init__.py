"""Networks for semantic segmentation: any encoder, any way down and any way up that go together.

The names and the configuration need no torch; the rest is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from downup.networks.config import (
    DOWNS,
    ENCODERS,
    MODELS,
    UPS,
    NetworkConfig,
    allowed_encoders,
    allowed_pairs,
)

if TYPE_CHECKING:
    from downup.networks.export import export_onnx
    from downup.networks.models import build
    from downup.networks.network import Network
    from downup.networks.session import TorchSession
    from downup.networks.weights import WeightReport, load_encoder_weights

__all__ = [
    "DOWNS",
    "ENCODERS",
    "MODELS",
    "UPS",
    "Network",
    "NetworkConfig",
    "TorchSession",
    "WeightReport",
    "allowed_encoders",
    "allowed_pairs",
    "build",
    "export_onnx",
    "load_encoder_weights",
]

# Where each name that needs torch is found.
_FILES = {
    "build": "models",
    "export_onnx": "export",
    "Network": "network",
    "TorchSession": "session",
    "WeightReport": "weights",
    "load_encoder_weights": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_FILES[name]}"), name)
    globals()[name] = value
    return value
