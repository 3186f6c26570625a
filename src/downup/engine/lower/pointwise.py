"""Element by element: activations, operations of two arrays, batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from downup.engine.activation import ACTIVATIONS, IDENTITY, Activation, activation_of
from downup.engine.lower.context import Lowering, refuse
from downup.engine.lower.fusing import absorb
from downup.engine.steps import KernelStep
from downup.engine.values import Array, Value
from downup.kernels import ffi, lib

_OPERATIONS = {
    "Add": lib.DU_ADD,
    "Sub": lib.DU_SUBTRACT,
    "Mul": lib.DU_MULTIPLY,
    "Div": lib.DU_DIVIDE,
    "Min": lib.DU_MINIMUM,
    "Max": lib.DU_MAXIMUM,
    "Sum": lib.DU_ADD,
}
_ARRAY_OPERATIONS: dict[str, Any] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Min": np.minimum,
    "Max": np.maximum,
    "Sum": np.add,
}


def lower_activation(lowering: Lowering, node: ir.Node) -> None:
    """Relu and its kin, where no step before could take it along."""
    value = lowering.value(node.inputs[0])
    channels = value.shape[1] if value.rank == 4 else None
    activation = activation_of(node, channels)
    if value.is_float and activation is None and node.op_type == "PRelu":
        _lower_prelu(lowering, node, value)
        return
    if not value.is_float or activation is None:
        lower_rarely(lowering, node)
        return
    out = lowering.new(node.outputs[0], like=value)
    activate(lowering, value, out, activation, node.op_type)


def activate(lowering: Lowering, value: Value, out: Value, activation: Activation, operator: str) -> None:
    """Add the step of an activation; arrays of many axes are taken as one where both lie alike."""
    views = [value, out]
    if value.rank > 4:
        flat = [view.reshaped((view.size,)) for view in views]
        if None in flat:
            value = lowering.packed(value)
            flat = [view.reshaped((view.size,)) for view in (value, out)]
        views = [view for view in flat if view is not None]
    lowering.kernel(
        lib.du_activate,
        [*(view.padded() for view in views), activation.native],
        reads=[value],
        writes=[out],
        operator=operator,
        kept=activation,
        in_place=((value, out),),
    )


def _lower_prelu(lowering: Lowering, node: ir.Node, value: Value) -> None:
    """Slopes of another shape than one for each channel: max(x, 0) + slope min(x, 0)."""
    slopes = lowering.value(node.inputs[1])
    out = lowering.new(node.outputs[0], like=value)
    lowering.compute(
        node.op_type, lambda x, slope: np.where(x < 0, x * slope, x).astype(x.dtype), [value, slopes], [out]
    )


def lower_rarely(lowering: Lowering, node: ir.Node) -> None:
    """What no kernel does, by NumPy."""
    from downup.engine.lower.rare import lower_rare

    lower_rare(lowering, node)


def lower_operation(lowering: Lowering, node: ir.Node) -> None:
    """Add, Sub, Mul, Div, Min, Max, Sum: of two arrays, or one after the other."""
    values = [lowering.value(value) for value in node.inputs]
    is_float = all(value.is_float for value in values)
    out = node.outputs[0]
    if len(values) == 1:
        lowering.set(out, values[0])
        return
    shape = lowering.shape(out)
    if not is_float or len(shape) > 4:
        _operate_rarely(lowering, node, values)
        return
    result = values[0]
    for number, other in enumerate(values[1:], start=2):
        is_last = number == len(values)
        if is_last:
            activation, final, applied = absorb(lowering, out)
            like = next((v for v in (result, other) if v.shape == shape and v.constant is None), None)
            to = lowering.new(final, like=like)
        else:
            activation, applied = IDENTITY, ""
            broad = np.broadcast_shapes(result.shape, other.shape)
            to = lowering.temporary(
                f"{out.name} so far", broad, order=(0, 2, 3, 1) if len(broad) == 4 else None
            )
        combine(lowering, result, other, to, _OPERATIONS[node.op_type], activation, node.op_type + applied)
        result = to


def combine(
    lowering: Lowering,
    a: Value,
    b: Value,
    out: Value,
    operation: int,
    activation: Activation = IDENTITY,
    operator: str = "",
) -> None:
    """Add the step of an operation on two arrays of at most four axes."""
    lowering.kernel(
        lib.du_combine,
        [a.padded(), b.padded(), out.padded(), operation, activation.native],
        reads=[a, b],
        writes=[out],
        operator=operator,
        kept=activation,
        in_place=tuple((v, out) for v in (a, b) if v.shape == out.shape),
    )


def _operate_rarely(lowering: Lowering, node: ir.Node, values: list[Value]) -> None:
    operator = node.op_type

    def compute(*arrays: Array) -> Array:
        result = arrays[0]
        for other in arrays[1:]:
            if operator == "Div":
                # Whole numbers are divided towards zero.
                result = (
                    result / other
                    if result.dtype.kind == "f"
                    else np.trunc(result / other).astype(result.dtype)
                )
            else:
                result = _ARRAY_OPERATIONS[operator](result, other)
        return result

    lowering.compute(operator, compute, values, [lowering.new(node.outputs[0])])


def lower_power(lowering: Lowering, node: ir.Node) -> None:
    """Pow: squares and roots are products and roots; the others are rare."""
    value, exponent = lowering.value(node.inputs[0]), lowering.constant(node.inputs[1])
    is_plain = value.is_float and value.rank <= 4 and exponent is not None and exponent.size == 1
    is_plain = is_plain and lowering.shape(node.outputs[0]) == value.shape
    out = node.outputs[0]
    if is_plain and exponent is not None and exponent.item() == 2:
        combine(lowering, value, value, lowering.new(out, like=value), lib.DU_MULTIPLY, IDENTITY, "Pow")
    elif is_plain and exponent is not None and exponent.item() == 0.5:
        activate(lowering, value, lowering.new(out, like=value), Activation(lib.DU_SQRT), "Pow")
    else:
        lower_rarely(lowering, node)


def lower_batch_norm(lowering: Lowering, node: ir.Node) -> None:
    """A scale and a shift for each channel, where no convolution before could take them along."""
    value = lowering.value(node.inputs[0])
    arrays = [lowering.constant(given) for given in node.inputs[1:5]]
    if any(array is None for array in arrays) or not value.is_float or not 2 <= value.rank <= 4:
        raise refuse(node, "needs float32 pictures, and statistics that are weights")
    scale, bias, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    factor = scale / np.sqrt(variance + lowering.site(node).get("epsilon", 1e-5))
    shift = bias - mean * factor
    activation, out, applied = absorb(lowering, node.outputs[0])
    made = lowering.new(out, like=value)
    affine(lowering, value, made, factor, shift, activation, node.op_type + applied)


def affine(
    lowering: Lowering,
    value: Value,
    out: Value,
    scale: Array,
    shift: Array,
    activation: Activation,
    operator: str,
) -> None:
    """Add the step of a scale and a shift for each channel (axis 1)."""
    numbers = [np.ascontiguousarray(array, np.float32) for array in (scale, shift)]
    views = []
    for given in (value, out):
        missing = 4 - given.rank
        views.append(given.with_axes((*given.shape, *(1,) * missing), (*given.strides, *(0,) * missing)))
    lowering.steps.append(
        KernelStep(
            name=out.name,
            operator=operator,
            algorithm="kernel",
            reads=(value,),
            writes=(out,),
            function=lib.du_affine,
            arguments=[
                *views,
                *(ffi.cast("float *", array.ctypes.data) for array in numbers),
                activation.native,
            ],
            kept=(numbers, activation),
            in_place=((value, out),),
        )
    )


def lower_cast(lowering: Lowering, node: ir.Node) -> None:
    """Another element type."""
    value, dtype = lowering.value(node.inputs[0]), lowering.dtype(node.outputs[0])
    if value.dtype == dtype:
        lowering.set(node.outputs[0], value)
        return
    out = lowering.new(node.outputs[0], like=value)

    def cast(array: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return array.astype(dtype)

    lowering.compute(node.op_type, cast, [value], [out])


LOWERINGS: dict[str, Any] = {
    **dict.fromkeys(ACTIVATIONS, lower_activation),
    **dict.fromkeys(_OPERATIONS, lower_operation),
    "Pow": lower_power,
    "BatchNormalization": lower_batch_norm,
    "Cast": lower_cast,
    "CastLike": lower_cast,
}
