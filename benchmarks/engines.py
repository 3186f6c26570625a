"""The engines that run a whole network, and how much memory each needs in a process of its own.

    python benchmarks/engines.py ENGINE NETWORK ROWS COLUMNS THREADS MODEL.onnx     prints megabytes, twice

torch is loaded only where it is the engine, so that it counts for nobody else.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENGINES = ("downup", "ONNX Runtime", "OpenVINO", "torch")
BFLOAT16 = "OpenVINO bfloat16"  # not float32: told, not counted
EXACT = "downup exact"
COMPILED = "torch.compile"
Picture = NDArray[np.float32]
Run = Callable[[], Any]


def picture(rows: int, columns: int) -> Picture:
    """One picture [1, 3, rows, columns], always the same."""
    return np.random.default_rng(0).standard_normal((1, 3, rows, columns), dtype=np.float32)


def runs(engine: str, path: Path, network: Any, x: Picture, threads: int) -> list[Run]:
    """The calls of an engine on a picture; ONNX Runtime has two, with threads that spin and threads that do not."""
    if engine in ("downup", EXACT):
        from downup.engine import Session

        session = Session(path, threads, precision="exact" if engine == EXACT else "fast")
        return [lambda: session.run(x)]
    if engine == "ONNX Runtime":
        return [_onnxruntime(path, x, threads, spins) for spins in ("1", "0")]
    if engine.startswith("OpenVINO"):
        import openvino

        precision = "bf16" if engine == BFLOAT16 else "f32"
        hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
        compiled: Any = openvino.Core().compile_model(str(path), "CPU", hints)
        return [lambda: compiled([x])[0]]
    import torch

    torch.set_num_threads(threads)
    network = copy.deepcopy(network).to(memory_format=torch.channels_last)
    pixels = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
    called: Any = torch.compile(network) if engine == COMPILED else network

    def run() -> Any:
        with torch.inference_mode():
            return called(pixels).numpy()

    return [run]


def _onnxruntime(path: Path, x: Picture, threads: int, spins: str) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", spins)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})[0]


def peaks_of(engine: str, network: str, rows: int, columns: int, threads: int, path: Path) -> list[float]:
    """Megabytes that a process comes to which loads the network: when it has run it once, and when a second time."""
    words = [engine, network, str(rows), str(columns), str(threads), str(path)]
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
    return [float(line) for line in done.stdout.splitlines()[-2:]]


def _run_alone(engine: str, name: str, rows: str, columns: str, threads: str, path: str) -> None:
    network = None
    if engine.startswith("torch"):
        from network_subjects import NETWORKS, enlivened

        network = enlivened(NETWORKS[name]())
    x = picture(int(rows), int(columns))
    if engine == "ONNX Runtime":
        call = _onnxruntime(
            Path(path), x, int(threads), "1"
        )  # the other would hold the weights a second time
    else:
        (call,) = runs(engine, Path(path), network, x, int(threads))
    for _ in range(2):
        call()
        # Not getrusage: what it calls the peak begins with that of the process which started this one.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        print(int(line.split()[1]) / 1024)


if __name__ == "__main__":
    _run_alone(*sys.argv[1:])
