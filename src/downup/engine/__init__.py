"""Runs ONNX networks on the CPU: a plan of kernel calls over one block of memory, made once for each size of picture."""

import downup.graph  # noqa: F401  (first: it knows how onnx_ir is imported)
from downup.engine.ceilings import Ceilings, measure_ceilings
from downup.engine.network import StepInfo
from downup.engine.session import Session
from downup.precision import Precision

__all__ = ["Ceilings", "Precision", "Session", "StepInfo", "measure_ceilings"]
