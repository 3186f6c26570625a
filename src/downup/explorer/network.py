"""What a trained network says of a picture: labels, the maps of its layers, its steps and what they cost."""

from __future__ import annotations

import base64
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from PIL import Image

from downup import graph
from downup.data.pictures import CHANNELS, image_pixels, open_image
from downup.engine import Session
from downup.errors import DataError
from downup.evaluation.overlay import overlay
from downup.explorer.server import Answer
from downup.loading import load
from downup.prediction import label_picture

# Of a picture that the page shows at once; `downup predict` labels larger ones.
MOST_PIXELS = 16_000_000
# Maps of layers are made of the picture brought to this many pixels a side.
_MAP_SIDE = 192
_MOST_LAYERS = 16
_MOST_MAPS = 9
_LAYERS = frozenset(
    {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "MaxUnpool", "Resize", "DepthToSpace"}
)
_SHOWN_SIDE = 1024

Pixels = NDArray[np.uint8]


class Network:
    """A network, ready to label what the page sends.

    Args:
        source: the folder of a training run, or an ONNX file that tells its classes and normalisation.
        threads: how many threads may be used.

    Raises:
        DataError: the file or folder cannot be used.
    """

    def __init__(self, source: Path, threads: int | None = None) -> None:
        self.source = source
        self.session = load(source, threads=threads)
        self.about = self.session.about
        file = source / "model.onnx" if source.is_dir() else source
        self._inside, self._layers = _opened(file, threads)

    @property
    def answers(self) -> dict[str, Answer]:
        """What the server answers: see `Server`."""
        return {"GET /network.json": self._describe, "POST /label": self._label}

    def _describe(self, _: bytes) -> tuple[str, bytes]:
        classes = [{"name": item.name, "color": list(item.color)} for item in self.about.classes]
        about = {"name": self.source.name, "classes": classes, "windows": self._windows()}
        return _json({**about, "scores": self._scores()})

    def _windows(self) -> dict[str, Any]:
        """How far a label sees, and how windows lie whose labels have the bits of the whole picture's."""
        try:
            fields = [field for pair in self.session.fields.values() for field in pair]
            sees = max(side for field in fields for side in (field.before, field.after))
            return {"sees": sees, "stride": self.session.stride, "halo": self.session.halo}
        except DataError as error:
            return {"refused": str(error)}

    def _scores(self) -> dict[str, Any] | None:
        """What the run's best weights scored: the confusion matrix, rows are the truth."""
        path = self.source / "metrics.json"
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {name: found[name] for name in ("confusion", "mean_iou", "classes")}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is not as downup train writes it; run: downup evaluate") from error

    def _label(self, body: bytes) -> tuple[str, bytes]:
        picture = read_pixels(body, self.about.channels)
        labels = label_picture(self.session, picture)
        colors = [item.color for item in self.about.classes]
        shares = np.bincount(labels.reshape(-1), minlength=len(colors))[: len(colors)] / labels.size
        shown = Image.fromarray(overlay(picture, labels, colors))
        shown.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        small = _small(picture)
        x = _input(self.session, small)
        times = self.session.times(x)
        steps = [
            {"name": step.name, "operators": step.operators, "algorithm": step.algorithm, "ms": 1000 * seconds,
             "writes": [list(shape) for shape in step.writes], "multiply_adds": step.multiply_adds}
            for step, seconds in zip(self.session.steps(x), times, strict=True)
        ]  # fmt: skip
        return _json(
            {
                "rows": picture.shape[0],
                "columns": picture.shape[1],
                "overlay": _data_url(shown, "JPEG"),
                "shares": shares.tolist(),
                "steps": steps,
                "step_size": list(small.shape[:2]),
                "maps": self._maps(x),
            }
        )

    def _maps(self, x: NDArray[np.float32]) -> list[dict[str, Any]]:
        """The first channels of each layer, each scaled from its smallest to its largest number."""
        found = self._inside.run(x)
        made = []
        for name, title in self._layers:
            layer = found[name][0]
            tiles = [_grey(channel) for channel in layer[:_MOST_MAPS]]
            made.append(
                {
                    "name": title,
                    "shape": list(layer.shape),
                    "maps": [_data_url(tile, "PNG") for tile in tiles],
                }
            )
        return made


def read_pixels(body: bytes, channels: str) -> Pixels:
    """The picture in an uploaded file.

    Raises:
        DataError: it is no picture, damaged, or larger than `MOST_PIXELS`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        path.write_bytes(body)
        try:
            with open_image(path) as image:
                if image.width * image.height > MOST_PIXELS:
                    millions = image.width * image.height / 1e6
                    raise DataError(
                        f"{path}: has {millions:.0f} million pixels; here use at most {MOST_PIXELS // 1_000_000} "
                        "million, and downup predict for larger ones"
                    )
                return image_pixels(image, channels, path)
        except DataError as error:
            raise DataError(str(error).replace(str(path), "the picture")) from None


def _opened(file: Path, threads: int | None) -> tuple[Session, list[tuple[str, str]]]:
    """The network with its layers as outputs, and the names and titles of these."""
    model = graph.read(file)
    outputs = {value.name for value in model.graph.outputs}
    nodes = [node for node in model.graph if node.op_type in _LAYERS and node.outputs[0].name not in outputs]
    kept = nodes[:: -(-len(nodes) // _MOST_LAYERS)] if nodes else []
    layers = []
    for number, node in enumerate(kept, start=1):
        value: ir.Value = node.outputs[0]
        value.name = value.name or f"layer_{number}"
        model.graph.outputs.append(value)
        layers.append((value.name, f"{nodes.index(node) + 1}. {node.op_type}"))
    return Session(model, threads), layers


def _input(session: Session, picture: Pixels) -> NDArray[np.float32]:
    """As the session itself normalises."""
    from downup.engine.labelling import normalised

    return normalised(picture, session.about)


def _small(picture: Pixels) -> Pixels:
    rows, columns, channels = picture.shape
    factor = min(1.0, _MAP_SIDE / max(rows, columns))
    size = max(1, round(columns * factor)), max(1, round(rows * factor))
    image = Image.fromarray(picture if channels == CHANNELS["rgb"] else picture[..., 0])
    small = np.asarray(image.resize(size, Image.Resampling.BOX))
    return small if small.ndim == 3 else small[..., None]


def _grey(channel: NDArray[np.float32]) -> Image.Image:
    low, high = float(channel.min()), float(channel.max())
    scale = 255 / (high - low) if high > low else 0.0
    return Image.fromarray(((channel - low) * scale).astype(np.uint8))


def _data_url(image: Image.Image, kind: str) -> str:
    file = io.BytesIO()
    image.save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def _json(value: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()
