"""Interpolation and the convolutions behind it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.nodes import add_constant, attribute, constant, operand, replace_value
from downup.graph.rules.concatenations import sum_over_parts
from downup.graph.rules.edit import add_like, insert, insert_like, made_by, only_reader, weight_and_bias


def state_scales(node: ir.Node, facts: Facts) -> bool:
    """Exporters compute the size of a doubled picture from its shape: a constant factor says the same, and can be seen."""
    scale = facts.scales.get(node.outputs[0].name or "")
    if (
        node.op_type != "Resize"
        or operand(node, 3) is None
        or scale is None
        or attribute(node, "axes") is not None
    ):
        return False
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    factors = np.array([1, 1, *scale], dtype=np.float32)
    scales = add_constant(graph, factors, f"{node.outputs[0].name}_scales")
    inputs = [node.inputs[0], None, scales]
    replace_value(node.outputs[0], insert_like(node, inputs, keep_aspect_ratio_policy=None))
    return True


def repeats_by(node: ir.Node) -> tuple[int, int] | None:
    """Return the whole factors by which a nearest resize repeats rows and columns: out[i] = in[i // factor]."""
    scales = constant(operand(node, 2)) if node.op_type == "Resize" else None
    if (
        scales is None
        or attribute(node, "mode", "nearest") != "nearest"
        or attribute(node, "axes") is not None
    ):
        return None
    if (
        scales.shape != (4,)
        or np.any(scales != np.round(scales))
        or np.any(scales[:2] != 1)
        or np.any(scales < 1)
    ):
        return None
    where = attribute(node, "coordinate_transformation_mode", "half_pixel")
    rounding = attribute(node, "nearest_mode", "round_prefer_floor")
    is_cut = where == "asymmetric" and rounding == "floor"
    # Output i lies at (i + 1/2) / factor - 1/2: never half way for an even factor, and on a sample for an odd one.
    is_rounded = where in (
        "half_pixel",
        "pytorch_half_pixel",
        "half_pixel_symmetric",
    ) and rounding.startswith("round")
    return (int(scales[2]), int(scales[3])) if is_cut or is_rounded else None


def nearest_convolution(node: ir.Node, facts: Facts) -> bool:
    """Nearest x2 and a 3x3 convolution read each sample four times; a 4x4 transposed convolution reads it once.

    Of nine products per output, four are left: the taps that fall on the same sample of the small picture are added.
    Where a concatenation stands between, the convolution is the sum of one over each part.
    """
    numbers = weight_and_bias(node) if node.op_type == "Conv" else None
    if numbers is None or numbers[0].shape[2:] != (3, 3) or not _keeps_size(node):
        return False
    weight, bias = numbers
    x, like = node.inputs[0], node.inputs[1]
    assert like is not None
    assert like.dtype is not None
    if np.abs(weight).max(initial=0) > np.finfo(like.dtype.numpy()).max / 4:
        return False  # sums of four taps would overflow
    if _is_doubled(x) and only_reader(x) is node:
        maker = x.producer() if x is not None else None
        assert maker is not None
        replace_value(
            node.outputs[0], _doubled(node, maker, weight, bias if operand(node, 2) is not None else None)
        )
        return True

    def double(part: ir.Value, weight: np.ndarray, bias: np.ndarray | None) -> ir.Value:
        maker = part.producer()
        assert maker is not None
        return _doubled(node, maker, weight, bias)

    return sum_over_parts(node, facts, _is_doubled, double)


def _keeps_size(node: ir.Node) -> bool:
    return (
        attribute(node, "auto_pad", "NOTSET") == "NOTSET"
        and attribute(node, "group", 1) == 1
        and tuple(attribute(node, "pads", ())) == (1, 1, 1, 1)
        and tuple(attribute(node, "strides", (1, 1))) == (1, 1)
        and tuple(attribute(node, "dilations", (1, 1))) == (1, 1)
    )


def _is_doubled(value: ir.Value | None) -> bool:
    maker = value.producer() if value is not None else None
    return maker is not None and repeats_by(maker) == (2, 2)


def _doubled(node: ir.Node, resize: ir.Node, weight: np.ndarray, bias: np.ndarray | None) -> ir.Value:
    """Nearest x2, then the 3x3 `weight`, as a transposed convolution of 4x4 with stride 2."""
    like = node.inputs[1]
    assert like is not None
    wide = _spread(_spread(weight, 2), 3)
    inputs = [resize.inputs[0], add_like(node, wide.swapaxes(0, 1), like, "weight")]
    if bias is not None:
        inputs.append(add_like(node, bias, like, "bias"))
    return insert(node, "ConvTranspose", inputs, {"strides": (2, 2), "pads": (1, 1, 1, 1)})


def _spread(weight: np.ndarray, axis: int) -> np.ndarray:
    """Three taps on repeated samples as four taps of the transpose: output o reads sample i with tap o - 2 i + 1."""
    first, middle, last = np.moveaxis(weight, axis, 0)
    return np.stack([last, middle + last, first + middle, first], axis)


def pointwise_before_resize(node: ir.Node, facts: Facts) -> bool:
    """A 1x1 convolution mixes channels, an interpolation samples: in either order, and before it there are fewer samples.

    The weights of an interpolation sum to one, so that the bias comes out the same. It pays where the picture grows and
    the convolution does not widen it.
    """
    numbers = weight_and_bias(node) if _is_pointwise(node) else None
    resize = made_by(node.inputs[0], "Resize") if numbers is not None else None
    if numbers is None or resize is None or not _goes_before(resize, numbers[0].shape[0], facts):
        return False
    resized = _resize_planes(node, resize, insert_like(node, [resize.inputs[0], *node.inputs[1:]]))
    replace_value(node.outputs[0], resized)
    return True


def pointwise_over_parts(node: ir.Node, facts: Facts) -> bool:
    """A 1x1 convolution over a concatenation is a sum over its parts: of enlarged ones, it can be taken before they grow.

    So it is in heads that join maps of several resolutions, and where a pooled summary is spread over a picture.
    """
    if not _is_pointwise(node) or attribute(node, "group", 1) != 1 or weight_and_bias(node) is None:
        return False
    weight = node.inputs[1]
    assert weight is not None
    out_channels = facts.shapes(weight)[0][0] if facts.shapes(weight) else 0

    def takes(part: ir.Value) -> bool:
        maker = made_by(part, "Resize")
        return maker is not None and out_channels > 0 and _goes_before(maker, out_channels, facts)

    def convolve(part: ir.Value, numbers: np.ndarray, bias: np.ndarray | None) -> ir.Value:
        inputs = [part, add_like(node, numbers, weight, "weight")]
        return insert_like(node, inputs if bias is None else [*inputs, add_like(node, bias, weight, "bias")])

    return sum_over_parts(node, facts, takes, convolve)


def _is_pointwise(node: ir.Node) -> bool:
    weight = constant(operand(node, 1)) if node.op_type == "Conv" else None
    return (
        weight is not None
        and all(length == 1 for length in weight.shape[2:])
        and all(side == 0 for side in attribute(node, "pads", ()))
        and all(step == 1 for step in attribute(node, "strides", ()))
        and attribute(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID")
    )


def _goes_before(resize: ir.Node, out_channels: int, facts: Facts) -> bool:
    """Whether a 1x1 convolution may go before an interpolation, and pays there."""
    is_usual = (
        attribute(resize, "axes") is None
        and attribute(resize, "keep_aspect_ratio_policy", "stretch") == "stretch"
    )
    scales = constant(operand(resize, 2))
    is_known = operand(resize, 3) is not None or (scales is not None and scales.shape == (4,))
    pairs = list(zip(facts.shapes(resize.inputs[0]), facts.shapes(resize.outputs[0]), strict=True))
    return (
        is_usual
        and is_known
        and bool(pairs)
        and _sums_to_one(resize)
        and all(
            len(small) == 4
            and small[:2] == large[:2]
            and small[2] * small[3] < large[2] * large[3]
            and out_channels <= small[1]
            for small, large in pairs
        )
    )


def _sums_to_one(resize: ir.Node) -> bool:
    """Whether every output is a weighted mean of inputs: all modes, but a crop that reaches beyond the edge."""
    return str(attribute(resize, "coordinate_transformation_mode", "half_pixel")) != "tf_crop_and_resize"


def _resize_planes(place: ir.Node, resize: ir.Node, x: ir.Value) -> ir.Value:
    """The same interpolation of a picture with another number of channels."""
    scales, sizes = operand(resize, 2), operand(resize, 3)
    if scales is not None:
        return insert(place, "Resize", [x, None, scales], dict(resize.attributes))
    # The wanted sizes name the channels too: keep rows and columns only.
    graph = place.graph
    assert isinstance(graph, ir.Graph)
    start = add_constant(graph, np.array([2]), f"{resize.outputs[0].name}_start")
    end = add_constant(graph, np.array([4]), f"{resize.outputs[0].name}_end")
    planes = insert(place, "Slice", [sizes, start, end])
    return insert(place, "Resize", [x, None, None, planes], {**resize.attributes, "axes": (2, 3)})
