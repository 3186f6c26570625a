"""What torch's exporter needs around it: quiet, reasons in one line, and files without the exporter's own notes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir

from downup.errors import ArgumentError


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's notes about its exporter and about how networks keep weights, which nobody here can act on."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def first_error(error: BaseException) -> BaseException:
    """The error that began a chain of causes, or the first of downup's own in it."""
    while error.__cause__ is not None and not isinstance(error, ArgumentError):
        error = error.__cause__
    return error


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def forget_origin(model: ir.Model) -> None:
    """Take out what torch notes at each node: where in whose folders its code stands. So equal networks are equal files."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                value.metadata_props.clear()
    for value in model.graph.inputs:
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
