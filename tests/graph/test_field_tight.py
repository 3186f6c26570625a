"""The intervals are tight on random networks: what a raised row changes is what sees it by the intervals."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from downup import graph
from engine.cuttable import Cuttable
from graph.builders import run_onnx


class Rising(Cuttable):
    """Weights above zero and activations that rise: whatever is read, raises what reads it."""

    def normal(self, *shape):
        return self.weight(self.random.uniform(0.5, 1, shape) / max(1, np.prod(shape[1:])))

    def activation(self, x, channels):
        match int(self.random.integers(3)):
            case 0:
                return self.node("LeakyRelu", x, alpha=0.3)
            case 1:
                return self.node("PRelu", x, self.weight(self.random.uniform(0.1, 1, (channels, 1, 1))))
            case _:
                return self.node("Relu", x)

    def batch_norm(self, x, channels):
        return self.node("Mul", x, self.normal(channels, 1, 1))

    def filled(self, x):
        return x

    def node(self, operator, *inputs, **attributes):
        # A cubic weighs some samples below zero, which may cancel what a path beside it adds; and saturation hides.
        if attributes.get("mode") == "cubic":
            attributes["mode"] = "linear"
        if operator in ("Sigmoid", "Tanh", "HardSwish", "Softmax"):
            operator, attributes = "Relu", {}
        if operator == "LpPool":
            operator = "AveragePool"
        return super().node(operator, *inputs, **attributes)


COLUMNS = 16
# What is left of it after many averages is seen beside values of about one; and it wins every pool.
BRIGHT = 1e15


def seen(model, random, rows):
    """For each row of the output, the first and last row of the picture that change it when they are raised."""
    x = random.uniform(0.5, 1, (1, 3, rows, COLUMNS))
    batch = np.repeat(x, rows + 1, axis=0)
    for row in range(rows):
        batch[row, :, row] = BRIGHT
    (out,) = run_onnx(model, {"x": batch.astype(np.float32)})
    differs = (out[:-1] != out[-1]).any(axis=(1, 3))
    return {
        row: (int(np.flatnonzero(differs[:, row])[0]), int(np.flatnonzero(differs[:, row])[-1]))
        for row in range(rows)
    }


def compared(seed):
    """How many rows of a random network's output, far from the edges, see what their intervals name and no more."""
    model = Rising(seed).make()
    prepared = graph.prepare(ir.from_proto(model))
    paths, output = graph.find_paths(prepared), prepared.graph.outputs[0]
    assert not paths.refused
    ((field, _),) = graph.find_fields(prepared, paths).values()
    rows = 2 * (field.before + field.after + field.period)
    rows += -rows % paths.multiple
    depends = seen(model, np.random.default_rng(seed), rows)
    first = -(-field.before // field.period) * field.period
    is_unpooling = any(node.op_type == "MaxUnpool" for node in model.graph.node)
    for row in range(first, rows - field.after - field.period):
        low, high = paths.axes[0].needed(output, (row, row))[prepared.graph.inputs[0]]
        start, end = depends[row]
        # What is un-pooled may land elsewhere in its window, and the rest of it is zero.
        is_right = low <= start and end <= high if is_unpooling else (low, high) == (start, end)
        assert is_right, f"seed {seed}, row {row}"
    return max(0, rows - field.after - field.period - first), is_unpooling


def test_a_row_depends_on_the_rows_that_its_interval_names_and_on_no_more(is_long, tell):
    seeds = range(400 if is_long else 10)
    found = [compared(seed) for seed in seeds]
    assert min(rows for rows, _ in found) > 0
    tight = [rows for rows, is_unpooling in found if not is_unpooling]
    assert len(tight) >= len(found) / 3
    tell(
        f"{len(tight)} random networks without un-pooling, {sum(tight)} rows of outputs, each changed by the first and "
        f"last row of its interval; {len(found) - len(tight)} with un-pooling, by no row outside"
    )
