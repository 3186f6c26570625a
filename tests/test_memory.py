"""Large blocks of memory stay with the process when it asks for that, and only then."""

from __future__ import annotations

import subprocess
import sys

import pytest

import downup

# Pages that the system maps while the same tensors are made again and again. The heap first grows until its free blocks
# fit, so the first rounds do not count.
PROGRAM = """
import resource, torch, downup
{call}
x = torch.randn(16 * 2**20)
for _ in range(40):
    torch.relu(x)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.relu(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(call: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="an option of glibc")
def test_tensors_made_again_and_again_are_not_mapped_anew() -> None:
    usual, reused = _faults(""), _faults("downup.reuse_memory()")
    assert usual > 10_000
    assert reused < usual / 20


@pytest.mark.skipif(sys.platform != "linux", reason="an option of glibc")
def test_threads_still_get_large_blocks() -> None:
    program = (
        "import threading, torch, downup; downup.reuse_memory(); sums = []\n"
        "def work(): sums.append(sum(torch.ones(2**25)[-1].item() for _ in range(4)))\n"
        "threads = [threading.Thread(target=work) for _ in range(3)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "assert sums == [4.0] * 3, sums\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_door_is_in_the_package_and_loads_no_torch() -> None:
    assert "reuse_memory" in downup.__all__
    assert "reuse_memory" in dir(downup)
    program = "import sys, downup; assert callable(downup.reuse_memory); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
