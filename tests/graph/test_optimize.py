"""`downup optimize` says what it did, and fails in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from typer.testing import CliRunner

from downup.cli import app
from downup.graph import RULES
from graph.builders import Builder, run_onnx


def run(*arguments):
    return CliRunner().invoke(app, ["optimize", *map(str, arguments)])


def network(shape=("n", 3, "h", "w")):
    """Down by a pool, up by repetition, with a skip."""
    build = Builder()
    skip = build.node("Relu", build.batch_norm(build.conv("x", 3, 8), 8))
    low = build.node("MaxPool", skip, kernel_shape=[2, 2], strides=[2, 2])
    low = build.node("Relu", build.batch_norm(build.conv(low, 8, 16), 16))
    up = build.node("Resize", low, "", build.weight([1, 1, 2, 2]), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    build.conv(build.node("Concat", skip, up, axis=1), 24, 4)
    return build.model(shape=shape)


def test_it_says_what_it_did_and_what_that_saves(tmp_path):
    model = network()
    (tmp_path / "in.onnx").write_bytes(model.SerializeToString())
    result = run(tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--rows", 64, "--columns", 32)

    assert result.exit_code == 0, result.output
    assert "Nodes: 10 before, 8 after" in result.stdout
    # 3x3 of 3 to 8 at full size, 8 to 16 at half; then 24 to 4 at full size, of which 16 come from a quarter of it.
    at_both = 64 * 32 * 9 * 3 * 8 + 32 * 16 * 9 * 8 * 16
    before, after = at_both + 64 * 32 * 9 * 24 * 4, at_both + 64 * 32 * 9 * 8 * 4 + 32 * 16 * 16 * 16 * 4
    assert (
        f"1 x 3 x 64 x 32: {before:,} before, {after:,} after, {1 - after / before:.0%} saved"
        in result.stdout
    )
    x = np.random.default_rng(0).standard_normal((2, 3, 18, 20)).astype(np.float32)
    (ours,), (theirs,) = run_onnx(str(tmp_path / "out.onnx"), {"x": x}), run_onnx(model, {"x": x})
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    onnx.checker.check_model(str(tmp_path / "out.onnx"), full_check=True)


def test_one_rule_can_be_asked_for(tmp_path):
    (tmp_path / "in.onnx").write_bytes(network().SerializeToString())
    result = run(tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--rule", "scale-after")

    assert result.exit_code == 0, result.output
    assert "scale-after" in result.stdout
    assert "nearest-convolution" not in result.stdout


def test_a_picture_that_does_not_pass_is_said_to(tmp_path):
    (tmp_path / "in.onnx").write_bytes(network().SerializeToString())
    result = run(tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--rows", 33)

    assert result.exit_code == 0, result.output
    assert "Multiply-adds: not counted, a picture of 33 x 512 does not pass: Concat" in result.stdout


def test_failures_are_one_line(tmp_path):
    (tmp_path / "in.onnx").write_bytes(network().SerializeToString())
    (tmp_path / "bad.onnx").write_bytes(network().SerializeToString()[:-100])
    for arguments, word in (
        ((tmp_path / "bad.onnx", "-o", tmp_path / "out.onnx"), "bad.onnx: "),
        ((tmp_path / "none.onnx", "-o", tmp_path / "out.onnx"), "No such file"),
        ((tmp_path / "in.onnx", "-o", tmp_path / "no" / "out.onnx"), "No such file"),
        ((tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--rule", "magic"), "rules names magic"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert word in result.stderr
        assert not (tmp_path / "out.onnx").exists()


def test_the_guide_names_every_rule():
    guide = (Path(__file__).parents[2] / "docs" / "optimize.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| ")]
    named = {name.strip() for row in rows for name in row.split(",")}
    assert set(RULES) <= named
