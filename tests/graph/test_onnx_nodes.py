"""The node tests of the ONNX standard, all opsets' spellings: shapes, types and constants are what they expect."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from downup import graph
from downup.errors import DataError
from downup.graph.normalise import RESPELLED
from downup.graph.shapes import RULES
from downup.graph.shapes.evaluation import EVALUABLE

with warnings.catch_warnings():
    # The cases are computed when their module is imported; those of other operators overflow on purpose.
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    CASES = {
        case.name: case
        for case in collect_testcases(None)
        if all(node.op_type in RULES or node.op_type in RESPELLED for node in case.model.graph.node)
        and all(
            isinstance(array, (np.ndarray, np.generic)) and array.dtype.kind not in "OSU"
            for given, _ in case.data_sets
            for array in given
        )
    }


def as_model(case, given, constants):
    """The case's graph, with some of its inputs as constants."""
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    for value, array in zip(case.model.graph.input, given, strict=True):
        if value.name in constants:
            proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
    return graph.prepare(ir.from_proto(proto))


def check(case, variable_count):
    """Shapes, types and constants are the expected ones, the first `variable_count` inputs not being constants."""
    for given, expected in case.data_sets:
        names = [value.name for value in case.model.graph.input]
        model = as_model(case, given, names[variable_count:])
        shapes = {name: array.shape for name, array in zip(names, given, strict=True)}
        known = graph.shapes.infer(model, shapes)
        for value, array in zip(model.graph.outputs, expected, strict=True):
            found = known[value.name]
            assert found.shape == array.shape
            assert found.dtype.numpy() == array.dtype
            assert found.value is not None or variable_count or not operators(case) <= EVALUABLE
            if found.value is not None:
                np.testing.assert_allclose(found.value, array, rtol=case.rtol, atol=case.atol)


def reads_sizes_only(case):
    """Whether all inputs decide about the size of the output."""
    return case.model.graph.node[0].op_type in ("ConstantOfShape", "Range")


def operators(case):
    return {node.op_type for node in case.model.graph.node}


# What no network for labelling pictures needs: a word of the message, and which cases it is said of.
REFUSED = (
    (
        "training",
        lambda case: "training" in case.name and operators(case) & {"Dropout", "BatchNormalization"},
    ),
    ("its mask is used", lambda case: "dropout" in case.name and "mask" in case.name),
    ("cuts out a region", lambda case: "tf_crop" in case.name),
    ("NaN", lambda case: case.name.startswith("test_mod_float_edge_cases_fmod_0")),
)


def check_or_refuse(case, variable_count):
    words = [word for word, applies in REFUSED if applies(case)]
    if words:
        with pytest.raises(DataError, match=words[0]):
            check(case, variable_count)
    else:
        check(case, variable_count)


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_types_are_those_of_the_standard(name):
    # These read nothing but sizes, and so nothing that may vary with the picture.
    is_all_constant = operators(CASES[name]) & {"ConstantOfShape", "Range"}
    check_or_refuse(CASES[name], 0 if is_all_constant else 1)


EVALUATED = [name for name, case in CASES.items() if operators(case) <= EVALUABLE]


@pytest.mark.parametrize("name", EVALUATED)
def test_constants_are_computed_as_the_standard_says(name):
    check_or_refuse(CASES[name], 0)


def test_every_operator_has_cases():
    tested = set().union(*map(operators, CASES.values()))
    # The standard has no case of its own for this one.
    assert {*RULES, *RESPELLED} - tested == {"GlobalLpPool"}
