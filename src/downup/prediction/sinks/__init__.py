"""Writes labels where other programs read them, each file whole or not at all."""

from downup.prediction.sinks.formats import FORMATS, format_of, write_layer
from downup.prediction.sinks.layer import Layer, Rows
from downup.prediction.sinks.overlay import draw_overlay
from downup.prediction.sinks.whole import labels_path, overlay_path, write_labels, write_overlay

__all__ = [
    "FORMATS",
    "Layer",
    "Rows",
    "draw_overlay",
    "format_of",
    "labels_path",
    "overlay_path",
    "write_labels",
    "write_layer",
    "write_overlay",
]
