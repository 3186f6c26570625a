"""Label the Earth at 5400 x 2700 at once and in windows with a trained network, and count the pixels that differ.

    downup demo --output RUN
    python scripts/compare_windows.py RUN/model.onnx --windows 512 1024 2048

Says how many windows there were, how far each reads beyond what it keeps, and exits with 1 if one pixel differs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np

from downup.data import earth
from downup.engine import Session
from downup.prediction import windows_of


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="ONNX file of a training run")
    parser.add_argument("--windows", type=int, nargs="+", default=[512, 1024, 2048], help="pixels kept")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    session = Session(arguments.model, threads=arguments.threads)
    picture = earth.picture(session.about.channels)
    whole = session.labels(picture)
    shares = np.bincount(whole.reshape(-1), minlength=session.class_count) / whole.size
    print(
        f"{picture.shape[1]} x {picture.shape[0]} at once; shares of classes: {np.round(shares, 3).tolist()}"
    )
    print(f"rows and columns: {session.margins}")
    has_failed = False
    for window in arguments.windows:
        parts, begin = windows_of(session, *picture.shape[:2], window), perf_counter()
        differing = read = 0
        for part in parts:
            rows, columns = part.rows, part.columns
            pixels = picture[rows.start : rows.stop, columns.start : columns.stop]
            found = session.labels(np.ascontiguousarray(pixels))[rows.kept_of_read, columns.kept_of_read]
            wanted = whole[rows.first : rows.last, columns.first : columns.last]
            differing += int((found != wanted).sum())
            read += pixels.shape[0] * pixels.shape[1]
        has_failed |= differing > 0
        print(
            f"windows of {window}: {len(parts)}, each pixel read {read / whole.size:.2f} times; "
            f"{whole.size - differing:,} of {whole.size:,} pixels equal ({perf_counter() - begin:.1f} s)"
        )
    raise SystemExit(1 if has_failed else 0)


if __name__ == "__main__":
    main()
