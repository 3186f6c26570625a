"""The engines that run a whole network, and what each needs of time and memory in a process of its own.

    python benchmarks/engines.py ENGINE NETWORK ROWS COLUMNS THREADS MODEL.onnx RUNS     prints seconds and megabytes

torch is loaded only where it is the engine, so that it counts for nobody else.
"""

from __future__ import annotations

import copy
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENGINES = ("downup", "ONNX Runtime", "OpenVINO", "torch")
# Not float32: told, not counted.
OURS_BFLOAT16, BFLOAT16 = "downup bfloat16", "OpenVINO bfloat16"
EXACT = "downup exact"
PRECISIONS = {"downup": "fast", EXACT: "exact", OURS_BFLOAT16: "bfloat16"}
COMPILED = "torch.compile"
# torch has no file to load.
LOADERS = ENGINES[:3]
MODULES = {"downup": "downup.engine", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino", "torch": "torch"}
# Keeps every engine that can be kept from them off the instructions of AVX-512. ONNX Runtime has no such switch.
AVX2_ONLY = {
    "DOWNUP_ISA": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
Picture = NDArray[np.float32]
Run = Callable[[], Any]


def picture(rows: int, columns: int) -> Picture:
    """One picture [1, 3, rows, columns], always the same."""
    return np.random.default_rng(0).standard_normal((1, 3, rows, columns), dtype=np.float32)


def runs(engine: str, path: Path, network: Any, x: Picture, threads: int) -> list[Run]:
    """The calls of an engine on a picture; ONNX Runtime has two, with threads that spin and threads that do not."""
    if engine in PRECISIONS:
        from downup.engine import Session

        session = Session(path, threads, precision=PRECISIONS[engine])  # type: ignore[arg-type]
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


def alone(
    engine: str,
    network: str,
    path: Path,
    *,
    picture: tuple[int, int],
    threads: int,
    runs: int = 2,
    environment: dict[str, str] | None = None,
) -> dict[str, float]:
    """What a process comes to that imports the engine, loads the network and runs it so many times.

    Returns:
        Seconds of the "import", of the "load" (to the first output, less a run) and of the middle "run" after the first;
        megabytes of "memory" after the first run, and at the end ("memory again").
    """
    words = [engine, network, *map(str, picture), str(threads), str(path), str(runs)]
    done = subprocess.run(
        [sys.executable, __file__, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _run_alone(engine: str, name: str, rows: str, columns: str, threads: str, path: str, count: str) -> None:
    network = None
    if engine == "torch":
        from network_subjects import NETWORKS, enlivened

        network = enlivened(NETWORKS[name]())
    x = picture(int(rows), int(columns))
    begin = time.perf_counter()
    importlib.import_module(MODULES[engine])
    imported = time.perf_counter()
    if engine == "ONNX Runtime":
        # With threads that spin; the other would hold the weights a second time.
        call = _onnxruntime(Path(path), x, int(threads), "1")
    else:
        (call,) = runs(engine, Path(path), network, x, int(threads))
    seconds, memory = [], []
    for _ in range(int(count)):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
        memory.append(_peak_megabytes())
        if len(memory) == 1:
            first = time.perf_counter() - imported
    run = statistics.median(seconds[1:])
    found = {"import": imported - begin, "load": first - run, "run": run}
    print(json.dumps(found | {"memory": memory[0], "memory again": memory[-1]}))


def _peak_megabytes() -> float:
    # Not getrusage: what it calls the peak begins with that of the process which started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    _run_alone(*sys.argv[1:])
