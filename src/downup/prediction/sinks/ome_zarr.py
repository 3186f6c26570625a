"""OME-Zarr: labels in chunks with smaller copies of themselves, their names and colours beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from downup.errors import MissingPackageError
from downup.prediction.sinks.layer import Layer, Rows

_CHUNK = 512
_VERSION = "0.5"


def write_zarr(path: Path, layer: Layer, rows: Rows) -> None:
    """Write Zarr 3 with the metadata of OME-Zarr 0.5: levels of half, a quarter ... the size until one chunk holds it.

    Copies keep every second pixel of the one before, so that each value in them is that of a pixel.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: Zarr needs a package; install it with: pip install 'downup[images]'"
        ) from error
    steps = [1]
    while max(rows.rows, rows.columns) > _CHUNK * steps[-1]:
        steps.append(2 * steps[-1])
    group = zarr.create_group(
        str(path), zarr_format=3, overwrite=True, attributes={"ome": _about(layer, steps)}
    )
    for level, step in enumerate(steps):
        copy = rows.every(step) if level else rows
        array = group.create_array(
            str(level),
            shape=(copy.rows, copy.columns),
            chunks=(_CHUNK, _CHUNK),
            dtype=str(rows.dtype),
            dimension_names=("y", "x"),
        )
        for number, block in enumerate(copy.blocks(_CHUNK)):
            first = number * _CHUNK
            array[first : first + block.shape[0]] = block


def _about(layer: Layer, steps: list[int]) -> dict[str, Any]:
    scales = {
        "name": layer.name,
        "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [step, step]}]}
            for level, step in enumerate(steps)
        ],
        "type": "nearest",
    }
    about: dict[str, Any] = {"version": _VERSION, "multiscales": [scales]}
    if layer.classes:
        about["image-label"] = {
            "version": _VERSION,
            "colors": [
                {"label-value": label, "rgba": [*color, 255]} for label, color in enumerate(layer.colors)
            ],
            "properties": [{"label-value": label, "class": name} for label, name in enumerate(layer.classes)],
        }
    if layer.notes:
        about["downup"] = {"notes": list(layer.notes)}
    return about
