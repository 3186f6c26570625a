"""`downup bench`."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from downup.cli.console import keep_memory, output, say, table
from downup.cli.precision import PrecisionOption
from downup.cli.size import picture_of

if TYPE_CHECKING:
    from downup.engine import Session


def bench(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Network, of any framework.")],
    size: Annotated[str, typer.Option(metavar="HxW", help="Rows and columns of the picture.")] = "512x512",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads.", show_default="all")] = None,
    precision: PrecisionOption = "fast",
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each engine, taking turns.")] = 10,
) -> None:
    """Time a network on the engine and on those installed beside it: ONNX Runtime, OpenVINO and torch.

    The engines take turns in one process, each with its own memory kept; the median of the runs is shown. torch reads no
    ONNX: it runs, eagerly and channels-last, the network that a file of "downup train" or "downup export" names, with other
    weights, which take the same time.
    """
    from downup import engine

    keep_memory()
    count = threads or len(os.sched_getaffinity(0))
    session = engine.Session(model, count, precision=precision)
    inputs = picture_of(session, size)
    runs: dict[str, Callable[[], Any]] = {"downup": lambda: session.run(inputs)}
    if importlib.util.find_spec("onnxruntime"):
        runs["ONNX Runtime"] = _onnx_runtime(model, inputs, count)
    if importlib.util.find_spec("openvino"):
        runs["OpenVINO"] = _openvino(model, inputs, count)
    if importlib.util.find_spec("torch") and session.has_metadata:
        runs["torch"] = _torch(session, inputs, count)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            begin = perf_counter()
            run()
            if number:  # the first one warms up
                times[name].append(perf_counter() - begin)
    console = output()
    made = table(
        f"{model}, {size}, {count} threads", "engine", "median ms", "fastest", "slowest", "against downup"
    )
    ours = median(times["downup"])
    for name, seconds in times.items():
        shown = (median(seconds), min(seconds), max(seconds))
        made.add_row(name, *(f"{1000 * number:,.2f}" for number in shown), f"{median(seconds) / ours:.2f}")
    console.print(made)
    missing = [name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name) is None]
    if missing:
        say(console, f"Not installed: {', '.join(missing)}; pip install 'downup[bench]' brings them")


def _torch(session: Session, inputs: dict[str, Any], threads: int) -> Callable[[], Any]:
    from downup.networks import NetworkConfig, build

    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(threads)
    network: Any = build(NetworkConfig.from_dict(session.about.network)).eval()
    network.to(memory_format=torch.channels_last)
    (x,) = (
        torch.from_numpy(array).contiguous(memory_format=torch.channels_last) for array in inputs.values()
    )

    def run() -> Any:
        with torch.inference_mode():
            return network(x)

    return run


def _onnx_runtime(model: Path, inputs: dict[str, Any], threads: int) -> Callable[[], Any]:
    onnxruntime: Any = importlib.import_module("onnxruntime")

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Spinning threads would take the cores from the engine whose turn is next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)


def _openvino(model: Path, inputs: dict[str, Any], threads: int) -> Callable[[], Any]:
    openvino: Any = importlib.import_module("openvino")

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(str(model), "CPU", settings)
    return lambda: compiled(inputs)
