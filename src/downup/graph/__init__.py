"""An ONNX network: read it, know its shapes, rewrite it, write it.

The graph is that of `onnx_ir`; what is here are functions on it.
"""

from downup.graph import shapes
from downup.graph.reading import prepare, read, refuse_unsupported, write

__all__ = ["prepare", "read", "refuse_unsupported", "shapes", "write"]
