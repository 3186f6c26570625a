"""Compute small constants: the arithmetic of shapes, and weights made from weights.

The standard's own reference implementation does the sums, so that they mean what the standard says.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import onnx_ir as ir

from downup.errors import DataError
from downup.graph.nodes import attribute, name_node, words
from downup.graph.shapes.pointwise import BROADCAST

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


def evaluate(node: ir.Node, inputs: Sequence[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """Return the outputs of a node for given inputs.

    Raises:
        DataError: the inputs make no sense for this operator.
    """
    if node.op_type == "Cast":  # the most frequent one by far, and the reference's is slow
        array = inputs[0]
        assert array is not None
        with np.errstate(invalid="ignore"):
            return [array.astype(ir.DataType(attribute(node, "to")).numpy())]
    made = _reference(node.op_type, opset)(
        ir.to_proto(node),
        {
            "log": lambda *_: None,
            "opsets": {"": opset},
            "verbose": 0,
            "new_ops": None,
            "existing_functions": {},
            "evaluator_cls": None,
        },
    )
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [np.asarray(array) for array in made.run(*inputs)]
    except Exception as error:  # whatever the reference makes of nonsense, it is the file's fault
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{name_node(node)}: cannot be computed from its constants: {reason}") from error
