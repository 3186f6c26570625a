"""Windows of random networks have, bit for bit, the scores and labels of the whole picture at once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir

from downup import engine, graph
from downup.errors import DataError
from engine.cuttable import Cuttable, picture
from engine.windowed import closest, even, in_windows

ORDINARY, LONG = 30, 2000
# A cubic whose last sample of a block lies on a sample, and the one before it reads further.
FOUND = (1133,)


def random_size(random, session):
    """A long side that is cut and a short one that may be; multiples of what the network takes."""
    stride, halo, multiple = session.stride, session.halo, session.multiple
    long = int(random.integers(stride + 2 * halo + 1, 3 * (stride + halo) + 2))
    short = int(random.integers(24, 70))
    long, short = (-(-side // multiple) * multiple for side in (long, short))
    return (long, short) if random.random() < 0.5 else (short, long)


def assert_equal_in_windows(seed):
    """Whether the network was accepted, in how many windows, and how its convolutions are done."""
    model = graph.prepare(ir.from_proto(Cuttable(seed).make()))
    session = engine.Session(model, threads=1 + seed % 2)
    random = np.random.default_rng(seed)
    try:
        x = picture(random, *random_size(random, session))
    except DataError:
        return None
    window = session.stride * int(random.integers(1, 3))
    other = engine.Session(model, threads=2 - seed % 2)
    scores, parts = other.run(x), closest(session.margins, x.shape[2:], window)
    found = in_windows(session.run, x, parts)
    np.testing.assert_array_equal(found.view(np.int32), scores.view(np.int32), err_msg=f"seed {seed}")
    labels = in_windows(session.labels, x, even(session, x.shape[2:], window))
    np.testing.assert_array_equal(labels, other.labels(x), err_msg=f"seed {seed}")
    return len(parts), {step.algorithm for step in session.steps(x)}


def test_windows_of_random_networks_have_the_bits_of_the_whole(is_long, tell):
    seeds = [*range(LONG if is_long else ORDINARY), *FOUND]
    accepted, windows, ways = 0, 0, Counter()
    for seed in seeds:
        found = assert_equal_in_windows(seed)
        if found is not None:
            accepted, windows = accepted + 1, windows + found[0]
            ways.update(found[1])
    tell(
        f"{len(seeds)} random networks, {accepted} accepted, equal to the whole in {windows} windows: {dict(ways)}"
    )
    assert accepted >= 0.8 * len(seeds)
    assert windows >= 2 * accepted
