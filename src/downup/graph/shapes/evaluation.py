"""Compute small constants: the arithmetic of shapes, and weights made from weights.

The standard's own reference implementation does the sums, so that they mean what the standard says; NumPy those of sizes,
which nearly every network has.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.errors import DataError
from downup.graph.nodes import name_node, words
from downup.graph.shapes.pointwise import BROADCAST
from downup.graph.shapes.rearrange import slices_of
from downup.graph.shapes.site import Shape, Site

# Cheap whatever the sizes; no convolution, pool or resize, which the reference computes sample by sample.
EVALUABLE = frozenset(BROADCAST).union(
    words(
        "Abs Cast Ceil Clip Concat ConstantOfShape CumSum Exp Expand Flatten Floor Gather GatherElements GatherND "
        "Identity Log Neg Not Pad Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape Round "
        "ScatterElements ScatterND Sign Slice Split Sqrt Squeeze Tile Transpose Trilu Unsqueeze"
    )
)


@lru_cache(maxsize=256)
def _reference(operator: str, opset: int) -> type[Any]:
    # Loading all reference operators takes a tenth of a second: only when one is needed.
    from onnx.reference.ops import load_op

    return load_op("", operator, opset)  # type: ignore[no-any-return]


_ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}


def _by_numpy(site: Site, shape: Shape) -> np.ndarray | None:
    """What sizes are mostly computed with, where NumPy plainly does the same; None for the rest."""
    operator, x = site.node.op_type, site.value(0)
    if operator == "Cast":
        return x.astype(ir.DataType(site.need("to")).numpy())
    if operator in ("Reshape", "Squeeze", "Unsqueeze", "Flatten"):
        return x.reshape(shape)
    if operator == "Concat":
        return np.concatenate([site.value(index) for index in range(len(site.inputs))], site.need("axis"))
    if operator == "Gather":
        return np.take(x, site.value(1), site.get("axis", 0))
    if operator == "Slice":
        bounds = ((start, start + count * step, step) for start, count, step in slices_of(site))
        return x[tuple(slice(start, end if end >= 0 else None, step) for start, end, step in bounds)]
    if operator in _ARITHMETIC:
        return np.asarray(_ARITHMETIC[operator](x, site.value(1)))
    # Of whole numbers below zero, quotients and remainders differ from Python's.
    if operator in ("Div", "Mod") and x.dtype.kind in "iu" and np.all(x >= 0) and np.all(site.value(1) > 0):
        return np.asarray(x // site.value(1) if operator == "Div" else x % site.value(1))
    return None


def evaluate(site: Site, shapes: Sequence[Shape], opset: int) -> list[np.ndarray]:
    """Return the outputs of a node whose inputs are all known.

    Raises:
        DataError: the inputs make no sense for this operator.
    """
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _by_numpy(site, shapes[0])
            return _by_reference(site, opset) if found is None else [found]
    except Exception as error:  # whatever is made of nonsense, it is the file's fault
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{name_node(site.node)}: cannot be computed from its constants: {reason}") from error


def _by_reference(site: Site, opset: int) -> list[np.ndarray]:
    made = _reference(site.node.op_type, opset)(
        ir.to_proto(site.node),
        {
            "log": lambda *_: None,
            "opsets": {"": opset},
            "verbose": 0,
            "new_ops": None,
            "existing_functions": {},
            "evaluator_cls": None,
        },
    )
    return [
        np.asarray(array)
        for array in made.run(*(None if item is None else item.value for item in site.inputs))
    ]
