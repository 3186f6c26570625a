"""Builds the native library with sanitizers, or with line coverage, and lets the fuzzer call it.

    python scripts/sanitize.py                     20,000 calls under the address and undefined-behaviour sanitizers
    python scripts/sanitize.py --coverage          and how many lines of native/ the same calls reach

Runs without torch, whose libraries the sanitizers would have to watch too. Needs gcc. Exits 1 at the first fault, with the
command that repeats it; with `--all` it goes on and shows one of each kind.
"""

from __future__ import annotations

import argparse
import os
import re
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZER = ROOT / "scripts" / "fuzz_native.py"
# A reserved address that is never given back is no fault of the library, nor is memory that Python keeps until it ends.
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=0",
}


def build(name: str, option: str) -> Path:
    """Build the library with a CMake option in a folder of its own; what stands is only brought up to date."""
    folder = ROOT / "build" / name
    tools = Path(sys.executable).parent
    path = os.pathsep.join([str(tools), os.environ.get("PATH", "")])
    # The sanitizers and gcov that are used below are those of gcc.
    environment = os.environ | {"PATH": path, "CXX": "g++"}
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", f"-D{option}=ON"]
    subprocess.run(configure, check=True, env=environment, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(folder)], check=True, env=environment)
    return folder / "libdownup.so"


def runtime(name: str) -> str:
    """The path of a library that comes with gcc."""
    return subprocess.run(
        ["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout.strip()


def fuzz(library: Path, arguments: argparse.Namespace, extra: dict[str, str]) -> int:
    """Run the fuzzer on a library, starting again after a crash if all faults are wanted; the number of faults."""
    environment = os.environ | extra | {"DOWNUP_LIBRARY": str(library), "PYTHONMALLOC": "malloc"}
    trace = library.parent / "trace"
    faults: Counter[str] = Counter()
    first, last = 0, arguments.calls
    end = time.monotonic() + 60 * arguments.minutes
    while first < last:
        command = [sys.executable, str(FUZZER), "--seed", str(arguments.seed), "--first", str(first)]
        command += ["--calls", str(last - first), "--trace", str(trace)]
        command += ["--minutes", str(max(0.0, (end - time.monotonic()) / 60))]
        command += ["--all"] if arguments.all else []
        command += ["--family", arguments.family] if arguments.family else []
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        faults.update(_show(done.stdout, set(faults)))
        if not done.stderr:
            break
        (index,) = struct.unpack("q", trace.read_bytes())
        kind = _kind(done.stderr) or f"the fuzzer ended with status {done.returncode}"
        faults[kind] += 1
        if faults[kind] == 1:
            print(f"FAULT: {kind}\n{_head(done.stderr)}")
            print(f"again: {_again(environment, arguments.seed, index)}", flush=True)
        if not arguments.all or index < 0 or not _kind(done.stderr):
            break
        first = index + 1
    for kind, count in faults.most_common():
        print(f"{count} times: {kind}")
    return faults.total()


def _show(output: str, known: set[str]) -> Counter[str]:
    """Print what the fuzzer said, but of what it found wrong only what is not known; how much of each kind it found."""
    found: Counter[str] = Counter()
    is_news = not known
    for line in output.splitlines():
        if line.startswith("FAILED"):
            kind = re.sub(r"[-+.\w]*\d", "#", line)
            is_news = kind not in known and not found[kind]
            found[kind] += 1
        if is_news or not line.startswith(("FAILED", "du_", "  ", "again", "seed")):
            print(line, flush=True)
    return found


def _kind(log: str) -> str:
    """The line that says what a sanitizer saw, and where in native/."""
    error = re.search(r"^.*(?:runtime error: .*|ERROR: AddressSanitizer: [-\w]+)", log, re.MULTILINE)
    if not error:
        return ""
    place = re.search(r"native/[\w/.]+:\d+", log[error.start() :])
    text = re.sub(r"^.*?(runtime error|ERROR)", r"\1", error.group())
    numberless = re.sub(r"-?\b\d+\b|0x[0-9a-f]+", "#", text)
    return f"{place.group() if place else 'elsewhere'}: {numberless}"


def _head(log: str) -> str:
    return "\n".join(log.splitlines()[:24])


def _again(environment: dict[str, str], seed: int, index: int) -> str:
    names = ("LD_PRELOAD", "DOWNUP_LIBRARY", *OPTIONS)
    values = " ".join(f'{name}="{environment[name]}"' for name in names if name in environment)
    return f"{values} {sys.executable} {FUZZER.relative_to(ROOT)} --seed {seed} --only {index}"


# ---------------------------------------------------------------- coverage


def coverage(folder: Path) -> None:
    """Print the share of the lines of each file in native/ that ran; a line counts if it ran in any instruction set."""
    ran: dict[str, dict[int, bool]] = {}
    for notes in sorted(folder.rglob("*.gcda")):
        done = subprocess.run(
            ["gcov", "--stdout", "--preserve-paths", str(notes)],
            check=True,
            capture_output=True,
            text=True,
            cwd=folder,
        )
        _read_gcov(done.stdout, folder, ran)
    total, reached = 0, 0
    print("| file | lines | reached | not reached |\n|---|---|---|---|")
    for name, lines in sorted(ran.items()):
        missed = sorted(number for number, was_run in lines.items() if not was_run)
        share = 100 * (len(lines) - len(missed)) / len(lines)
        print(f"| {name} | {len(lines)} | {share:.1f} % | {', '.join(map(str, missed))} |")
        total, reached = total + len(lines), reached + len(lines) - len(missed)
    print(f"| all | {total} | {100 * reached / total:.1f} % | |")


def _read_gcov(text: str, folder: Path, ran: dict[str, dict[int, bool]]) -> None:
    lines: dict[int, bool] | None = None
    for row in text.splitlines():
        source = re.match(r"\s+-:\s+0:Source:(.*)", row)
        if source:
            path = (folder / source.group(1)).resolve()  # the build names sources as seen from its folder
            is_ours = (ROOT / "native") in path.parents
            lines = ran.setdefault(str(path.relative_to(ROOT)), {}) if is_ours else None
            continue
        found = re.match(r"\s*([-#=\d*]+):\s*(\d+):", row)
        if found and lines is not None and found.group(1) != "-":
            number = int(found.group(2))
            lines[number] = lines.get(number, False) or found.group(1)[0].isdigit()


def main() -> int:
    """Build, fuzz, and with `--coverage` count lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 10**9, help="drawn from the clock when left out"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--family", default=None, help="one of those that fuzz_native.py knows, alone")
    parser.add_argument("--all", action="store_true", help="go on after a fault; show one of each kind")
    parser.add_argument("--coverage", action="store_true", help="count lines instead of watching memory")
    arguments = parser.parse_args()
    if arguments.coverage:
        library = build("coverage", "DOWNUP_COVERAGE")
        for counts in library.parent.rglob("*.gcda"):
            counts.unlink()
        faults = fuzz(library, arguments, {})
        coverage(library.parent)
    else:
        library = build("sanitize", "DOWNUP_SANITIZE")
        preload = " ".join((runtime("libasan.so"), runtime("libubsan.so")))
        faults = fuzz(library, arguments, {"LD_PRELOAD": preload, **OPTIONS})
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
