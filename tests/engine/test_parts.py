"""Concatenations that only convolutions read are read part by part, and exist nowhere."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models import model_of, run_peer, session_of
from engine.random_graphs import Maker


def two_maps(channels, batch=2):
    """A network that begins with two maps of 9 x 13: (maker, input, their names)."""
    make = Maker(21)
    make.shapes["x"] = (batch, 3, 9, 13)
    maps = [make.activation(make.convolution("x", channels=count, kernel=(3, 3))) for count in channels]
    return make, np.random.default_rng(22).standard_normal((batch, 3, 9, 13)).astype(np.float32), maps


def check(make, x, outputs):
    """The steps of a network that gives what ONNX Runtime gives, run after run."""
    model = model_of(make.nodes, {"x": x}, outputs, make.weights)
    session = session_of(model, 2)
    for given in (x, -x):
        found, wanted = session.run({"x": given}), run_peer(model, {"x": given})
        found = found if isinstance(found, dict) else {outputs[0]: found}
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=2e-5)
    return session.steps(x)


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 2)])
def test_convolutions_read_the_parts_where_they_are(kernel):
    make, x, (first, last) = two_maps((32, 5))
    whole = make.concat([first, last, first])
    # 5 channels in the middle fill no vector, so the whole is made; in the other order it is not.
    assert [
        s
        for s in check(make, x, [make.convolution(whole, channels=8, kernel=kernel)])
        if s.operators == "Concat"
    ]
    make, x, (first, last) = two_maps((32, 5))
    whole = make.concat([first, first, last])
    steps = check(make, x, [make.convolution(whole, channels=n, kernel=kernel) for n in (8, 11)])
    assert not [step for step in steps if step.operators == "Concat"]
    for step in steps[-2:]:
        assert step.reads == ((2, 32, 9, 13), (2, 32, 9, 13), (2, 5, 9, 13))


def test_a_part_may_be_what_the_caller_gets():
    make, x, (first, last) = two_maps((16, 16))
    scores = make.convolution(make.concat([first, last]), channels=4, kernel=(3, 3))
    steps = check(make, x, [scores, last])
    assert not [step for step in steps if step.operators == "Concat"]


def test_others_find_the_concatenation_whole():
    make, x, (first, last) = two_maps((16, 16))
    whole = make.concat([first, last])
    scores = make.convolution(whole, channels=32, kernel=(3, 3))
    steps = check(make, x, [make.add("Add", [scores, whole], make.shapes[whole])])
    # Both parts were written in their places.
    assert steps[-1].reads == ((2, 32, 9, 13), (2, 32, 9, 13))
    assert not [step for step in steps if step.operators == "Concat"]


def test_a_skip_takes_no_more_memory_than_its_own_while_it_waits():
    make = Maker(23)
    make.shapes["x"] = (1, 3, 64, 64)
    skip = make.convolution("x", channels=16, kernel=(1, 1))
    deep = skip
    for channels in (64, 64, 16):
        deep = make.convolution(deep, channels=channels, kernel=(1, 1))
    scores = make.convolution(make.concat([skip, deep]), channels=4, kernel=(1, 1))
    x = np.zeros((1, 3, 64, 64), np.float32)
    session = session_of(model_of(make.nodes, {"x": x}, [scores], make.weights))
    plane = 4 * 64 * 64
    # The skip, and one convolution's input and output; the rest is scratch.
    assert (16 + 64 + 64) * plane <= session.memory(x) < (16 + 64 + 64 + 8) * plane
