"""The engines that run a whole network, and how much memory each needs in a process of its own.

    python benchmarks/engines.py ENGINE NETWORK ROWS COLUMNS THREADS MODEL.onnx     prints megabytes

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

ENGINES = ("downup", "ONNX Runtime", "OpenVINO", "OpenVINO bfloat16", "torch", "torch.compile")
INFORMATION = ("OpenVINO bfloat16",)  # not float32: told, not counted
Picture = NDArray[np.float32]
Run = Callable[[], Any]


def picture(rows: int, columns: int) -> Picture:
    """One picture [1, 3, rows, columns], always the same."""
    return np.random.default_rng(0).standard_normal((1, 3, rows, columns), dtype=np.float32)


def runs(engine: str, path: Path, network: Any, x: Picture, threads: int) -> list[Run]:
    """The calls of an engine on a picture; ONNX Runtime has two, with threads that spin and threads that do not."""
    if engine == "downup":
        from downup.engine import Session

        session = Session(path, threads)
        return [lambda: session.run(x)]
    if engine == "ONNX Runtime":
        return [_onnxruntime(path, x, threads, spins) for spins in ("1", "0")]
    if engine.startswith("OpenVINO"):
        import openvino

        precision = "bf16" if engine in INFORMATION else "f32"
        hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
        compiled: Any = openvino.Core().compile_model(str(path), "CPU", hints)
        return [lambda: compiled([x])[0]]
    import torch

    torch.set_num_threads(threads)
    network = copy.deepcopy(network).to(memory_format=torch.channels_last)
    pixels = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
    called: Any = torch.compile(network) if engine == "torch.compile" else network

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


def peak_of(engine: str, network: str, rows: int, columns: int, threads: int, path: Path) -> float:
    """Megabytes that a process comes to which loads the network and runs it twice."""
    words = [engine, network, str(rows), str(columns), str(threads), str(path)]
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def _run_alone(engine: str, name: str, rows: str, columns: str, threads: str, path: str) -> None:
    network = None
    if engine.startswith("torch"):
        from networks import NETWORKS, enlivened

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
