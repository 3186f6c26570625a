"""Networks that ask for numbers of the whole picture: windows to which these are known have the bits of the whole."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir

from downup import engine, graph
from downup.errors import DataError
from engine.cuttable import picture
from engine.summarised import Summarised, settled
from engine.windowed import closest, even, in_windows

ORDINARY, LONG = 9, 1000
# A cubic that spreads one sample, by weights that do not round alike; windows too small for an edge to be reflected.
FOUND = (25, 41)


def assert_equal_in_windows(seed):
    """What was asked of the whole picture, in how many passes; None of a network that is refused."""
    model = graph.prepare(ir.from_proto(Summarised(seed).make()))
    session = engine.Session(model, threads=1 + seed % 2)
    random = np.random.default_rng(seed)
    if session.gathering is None:
        return None
    final = session.gathering.knowing({})
    try:
        stride, halo, multiple = final.stride, final.halo, final.multiple
    except DataError:
        return None
    long = int(random.integers(stride + 2 * halo + 1, 2 * (stride + halo) + 2))
    sides = [-(-side // multiple) * multiple for side in (long, int(random.integers(24, 70)))]
    x = picture(random, *(sides if random.random() < 0.5 else sides[::-1]))
    other = engine.Session(model, threads=2 - seed % 2)
    whole = other.run(x)
    known, windows = settled(session, x, lambda: int(random.integers(1, 4)))
    parts = closest(known.margins, x.shape[2:], stride * int(random.integers(1, 3)))
    found = in_windows(known.run, x, parts)
    np.testing.assert_array_equal(found.view(np.int32), whole.view(np.int32), err_msg=f"seed {seed}")
    labels = in_windows(known.labels, x, even(known, x.shape[2:], stride))
    np.testing.assert_array_equal(labels, other.labels(x), err_msg=f"seed {seed}")
    asked = Counter(item.node.op_type for level in session.reach.levels for item in level)
    return session.gathering.passes, windows + len(parts), asked


def test_windows_that_know_the_whole_have_its_bits(is_long, tell):
    found = [assert_equal_in_windows(seed) for seed in (*range(LONG if is_long else ORDINARY), *FOUND)]
    accepted = [item for item in found if item is not None]
    passes, windows = Counter(item[0] for item in accepted), sum(item[1] for item in accepted)
    asked = sum((item[2] for item in accepted), Counter())
    tell(
        f"{len(found)} random networks, {len(accepted)} asked for numbers of the whole picture and were equal to it in "
        f"{windows} windows; passes: {dict(passes)}; {dict(asked)}"
    )
    assert len(accepted) >= 0.5 * len(found)
    assert max(passes) > 1
