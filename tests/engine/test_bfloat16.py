"""Whole networks with products in bfloat16: near float64, the same in windows, and float32 where the processor has none."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import helper

from downup import engine, graph, kernels
from engine.exact import relative_error, run_exactly
from engine.models import model_of
from engine.windowed import closest, in_windows
from kernels.test_convolve_bfloat16 import HAS_PRODUCTS


def network():
    """Down by a strided window, 1x1 and 3x3 there, up by a transposed one, and scores."""
    random, weights, nodes, value = np.random.default_rng(0), {}, [], "x"
    for name, (out, inner, size, options) in {
        "wide": (24, 3, 3, {"pads": [1, 1, 1, 1]}),
        "down": (48, 24, 3, {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        "mixed": (80, 48, 1, {}),
        "seen": (48, 80, 3, {"pads": [1, 1, 1, 1]}),
        "up": (48, 40, 2, {"strides": [2, 2]}),
        "scores": (5, 40, 1, {}),
    }.items():
        fan = inner * size * size if name != "up" else 48
        weights[name] = (random.standard_normal((out, inner, size, size)) * (2 / fan) ** 0.5).astype(
            np.float32
        )
        operator = "ConvTranspose" if name == "up" else "Conv"
        nodes.append(helper.make_node(operator, [value, name], [f"{name} sums"], **options))
        nodes.append(helper.make_node("Relu", [f"{name} sums"], [f"{name} maps"]))
        value = f"{name} maps"
    x = random.standard_normal((1, 3, 44, 30)).astype(np.float32)
    return model_of(nodes[:-1], {"x": x}, ["scores sums"], weights), x


def session_of(model, precision, threads=1):
    return engine.Session(graph.prepare(ir.from_proto(model)), threads, precision=precision)


def test_products_round_as_bfloat16_does_and_all_else_as_float32():
    model, x = network()
    session = session_of(model, "bfloat16")
    algorithms = [step.algorithm for step in session.steps(x)]
    assert algorithms.count("direct_bfloat16") == (3 if HAS_PRODUCTS else 0)
    (answer,) = run_exactly(model, {"x": x}).values()
    lowest, highest = (5e-4, 5e-3) if HAS_PRODUCTS else (0, 2e-6)
    assert lowest <= relative_error(session.run(x), answer) < highest
    np.testing.assert_array_equal(session.run(x), session_of(model, "bfloat16", 2).run(x))


def test_windows_have_the_bits_of_the_whole():
    session = session_of(network()[0], "bfloat16")
    x = np.random.default_rng(1).standard_normal((1, 3, 64, 38)).astype(np.float32)
    found = in_windows(session.run, x, closest(session.margins, x.shape[2:], 2 * session.stride))
    np.testing.assert_array_equal(found.view(np.int32), session.run(x).view(np.int32))


def test_without_such_products_it_is_fast_bit_by_bit():
    before = kernels.active_isa()
    kernels.select_isa("plain")
    try:
        model, x = network()
        found, fast = (session_of(model, precision).run(x) for precision in ("bfloat16", "fast"))
    finally:
        kernels.select_isa(before)
    np.testing.assert_array_equal(found, fast)
