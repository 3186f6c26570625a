"""Shapes of what works element by element, with broadcasting, and of normalisation and softmax."""

from __future__ import annotations

from downup.graph.nodes import words
from downup.graph.shapes.site import Rule, Shape, Site

UNARY = words(
    "Abs Ceil Celu Cos CumSum Elu Erf Exp Floor Gelu HardSigmoid HardSwish Hardmax Identity IsInf IsNaN LeakyRelu Log "
    "LogSoftmax LpNormalization LRN MeanVarianceNormalization Mish Neg Not Reciprocal Relu Round Selu Sigmoid Sign Sin "
    "Softmax Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu Cast CastLike"
)
"""One main input, one output of the same shape."""

BROADCAST = words(
    "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow Sub Sum Where Xor"
)
"""Any number of inputs that broadcast together."""


def _same(site: Site) -> list[Shape]:
    return [site.shape(0)]


def _broadcast(site: Site) -> list[Shape]:
    return [site.broadcast(*(site.shape(i) for i in range(len(site.inputs))))]


def _prelu(site: Site) -> list[Shape]:
    shape, slopes = site.shape(0), site.shape(1)
    if site.broadcast(shape, slopes) != shape:
        raise site.refuse(f"slopes of shape {list(slopes)} do not fit an input of {list(shape)}")
    return [shape]


def _clip(site: Site) -> list[Shape]:
    for index in (1, 2):
        if site.has(index) and site.known(index).size != 1:
            raise site.refuse(f"bound {index} has shape {list(site.shape(index))}; it must be one number")
    return [site.shape(0)]


def _softmax(site: Site) -> list[Shape]:
    shape = site.shape(0, least=1)
    site.axis(site.get("axis", -1), len(shape))
    return [shape]


def _per_channel(site: Site) -> list[Shape]:
    """Scale, bias and statistics: one number per channel."""
    shape = site.shape(0, least=2)
    for index in range(1, len(site.inputs)):
        if site.has(index) and site.shape(index) != (shape[1],):
            raise site.refuse(
                f"input {index} has shape {list(site.shape(index))}, but there are {shape[1]} channels"
            )
    groups = site.get("num_groups", 1)
    if groups < 1 or shape[1] % groups:
        raise site.refuse(f"num_groups is {groups}, but there are {shape[1]} channels")
    if site.get("training_mode", 0) or len(site.node.outputs) > 1:
        raise site.refuse("is in training mode; export the network for inference")
    return [shape]


def _layer(site: Site) -> list[Shape]:
    shape = site.shape(0, least=1)
    axis = site.axis(site.get("axis", -1), len(shape))
    for index in range(1, len(site.inputs)):
        if site.has(index) and site.broadcast(shape[axis:], site.shape(index)) != shape[axis:]:
            raise site.refuse(
                f"input {index} has shape {list(site.shape(index))} for samples {list(shape[axis:])}"
            )
    statistics = (*shape[:axis], *(1 for _ in shape[axis:]))
    return [shape, statistics, statistics]


RULES: dict[str, Rule] = {
    **dict.fromkeys(UNARY, _same),
    **dict.fromkeys(BROADCAST, _broadcast),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization", "GroupNormalization"), _per_channel),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _layer),
    "PRelu": _prelu,
    "Clip": _clip,
}
