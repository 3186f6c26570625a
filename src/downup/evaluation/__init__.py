"""How good a prediction is: scores from label maps, pictures for people, and the report of a run; no
torch."""

from downup.evaluation.boundary import BoundaryCounts, boundary_counts
from downup.evaluation.metrics import Scores, confusion_matrix
from downup.evaluation.overlay import error_map, overlay, with_legend
from downup.evaluation.report import Example, write_report

__all__ = [
    "BoundaryCounts",
    "Example",
    "Scores",
    "boundary_counts",
    "confusion_matrix",
    "error_map",
    "overlay",
    "with_legend",
    "write_report",
]
