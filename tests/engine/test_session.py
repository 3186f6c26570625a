"""A network as the caller sees it: layouts, errors, threads, and the same bits whatever surrounds a pixel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from downup import engine, graph
from downup.errors import ArgumentError, DataError
from engine.exact import relative_error, run_exactly
from engine.models import model_of, run_peer, session_of
from engine.random_graphs import Maker, make_graph


def small_network():
    """A pyramid of one step that keeps the size: (model, input)."""
    make = Maker(5)
    make.shapes["x"] = (1, 3, 24, 40)
    skip = make.activation(make.convolution("x", channels=16, kernel=(3, 3)))
    low = make.add("MaxPool", [skip], (1, 16, 12, 20), kernel_shape=[2, 2], strides=[2, 2])
    low = make.activation(make.convolution(low, channels=16, kernel=(3, 3)))
    scales = make.numbers([1, 1, 2, 2], np.float32)
    rules = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    up = make.add("Resize", [low, "", scales], (1, 16, 24, 40), **rules)
    up = make.convolution(up, channels=16, kernel=(3, 3))
    scores = make.convolution(make.concat([skip, up]), channels=5, kernel=(1, 1))
    x = np.random.default_rng(6).standard_normal((1, 3, 24, 40)).astype(np.float32)
    return model_of(make.nodes, {"x": x}, [scores], make.weights), x


def test_both_layouts_hold_the_same_numbers():
    model, x = small_network()
    session = session_of(model)
    first = session.run(x)
    last = session.run(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), layout="nhwc")
    assert first.shape == (1, 5, 24, 40)
    assert last.shape == (1, 24, 40, 5)
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), last)


def test_upsampling_concatenation_and_activations_are_no_steps_of_their_own():
    model, x = small_network()
    steps = session_of(model).steps(x)
    assert [step.operators.split("+")[0] for step in steps] == ["Conv", "MaxPool", "Conv", "Resize", "Conv"]
    assert steps[3].operators == "Resize+Conv"
    assert sum(step.multiply_adds for step in steps) > 0


def test_results_stay_what_they_were_when_the_session_runs_again():
    model, x = small_network()
    session = session_of(model)
    first = session.run(x)
    kept = first.copy()
    session.run(-x)
    np.testing.assert_array_equal(first, kept)


def test_a_pixel_has_the_same_bits_in_any_picture_and_with_any_number_of_threads():
    model, _ = small_network()
    x = np.random.default_rng(7).standard_normal((1, 3, 70, 90)).astype(np.float32)
    one, two = session_of(model, 1), session_of(model, 2)
    whole = one.run(x)
    np.testing.assert_array_equal(whole, two.run(x))
    # The window begins at a multiple of the stride, and of the tiles of four that convolutions may work in at half the size;
    # and it sees all that the middle depends on.
    window = two.run(np.ascontiguousarray(x[:, :, 8:58, 24:84]))
    np.testing.assert_array_equal(window[:, :, 12:-12, 12:-12], whole[:, :, 20:46, 36:72])
    batch = one.run(np.concatenate([-x, x]))
    np.testing.assert_array_equal(batch[1:], whole)


def test_many_threads_share_a_session():
    model, inputs, _ = make_graph(3)
    session = session_of(model, 2)
    given = [{"x": inputs["x"] * np.float32(factor)} for factor in (1, -1, 2, 0.5)]
    alone = [session.run(x) for x in given]

    def work(number):
        for _ in range(5):
            found = session.run(given[number % 4])
            expected = alone[number % 4]
            pairs = (
                [(found, expected)]
                if isinstance(found, np.ndarray)
                else zip(found.values(), expected.values(), strict=True)
            )
            for a, b in pairs:
                np.testing.assert_array_equal(a, b)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))


def test_plans_of_many_sizes_are_kept_only_so_long():
    model, _ = small_network()
    session = session_of(model)
    generator = np.random.default_rng(8)
    for rows in range(4, 44, 2):
        x = generator.standard_normal((1, 3, rows, 12)).astype(np.float32)
        np.testing.assert_allclose(
            session.run(x), next(iter(run_peer(model, {"x": x}).values())), rtol=1e-3, atol=1e-4
        )
    assert len(session._plans) <= 12


def test_networks_are_rewritten_before_they_are_planned():
    make = Maker(18)
    x = np.random.default_rng(19).standard_normal((1, 3, 6, 10)).astype(np.float32)
    make.shapes["x"] = x.shape
    deep = make.convolution("x", channels=8, kernel=(3, 3))
    scales = make.numbers([1, 1, 4, 4], np.float32)
    up = make.add("Resize", [deep, "", scales], (1, 8, 24, 40), mode="linear")
    scores = make.norm(make.convolution(up, channels=4, kernel=(1, 1)))
    model = model_of(make.nodes, {"x": x}, [scores], make.weights)
    session = session_of(model)
    # The scores are made of the small map, with the norm in their weights, and the interpolation comes last.
    steps = session.steps(x)
    assert [step.operators for step in steps] == ["Conv", "Conv", "Resize"]
    assert steps[1].writes == ((1, 4, 6, 10),)
    np.testing.assert_allclose(session.run(x), run_peer(model, {"x": x})[scores], rtol=1e-4, atol=1e-5)


def test_the_exact_precision_multiplies_every_weight_with_its_sample():
    model, x = small_network()
    prepared = graph.prepare(ir.from_proto(model))
    fast, exact = (engine.Session(prepared, 1, precision=precision) for precision in ("fast", "exact"))
    assert {step.algorithm for step in fast.steps(x)} & {"winograd", "winograd_repeated"}
    assert {step.algorithm for step in exact.steps(x)} == {"direct", "max pool"}
    (answer,) = run_exactly(model, {"x": x}).values()
    assert relative_error(exact.run(x), answer) < 5e-7
    with pytest.raises(ArgumentError, match="precision is 'best'; use 'fast' or 'exact' or 'bfloat16'"):
        engine.Session(prepared, precision="best")


def test_wrong_inputs_are_named():
    model, x = small_network()
    session = session_of(model)
    for wrong, message in (
        (x.astype(np.float64), "input 'x' is of type float64; the network takes float32"),
        (x[0], r"input 'x' has shape \[3, 24, 40\]"),
        (x[:, :, :0], "must have at least one element"),
        ({"y": x}, r"x has the inputs \['y'\] but the network has \['x'\]"),
        ([1.0], "input 'x' is a list; give a NumPy array"),
    ):
        with pytest.raises(ArgumentError, match=message):
            session.run(wrong)
    with pytest.raises(ArgumentError, match="layout is 'chw'; use 'nchw' or 'nhwc'"):
        session.run(x, layout="chw")
    with pytest.raises(ArgumentError, match="threads is 0"):
        engine.Session(session._model, threads=0)


def test_all_nodes_that_are_not_run_are_named_at_once():
    nodes = [
        helper.make_node("Conv", ["x", "x"], ["a"], name="first"),
        helper.make_node("Conv", ["a", "x"], ["b"], name="second"),
    ]
    x = np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(DataError, match=r"Conv 'first': its weights .*; Conv 'second': its weights"):
        session_of(model_of(nodes, {"x": x}, ["b"])).run(x)


def test_a_convolution_over_an_upsampled_part_and_a_skip_takes_each_by_its_own():
    make = Maker(15)
    make.shapes["x"] = (2, 8, 9, 13)
    low = make.activation(make.convolution("x", channels=16, kernel=(1, 1)))
    scales = make.numbers([1, 1, 2, 2], np.float32)
    rules = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    up = make.add("Resize", [low, "", scales], (2, 16, 18, 26), **rules)
    shuffled = make.convolution("x", channels=12, kernel=(1, 1))
    skip = make.add("DepthToSpace", [shuffled], (2, 3, 18, 26), blocksize=2)
    for parts in ([up, skip], [skip, up]):
        branch = Maker(16)
        branch.nodes, branch.weights, branch.shapes = list(make.nodes), dict(make.weights), dict(make.shapes)
        out = branch.activation(branch.convolution(branch.concat(parts), channels=16, kernel=(3, 3)))
        x = np.random.default_rng(17).standard_normal((2, 8, 9, 13)).astype(np.float32)
        model = model_of(branch.nodes, {"x": x}, [out], branch.weights)
        session = session_of(model, 2)
        assert not [step for step in session.steps(x) if step.operators in ("Resize", "Concat")]
        (expected,) = run_peer(model, {"x": x}).values()
        np.testing.assert_allclose(session.run(x), expected, rtol=1e-4, atol=2e-5)


def test_padding_that_the_size_decides_is_found_anew_for_each_size():
    # "Same" at stride 2 pads an even side on one side and an odd one on both.
    make = Maker(8)
    weight = make.numbers(np.random.default_rng(9).standard_normal((4, 3, 3, 3)), np.float32)
    nodes = [helper.make_node("Conv", ["x", weight], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])]
    sizes = [(1, 3, 8, 8), (1, 3, 9, 9), (1, 3, 8, 9)]
    pictures = [
        np.random.default_rng(n).standard_normal(shape).astype(np.float32) for n, shape in enumerate(sizes)
    ]
    model = model_of(nodes, {"x": pictures[0]}, ["y"], make.weights)
    session = session_of(model)
    for picture in pictures:
        np.testing.assert_allclose(
            session.run(picture), run_peer(model, {"x": picture})["y"], rtol=1e-4, atol=1e-4
        )


def test_times_are_taken_in_the_memory_that_runs_use(monkeypatch):
    model, x = small_network()
    session = session_of(model)
    expected = session.run(x)
    monkeypatch.setattr("downup.engine.memory.new_block", None)
    assert len(session.times(x)) == len(session.steps(x))
    np.testing.assert_array_equal(session.run(x), expected)
