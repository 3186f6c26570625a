"""A training process is killed as by the power switch, goes on, and nobody can tell from its weights."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from downup.training import RunFolder

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from shapes import shapes_dataset
from downup.training import TrainConfig, TrainProgress, loop, train

# A checkpoint after every step: then a kill often meets one half written.
loop.CHECKPOINT_SECONDS, loop.CHECKPOINT_SHARE = 0.0, float("inf")

class Spoken(TrainProgress):
    def step_done(self, epoch, step, loss, rate):
        print(epoch, step, flush=True)

config = TrainConfig(
    width=0.125, size=32, batch=4, epochs=4, steps_per_epoch=4, dice=0.5, seed=5, threads=1, device="cpu",
    augment=("flip", "turn", "scale", "colour"),
)
train(shapes_dataset(), sys.argv[1], config, resume=True, progress=Spoken())
"""


def start(run):
    program = PROGRAM.format(tests=str(Path(__file__).parent.parent))
    return subprocess.Popen([sys.executable, "-c", program, run], stdout=subprocess.PIPE, text=True)


def test_killed_at_random_moments_it_ends_with_the_same_weights(tmp_path, is_long):
    undisturbed, killed = RunFolder(tmp_path / "undisturbed"), RunFolder(tmp_path / "killed")
    process = start(undisturbed.path)
    process.stdout.readline()
    first_step = time.monotonic()
    process.communicate()
    # Steps, checkpoints, validation and the report: all that happens after the first step.
    duration = time.monotonic() - first_step
    assert process.returncode == 0

    moments = []
    for _ in range(20 if is_long else 2):
        process = start(killed.path)
        where = process.stdout.readline().split()
        delay = random.uniform(0.0, duration / 3)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        said, _ = process.communicate()
        moments.append((where, delay, said.splitlines()[-1:], process.returncode))
        assert process.returncode in (0, -signal.SIGKILL), moments
    process = start(killed.path)
    process.communicate()
    assert process.returncode == 0, moments

    for name in ("last.safetensors", "best.safetensors"):
        one, other = load_file(undisturbed.path / name), load_file(killed.path / name)
        assert one.keys() == other.keys(), moments
        assert all(torch.equal(one[key], other[key]) for key in one), (name, moments)
    assert killed.metrics.read_text() == undisturbed.metrics.read_text()
    assert {path.name for path in killed.path.iterdir()} == {path.name for path in undisturbed.path.iterdir()}
    print(moments)
