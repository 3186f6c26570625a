"""The door to the native library: what it promises whatever the operator."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downup import geometry, kernels
from downup.errors import ArgumentError
from downup.kernels import Window

POOL = """
import numpy as np
from downup import kernels
x = np.random.default_rng(0).standard_normal((2, 32, 64, 64)).astype(np.float32)
out = np.empty((2, 32, 32, 32), np.float32)
window = kernels.Window((2, 2), (2, 2))
def pool():
    out[:] = np.nan
    views = [kernels.array_view(a) for a in (x, out)]
    kernels.check(kernels.lib.du_max_pool2d(*views, kernels.ffi.NULL, window.native, 2))
    assert np.array_equal(out, x.reshape(2, 32, 32, 2, 32, 2).max((3, 5)))
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("isa", kernels.available_isas())
def test_an_environment_variable_chooses_the_instruction_set(isa):
    done = run(POOL + "pool(); print(kernels.active_isa())", DOWNUP_ISA=isa)
    assert done.stdout.strip() == isa, done.stderr


def test_an_unknown_instruction_set_is_named_with_those_there_are():
    done = run("import downup.kernels", DOWNUP_ISA="mmx")
    assert "DOWNUP_ISA is 'mmx'; use one of" in done.stderr


def test_importing_starts_no_thread_and_a_call_does():
    code = (
        POOL
        + "import os; print(len(os.listdir('/proc/self/task')))\npool(); print(len(os.listdir('/proc/self/task')))"
    )
    before, after = map(int, run("import numpy, cffi\n" + code).stdout.split())
    alone = int(run("import numpy, cffi, os; print(len(os.listdir('/proc/self/task')))").stdout)
    assert before == alone
    assert after == alone + 1


def test_a_process_may_end_while_threads_are_awake_and_no_call_starts_more_than_a_thousand():
    code = """
import os
from downup import kernels
before = len(os.listdir("/proc/self/task"))
kernels.lib.du_multiply_adds(1, 65536)
print(len(os.listdir("/proc/self/task")) - before)
"""
    done = run(code)
    assert (done.returncode, done.stdout.split()) == (0, ["1023"]), done.stderr


@pytest.mark.parametrize(
    "torch", ["", "import torch\nfrom downup import ops\nops.max_pool2d(torch.ones(1, 64, 64, 64), 2)\n"]
)
def test_a_forked_child_computes_too(torch):
    code = (
        torch
        + POOL
        + """
import os, warnings
pool()
warnings.simplefilter("ignore")
child = os.fork()
pool()
if child == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    done = run(code)
    assert done.stdout.strip() == "7", done.stderr


@given(
    in_size=st.integers(1, 60),
    size=st.integers(1, 9),
    stride=st.integers(1, 6),
    before=st.integers(0, 9),
    after=st.integers(0, 9),
    dilation=st.integers(1, 4),
    ceil_mode=st.booleans(),
)
def test_the_size_rule_of_the_library_is_that_of_geometry(
    in_size, size, stride, before, after, dilation, ceil_mode
):
    window = Window((1, size), (1, stride), (0, before), (0, after), (1, dilation), ceil_mode)
    try:
        expected = geometry.window_out_size(in_size, size, stride, (before, after), dilation, ceil_mode)
    except ArgumentError:
        expected = -1
    assert kernels.lib.du_window_out_size(in_size, window.native, 1) == expected


def test_errors_are_the_librarys_own_sentences():
    x, out = np.zeros((1, 1, 4, 4), np.float32), np.zeros((1, 1, 2, 3), np.float32)
    window = Window((2, 2), (2, 2))
    with pytest.raises(ArgumentError, match="out has 3 in its column size; 2 fits the other views"):
        kernels.check(
            kernels.lib.du_max_pool2d(
                kernels.array_view(x), kernels.array_view(out), kernels.ffi.NULL, window.native, 1
            )
        )


def test_an_output_may_not_share_memory_with_itself_or_an_input():
    x = np.zeros((1, 2, 4, 4), np.float32)
    window = Window((1, 1), (1, 1))
    for out, message in (
        (x, "out and in share memory"),
        (np.broadcast_to(np.zeros((4, 4), np.float32), x.shape), "overlaps itself"),
    ):
        views = kernels.array_view(x), kernels.array_view(out)
        with pytest.raises(ArgumentError, match=message):
            kernels.check(kernels.lib.du_max_pool2d(*views, kernels.ffi.NULL, window.native, 1))
