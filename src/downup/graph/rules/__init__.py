"""The rules that rewrite a network: each is one small function, with its reason in its docstring.

A rule looks at one node. Where it can, it puts something cheaper of the same value in its place, in standard operators,
and says so by returning True.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.rules import affine, identities, pools, resizes, unpoolings

__all__ = ["RULES", "Rule"]

Rule = Callable[[ir.Node, Facts], bool]

# By the names that `downup optimize` and the engine call them, in the order in which they are tried.
RULES: dict[str, Rule] = {
    "drop-identity": identities.drop_identity,
    "join-transposes": identities.join_transposes,
    "scatter-to-unpool": unpoolings.scatter_to_unpool,
    "state-scales": resizes.state_scales,
    "pad-into-convolution": affine.pad_into_convolution,
    "scale-after": affine.scale_after,
    "scale-before": affine.scale_before,
    "pointwise-before-resize": resizes.pointwise_before_resize,
    "pointwise-over-parts": resizes.pointwise_over_parts,
    "pool-before-activation": pools.pool_before_activation,
    "nearest-convolution": resizes.nearest_convolution,
}
