"""A network as an ONNX file that other engines run, un-pooling included."""

from downup.networks.export.writer import export_onnx

__all__ = ["export_onnx"]
