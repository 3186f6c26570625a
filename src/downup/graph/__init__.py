"""An ONNX network: read it, know its shapes, rewrite it, write it.

The graph is that of `onnx_ir`; what is here are functions on it.
"""

import downup.graph._onnx_ir  # noqa: F401  (before anything else imports onnx_ir)
from downup.graph import shapes
from downup.graph.cost import count_multiply_adds, node_multiply_adds
from downup.graph.facts import example_shapes
from downup.graph.field import Field, find_fields
from downup.graph.field_margin import Margin, Tiles, find_margins
from downup.graph.field_paths import Paths, find_paths
from downup.graph.field_summaries import Summary, find_levels
from downup.graph.reading import HAS_EXTERNAL, prepare, read, refuse_unsupported, write
from downup.graph.rewriting import Change, rewrite
from downup.graph.rules import RULES

__all__ = [
    "HAS_EXTERNAL",
    "RULES",
    "Change",
    "Field",
    "Margin",
    "Paths",
    "Summary",
    "Tiles",
    "count_multiply_adds",
    "example_shapes",
    "find_fields",
    "find_levels",
    "find_margins",
    "find_paths",
    "node_multiply_adds",
    "prepare",
    "read",
    "refuse_unsupported",
    "rewrite",
    "shapes",
    "write",
]
