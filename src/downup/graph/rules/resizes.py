"""Interpolation and the convolutions behind it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from downup.graph.facts import Facts
from downup.graph.nodes import add_constant, attribute, constant, operand, replace_value
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
    concat = made_by(x, "Concat")
    if concat is None or not any(_is_doubled(part) and only_reader(part) is concat for part in concat.inputs):
        return False
    return _over_parts(node, concat, weight, facts)


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


def _over_parts(node: ir.Node, concat: ir.Node, weight: np.ndarray, facts: Facts) -> bool:
    """The convolution over a concatenation as a sum: doubled parts each on their own, the rest together."""
    if attribute(concat, "axis") not in (1, -3):
        return False
    channels = [facts.channels(part) for part in concat.inputs]
    if any(count is None for count in channels):
        return False
    ends = np.cumsum(np.array(channels, dtype=int))
    slices = [slice(int(end) - int(count or 0), int(end)) for end, count in zip(ends, channels, strict=True)]
    like = node.inputs[1]
    assert like is not None
    doubled: list[tuple[ir.Value | None, slice]] = []
    others: list[tuple[ir.Value | None, slice]] = []
    for part, place in zip(concat.inputs, slices, strict=True):
        (doubled if _is_doubled(part) and only_reader(part) is concat else others).append((part, place))
    terms = []
    for part, place in doubled:
        maker = part.producer() if part is not None else None
        assert maker is not None
        terms.append(_doubled(node, maker, weight[:, place], None))
    if others:
        rest = [part for part, _ in others]
        x = rest[0] if len(rest) == 1 else insert_like(concat, rest)
        taken = np.concatenate([weight[:, place] for _, place in others], axis=1)
        inputs = [x, add_like(node, taken, like, "weight"), *node.inputs[2:3]]
        terms.append(insert_like(node, inputs))
    else:
        bias = operand(node, 2)
        if bias is not None:
            maker = terms[0].producer()
            assert maker is not None
            terms[0] = insert_like(maker, [*maker.inputs[:2], bias])
    total = terms[0]
    for term in terms[1:]:
        total = insert(node, "Add", [total, term])
    replace_value(node.outputs[0], total)
    return True


def pointwise_before_resize(node: ir.Node, facts: Facts) -> bool:
    """A 1x1 convolution mixes channels, an interpolation samples: in either order, and before it there are fewer samples.

    The weights of an interpolation sum to one, so that the bias comes out the same. It pays where the picture grows and
    the convolution does not widen it.
    """
    numbers = weight_and_bias(node) if node.op_type == "Conv" else None
    resize = made_by(node.inputs[0], "Resize") if numbers is not None else None
    if numbers is None or resize is None or any(length != 1 for length in numbers[0].shape[2:]):
        return False
    weight = numbers[0]
    is_plain = (
        all(side == 0 for side in attribute(node, "pads", ()))
        and all(step == 1 for step in attribute(node, "strides", ()))
        and attribute(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID")
    )
    is_wider = weight.shape[0] > weight.shape[1] * attribute(node, "group", 1)
    is_usual = (
        attribute(resize, "axes") is None
        and attribute(resize, "keep_aspect_ratio_policy", "stretch") == "stretch"
    )
    if not is_plain or is_wider or not is_usual or not _sums_to_one(resize):
        return False
    before, after = facts.shapes(resize.inputs[0]), facts.shapes(resize.outputs[0])
    grows = bool(before) and all(
        len(small) == 4 and small[:2] == large[:2] and small[2] * small[3] < large[2] * large[3]
        for small, large in zip(before, after, strict=True)
    )
    if not grows:
        return False
    resized = _resize_planes(node, resize, insert_like(node, [resize.inputs[0], *node.inputs[1:]]))
    if resized is None:
        return False
    replace_value(node.outputs[0], resized)
    return True


def _sums_to_one(resize: ir.Node) -> bool:
    """Whether every output is a weighted mean of inputs: all modes, but a crop that reaches beyond the edge."""
    return str(attribute(resize, "coordinate_transformation_mode", "half_pixel")) != "tf_crop_and_resize"


def _resize_planes(place: ir.Node, resize: ir.Node, x: ir.Value) -> ir.Value | None:
    """The same interpolation of a picture with another number of channels."""
    scales, sizes = operand(resize, 2), operand(resize, 3)
    if scales is not None:
        numbers = constant(scales)
        if numbers is None or numbers.shape != (4,) or np.any(numbers[:2] != 1):
            return None
        return insert(place, "Resize", [x, None, scales], dict(resize.attributes))
    # The wanted sizes name the channels too: keep rows and columns only.
    graph = place.graph
    assert isinstance(graph, ir.Graph)
    start = add_constant(graph, np.array([2]), f"{resize.outputs[0].name}_start")
    end = add_constant(graph, np.array([4]), f"{resize.outputs[0].name}_end")
    planes = insert(place, "Slice", [sizes, start, end])
    return insert(place, "Resize", [x, None, None, planes], {**resize.attributes, "axes": (2, 3)})
