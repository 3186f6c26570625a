"""Builds the page: the kernels with ziglang, the rest with esbuild after tsc has checked it. `make explorer` runs this.

Writes into the folder given, `src/downup/explorer/static` unless told otherwise. Needs ziglang
and node; what node needs is brought once by npm, in the versions of package-lock.json.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent / "src" / "downup" / "explorer" / "static"
FIELDS = HERE / "page" / "networks.json"
NETWORKS = [
    ("unet", "vgg16"), ("segnet", "vgg16_bn"), ("fcn32s", "vgg16"), ("fcn16s", "vgg16"), ("fcn8s", "vgg16"),
    ("unet", "resnet18"), ("unet", "resnet50"), ("deconvnet", "vgg16_bn"),
]  # fmt: skip
# Of the channels: which convolutions are computed in tiles depends on how many there are.
WIDTH = 0.25
BUILT = HERE / "built.sha256"

# As in CMakeLists.txt; -DDU_FLOAT32_ALONE leaves the other element types out.
FLAGS = [
    "-target", "wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-O2", "-std=c++20", "-fno-exceptions", "-fno-rtti",
    "-ffp-contract=off", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-Wno-psabi",
    "-DDU_ISA=plain", "-DDU_FLOAT32_ALONE", "-Wl,--gc-sections", "-Wl,--strip-all",
]  # fmt: skip
SOURCES = [
    "explorer/native/kernels.cpp", "native/check.cpp", "native/convolve.cpp", "native/convolve/choose.cpp",
    "native/convolve/phases.cpp", "native/convolve/prepare.cpp", "native/memory.cpp", "native/rearrange.cpp",
    "native/rearrange/kernels.cpp", "native/resample.cpp", "native/resample/kernels.cpp", "native/select.cpp",
    "native/select/kernels.cpp", "native/taps.cpp",
]  # fmt: skip
EXPORTS = [
    "malloc", "free", "du_last_error", "du_max_pool2d", "du_max_unpool2d", "du_pixel_shuffle", "du_pixel_unshuffle",
    "du_taps_window", "du_taps_adaptive", "du_taps_binomial", "du_taps_sampled", "du_taps_free", "du_taps_sizes",
    "du_taps_read", "du_resample2d", "du_convolution_new", "du_convolution_free", "du_convolution_out_size",
    "du_convolution_scratch_bytes", "du_convolution_run",
]  # fmt: skip


def build_kernels(path: Path) -> None:
    """Compile the kernels to WebAssembly, compressed."""
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "kernels.wasm"
        exports = [f"-Wl,--export={name}" for name in EXPORTS]
        command = [sys.executable, "-m", "ziglang", "c++", *FLAGS, *exports, *SOURCES, "-o", str(module)]
        subprocess.run(command, cwd=HERE.parent, check=True)
        # Without a time, so that the same sources make the same file.
        path.write_bytes(gzip.compress(module.read_bytes(), 9, mtime=0))


def fields_of_networks() -> list[dict[str, object]]:
    """How far a label of each built-in network sees, in pixels; the width changes nothing about it."""
    from downup.networks import NetworkConfig, build

    found: list[dict[str, object]] = []
    for model, encoder in NETWORKS:
        network = build(NetworkConfig(model=model, encoder=encoder, classes=2, width=0.1))
        reach = network.reach()
        name = f"{model}, {encoder}"
        found.append({"name": name, "stride": network.stride, "before": reach.before, "after": reach.after})
    return found


def halos_of_networks() -> list[int]:
    """What the engine reads around windows of each network, so that every bit is that of the whole picture's."""
    import torch

    from downup import kernels, load
    from downup.networks import NetworkConfig, build

    kernels.select_isa("plain")  # for the same numbers on all machines
    example = torch.zeros(2, 3, 64, 64)
    built = (
        build(NetworkConfig(model=model, encoder=encoder, classes=2, width=WIDTH))
        for model, encoder in NETWORKS
    )
    return [load(network, example=example).halo for network in built]


def build_page(folder: Path) -> None:
    """Check and bundle the scripts, and copy what needs no building."""
    tools = HERE / "node_modules" / ".bin"
    if not tools.is_dir():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True)
    subprocess.run([str(tools / "tsc"), "--noEmit"], cwd=HERE, check=True)
    bundle = [
        "--bundle",
        "--minify",
        "--format=esm",
        "--target=es2022",
        "--charset=utf8",
        "--log-level=warning",
    ]
    for name in ("main.ts", "style.css"):
        target = folder / name.replace(".ts", ".js")
        subprocess.run(
            [str(tools / "esbuild"), f"page/{name}", *bundle, f"--outfile={target}"], cwd=HERE, check=True
        )
    shutil.copyfile(HERE / "page" / "index.html", folder / "index.html")


def hash_sources() -> str:
    """One number for what the page is made of, kernels included; `BUILT` keeps that of the last build."""
    root = HERE.parent
    files = {
        *(HERE / "page").iterdir(),
        HERE / "package-lock.json",
        HERE / "tsconfig.json",
        HERE / "build.py",
    }
    files |= {root / name for name in SOURCES} | {
        *(root / "native").rglob("*.h"),
        *(HERE / "native").iterdir(),
    }
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def main() -> None:
    """Build what has changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=STATIC)
    parser.add_argument(
        "--page-only",
        action="store_true",
        help="leave the kernels, and what is told of networks, as they are",
    )
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if not arguments.page_only:
        build_kernels(arguments.output / "kernels.bin")
        networks = zip(fields_of_networks(), halos_of_networks(), strict=True)
        told = [{**field, "halo": halo} for field, halo in networks]
        FIELDS.write_text(json.dumps(told, indent=1) + "\n")
    build_page(arguments.output)
    if arguments.output == STATIC:
        BUILT.write_text(hash_sources() + "\n")


if __name__ == "__main__":
    main()
