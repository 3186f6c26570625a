"""Runs ONNX networks on the CPU: a plan of kernel calls over one block of memory, made once for each size of picture."""

from downup.engine.session import Precision, Session, StepInfo

__all__ = ["Precision", "Session", "StepInfo"]
