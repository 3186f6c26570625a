"""Random networks agree with ONNX Runtime, and err no more than it does."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.exact import relative_error, run_exactly
from engine.models import run_engine, run_peer
from engine.random_graphs import make_graph

# What float32 can do on so many layers, whoever computes.
FLOOR = 2e-6
ORDINARY, LONG = 60, 400


def check(seed):
    model, inputs, _ = make_graph(seed)
    theirs, ours = run_peer(model, inputs), run_engine(model, inputs, threads=1 + seed % 2)
    exact = run_exactly(model, inputs)
    for name, answer in exact.items():
        assert ours[name].shape == theirs[name].shape == answer.shape
        # Where rounding flipped the position of a pool, nothing can be compared but the other engine.
        error, limit = relative_error(ours[name], answer), relative_error(theirs[name], answer)
        assert error <= max(2 * limit, FLOOR), f"{name}: {error:.2e}, ONNX Runtime {limit:.2e}"
        assert relative_error(ours[name], theirs[name].astype(np.float64)) <= max(3 * limit, 2 * FLOOR)


@pytest.mark.parametrize("seed", range(ORDINARY))
def test_a_random_network_errs_at_most_twice_as_much_as_onnx_runtime(seed):
    check(seed)


def test_so_do_many_more(is_long):
    for seed in range(ORDINARY, LONG if is_long else ORDINARY + 1):
        check(seed)


def test_what_random_networks_must_hold_is_in_at_least_three_of_ten():
    counts = Counter(feature for seed in range(LONG) for feature in make_graph(seed)[2])
    for feature in ("skip", "concat", "unpool", "odd", "dilation"):
        assert counts[feature] >= 0.3 * LONG, (feature, counts)
