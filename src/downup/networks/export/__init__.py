"""A network as an ONNX file that other engines run, un-pooling included."""

from downup.networks.export.check import Agreement, check_against_onnxruntime
from downup.networks.export.writer import Exported, export_onnx

__all__ = ["Agreement", "Exported", "check_against_onnxruntime", "export_onnx"]
