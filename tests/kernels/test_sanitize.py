"""The native library under the fuzzer; `make sanitize` runs the same calls under the sanitizers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FUZZER = Path(__file__).resolve().parents[2] / "scripts" / "fuzz_native.py"


def test_random_calls_right_and_wrong_do_what_the_interface_promises(is_long):
    # In a process of its own: what corrupts memory should not end the other tests.
    calls = 200_000 if is_long else 10_000
    done = subprocess.run(
        [sys.executable, str(FUZZER), "--seed", "1", "--calls", str(calls)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{calls} calls" in done.stdout
