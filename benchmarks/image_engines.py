"""Labels one large picture in a process of its own, downup's way or that of a plain loop over ONNX Runtime.

    python benchmarks/image_engines.py WAY MODEL.onnx PICTURE.tif OUT.tif MEMORY       prints a line of JSON

The loop does what the peers do. MONAI's `sliding_window_inference` and nnU-Net's predictor run windows of a fixed size that
overlap (by a quarter as MONAI has it, by half in nnU-Net), weigh the scores of each window by a Gaussian, add them up in
float32 arrays of class x rows x columns and take the largest: labels near the edge of a window are then a mixture, and never
those of the picture as a whole.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from numpy.typing import NDArray

from downup.data import NetworkMetadata

if TYPE_CHECKING:
    from downup.engine import Session
    from downup.prediction import Window

Numbers = dict[str, float]

DOWNUP, BLEND_QUARTER, BLEND_HALF = "downup", "blend, a quarter", "blend, a half"
_OVERLAPS = {BLEND_QUARTER: 0.25, BLEND_HALF: 0.5}
SIDE = 512  # pixels of the peers' windows
_SIGMA = SIDE / 8  # of the Gaussian, as MONAI and nnU-Net have it


def held_mb(kind: str = "VmRSS") -> float:
    """Megabytes that this process holds ("VmRSS"), or the most it ever held ("VmHWM")."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith(kind))
    return int(line.split()[1]) * 1024 / 1e6


class Watch:
    """Notes, while a picture is labelled, how much of it is done and what the process holds."""

    def __init__(self) -> None:
        self.share, self._curve, self._over = 0.0, [], threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self._curve.append((self.share, held_mb()))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def curve(self, points: int = 101) -> list[tuple[float, float]]:
        """The most that was held by each share of the work."""
        found: dict[int, float] = {}
        for share, held in self._curve:
            place = int(share * (points - 1))
            found[place] = max(found.get(place, 0.0), held)
        return [(place / (points - 1), held) for place, held in sorted(found.items())]


def label(model: Path, picture: Path, out: Path, memory: int, watch: Watch) -> Numbers:
    """As `downup predict` does."""
    from downup.engine import Session
    from downup.prediction import Settings, label_image, open_image, split
    from downup.prediction.budget import choose_window, memory_now

    session = Session(model)
    about = session.about
    image = open_image(picture, about.channels)
    held = memory_now()
    side = choose_window(session, image, memory=memory, held=held)
    windows = split(image.rows, image.columns, window=side, halo=session.halo, stride=session.stride)
    read = sum(size(part) for part in windows)

    def tell(done: int, total: int, _: str) -> None:
        watch.share = done / total

    start = time.monotonic()
    label_image(
        session,
        picture,
        out,
        Settings(about.classes, about.channels, memory=memory, window=side),
        held=held,
        progress=tell,
    )
    seconds, peak = time.monotonic() - start, held_mb("VmHWM")
    largest = max(windows, key=size)
    rate = engine_rate(session, largest)
    return {
        "seconds": seconds,
        "peak_mb": peak,
        "window": side,
        "halo": session.halo,
        "read_share": read / (image.rows * image.columns),
        "engine_share": read / seconds / rate,
    }


def size(window: Window) -> int:
    """Pixels that a window reads."""
    return (window.rows.stop - window.rows.start) * (window.columns.stop - window.columns.start)


def engine_rate(session: Session, window: Window) -> float:
    """Pixels a second that the engine alone labels, of windows of such a size."""
    rows, columns = (span.stop - span.start for span in (window.rows, window.columns))
    channels = 3 if session.about.channels == "rgb" else 1
    pixels = np.random.default_rng(0).integers(0, 256, (rows, columns, channels), dtype=np.uint8)
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        session.labels(pixels)
        taken.append(time.perf_counter() - start)
    return rows * columns / statistics.median(taken)


def blend(model: Path, picture: Path, out: Path, overlap: float, watch: Watch) -> Numbers:
    """The plain loop: all of the picture, its scores and their weights in memory."""
    import onnx
    import onnxruntime

    about = NetworkMetadata.from_properties(
        {item.key: item.value for item in onnx.load(model).metadata_props}, model
    )
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    start = time.monotonic()
    pixels = _seen(tifffile.imread(picture), about.channels)
    rows, columns = pixels.shape[:2]
    mean, deviation = (np.array(numbers, np.float32) for numbers in (about.mean, about.deviation))
    ramp = np.exp(-(((np.arange(SIDE) - (SIDE - 1) / 2) / _SIGMA) ** 2) / 2).astype(np.float32)
    window_weight = np.outer(ramp, ramp)
    scores = np.zeros((len(about.classes), rows, columns), np.float32)
    weights = np.zeros((rows, columns), np.float32)
    tops, lefts = starts(rows, overlap), starts(columns, overlap)
    for number, top in enumerate(tops):
        for left in lefts:
            place = (slice(top, top + SIDE), slice(left, left + SIDE))
            x = (pixels[place].astype(np.float32) / 255 - mean) / deviation
            found = session.run(None, {name: np.ascontiguousarray(x.transpose(2, 0, 1)[None])})[0][0]
            scores[:, *place] += found * window_weight
            weights[place] += window_weight
        watch.share = (number + 1) / len(tops)
    scores /= weights
    tifffile.imwrite(
        out, scores.argmax(0).astype(np.uint8), tile=(512, 512), compression="zlib", bigtiff=True
    )
    return {
        "seconds": time.monotonic() - start,
        "peak_mb": held_mb("VmHWM"),
        "window": SIDE,
        "read_share": len(tops) * len(lefts) * SIDE**2 / (rows * columns),
    }


def starts(length: int, overlap: float) -> list[int]:
    """Where windows begin along an axis, the last one moved so that it ends with the picture."""
    step = round(SIDE * (1 - overlap))
    return [min(start, length - SIDE) for start in range(0, length - SIDE + step, step)]


def _seen(pixels: NDArray[np.uint8], channels: str) -> NDArray[np.uint8]:
    if channels == "rgb":
        return pixels
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def main() -> None:
    way, model, picture, out, memory = sys.argv[1], *map(Path, sys.argv[2:5]), int(sys.argv[5])
    with Watch() as watch:
        if way == DOWNUP:
            found = label(model, picture, out, memory, watch)
        else:
            found = blend(model, picture, out, _OVERLAPS[way], watch)
    print(json.dumps({**found, "curve": watch.curve()}))


if __name__ == "__main__":
    main()
