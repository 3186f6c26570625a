"""Labels a picture of any size into a file, in bounded memory; what is done is never done again."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Literal, TypeVar

from downup import kernels
from downup.data.colors import ClassInfo, flat_palette
from downup.errors import ArgumentError, DataError
from downup.prediction.budget import DEFAULT_MEMORY, choose_window, memory_now
from downup.prediction.cluster import Cluster, Task
from downup.prediction.passes import Pass, gather, gather_window
from downup.prediction.session import Gatherer, Parts, Session
from downup.prediction.sinks import FORMATS, Layer, draw_overlay, format_of, write_layer
from downup.prediction.sources import Sliceable, geographic_tags, is_zarr, open_image
from downup.prediction.sources.fingerprint import file_sha256
from downup.prediction.streaming import stream, window_values
from downup.prediction.windows import Window, windows_of
from downup.prediction.work import Work, work_path

Progress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and the name of what was done last."""

LabelType = Literal["uint8", "uint16"]

Kept = TypeVar("Kept")

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Labelled:
    """What became of a picture.

    Attributes:
        labels: the file of labels.
        probabilities: a file for each class whose probability was wanted.
        rows, columns: the size of the picture.
        windows: how many it was labelled in.
        resumed: how many of these were there already.
        caveat: what is to be said of labels that are not those of the whole picture at once, or "".
    """

    labels: Path
    probabilities: tuple[Path, ...]
    rows: int
    columns: int
    windows: int
    resumed: int
    caveat: str = ""


def label_image(
    session: Session,
    source: str | PathLike[str] | Sliceable,
    out: str | PathLike[str],
    *,
    classes: Sequence[ClassInfo],
    channels: Literal["rgb", "grey"],
    level: int = 0,
    label_type: LabelType | None = None,
    probabilities: Sequence[str] = (),
    overlay: str | PathLike[str] | None = None,
    memory: int = DEFAULT_MEMORY,
    window: int | None = None,
    model: str | PathLike[str] | None = None,
    resume: bool = False,
    leave_mark: bool = False,
    cluster: Cluster | None = None,
    held: int | None = None,
    progress: Progress | None = None,
) -> Labelled:
    """Label every pixel of a picture, whatever its size; the labels are those of the whole picture at once.

    While it works, `.NAME.downup` beside `out` holds what is done; it is removed when `out` is there.

    Args:
        session: what labels a window.
        source: a file as `open_image` takes it, or anything with a shape and slicing.
        out: a file whose suffix tells the format: .png, .tif, .npy or .zarr.
        classes: name and colour of each class, as many as `session` knows.
        channels: what the session wants to see.
        level: of OME-Zarr, which level to label.
        label_type: of a label; by default uint8, and uint16 of more than 256 classes.
        probabilities: classes whose probability is written too, 255 for 1, as `STEM_NAME` beside `out`.
        overlay: a JPEG file for the picture with its labels over it; a large one is shown smaller.
        memory: bytes that the process may hold.
        window: pixels kept along an axis of a window; by default as many as `memory` allows.
        model: the file that the session runs: a resumed run must have the same.
        resume: go on where a run into `out` was stopped, if there was one.
        leave_mark: keep a small `.NAME.downup`, by which a resumed run over many pictures passes this one over.
        cluster: the machines that label; by default this process does. It needs `model`, an ONNX file, and all files on a
            disk that the machines share.
        held: bytes of `memory` that the process held before the session labelled anything; by default what it holds now.
        progress: called after each window with (pixels done, pixels, name of the image), in each pass over the picture.

    Raises:
        ArgumentError: an argument is out of its range, or `memory` is too little.
        DataError: the picture cannot be read; `out` cannot be written, or another process writes it; an earlier run
            was stopped and `resume` is not set, or the picture, the model or a setting is another now.
    """
    out = Path(out)
    kind = format_of(out)
    if kind is None:
        raise ArgumentError(f"out is {str(out)!r}; end its name in one of {', '.join(FORMATS.values())}")
    chosen = class_numbers(probabilities, classes)
    label_type = _label_type(label_type, len(classes))
    image = open_image(source, channels, memory, level)
    try:
        if out.is_dir() and not (kind == "zarr" and is_zarr(out)):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(out))
        with Work(out) as work:
            side = window if window is not None else work.window
            gathering, before = session.gathering, memory_now() if held is None else held
            in_windows = session if gathering is None else gathering.knowing({})
            if side is None:
                # Of probabilities scores and those of all classes, then the chosen ones in their steps to bytes.
                extra = 8 * len(classes) + 16 * len(chosen) if chosen else 0
                extra += 4 if label_type == "uint16" else 0
                whole = None if gathering is None else session
                side = choose_window(in_windows, image, memory=memory, held=before, extra=extra, whole=whole)
            windows = windows_of(in_windows, image.rows, image.columns, side)
            if len(windows) == 1:
                gathering = None
            caveat = session.caveat if len(windows) > 1 else ""
            about = {
                "model": {"path": str(model), "sha256": file_sha256(Path(model))} if model else {},
                "picture": image.identity(),
                "settings": {
                    "window": side,
                    "windows": len(windows),
                    "rows": image.rows,
                    "columns": image.columns,
                    "halo": in_windows.halo if len(windows) > 1 else 0,
                    "stride": in_windows.stride if len(windows) > 1 else 1,
                    "channels": channels,
                    "labels": label_type,
                    "probabilities": list(probabilities),
                    "instruction_set": kernels.active_isa(),
                    "caveat": caveat,
                },
            }
            todo = work.start(about, windows, (label_type, *["uint8"] * len(chosen)), resume)
            paths = labelled_paths(out, probabilities)
            done = Labelled(
                out, paths[1:], image.rows, image.columns, len(windows), len(windows) - len(todo), caveat
            )
            if work.is_finished:
                return done
            if cluster is not None:
                files = _files(source, model)
                task = Task(
                    *files,
                    work.layers,
                    windows,
                    channels,
                    tuple(chosen),
                    memory,
                    cluster.threads,
                    level,
                    label_type,
                )
            size, count = (image.rows, image.columns), 1

            def run(item: Pass, add: Callable[[int, Parts], None]) -> None:
                name = f"{image.name}, pass {item.number} of {item.count}"
                all_windows = range(len(item.windows))
                tell = _Telling(item.windows, all_windows, name, progress)
                if cluster is None:
                    one = partial(gather_window, item.gatherer, size)
                    stream(image, item.windows, all_windows, one, tell.after(add))
                    return
                part = replace(task, layers=(), windows=item.windows, known=item.known, is_gathering=True)
                cluster.label(part, all_windows, tell.after(add))

            labeller = session
            if gathering is not None and todo:
                count += gathering.passes
                gathering.reserve(*_largest(windows))

                def window_for(gatherer: Gatherer) -> int:
                    return window or choose_window(gatherer, image, memory=memory, held=before)

                known = gather(gathering, size, window_for, run, work.known, work.learn)
                labeller = gathering.knowing(known)
            name = image.name if count == 1 else f"{image.name}, pass {count} of {count}"
            tell = _Telling(windows, todo, name, progress)
            if cluster is None:
                label = partial(window_values, labeller, chosen=chosen, label_type=label_type)
                stream(image, windows, todo, label, tell.after(work.write))
            else:
                task = replace(task, known=None if gathering is None else work.known)
                cluster.label(task, todo, tell.after(work.note))
            tags = geographic_tags(image)
            layers = _layers(classes, probabilities, label_type, (caveat,) if caveat else ())
            for number, (path, layer) in enumerate(zip(paths, layers, strict=True)):
                rows = work.rows(number)
                work.publish(path, partial(write_layer, kind=kind, layer=layer, rows=rows, tags=tags))
            if overlay is not None:
                rows, left = work.rows(0), memory - memory_now()
                work.publish(Path(overlay), lambda path: draw_overlay(path, image, rows, classes, left))
            work.finish(leave_mark)
    except OSError as error:
        raise _explained(error, image.name, out) from error
    finally:
        image.close()
    return done


def labelled_paths(out: Path, probabilities: Sequence[str]) -> tuple[Path, ...]:
    """The file of labels, and those of the probabilities of some classes beside it."""
    return (out, *(out.with_name(f"{out.stem}_{name}{out.suffix}") for name in probabilities))


def class_numbers(names: Sequence[str], classes: Sequence[ClassInfo]) -> list[int]:
    """The numbers of classes by their names.

    Raises:
        ArgumentError: there is no class of a name, or one is named twice.
    """
    known = [item.name for item in classes]
    for name in names:
        if name not in known:
            raise ArgumentError(f"probabilities names {name!r}; use classes among {', '.join(known)}")
    if len(set(names)) < len(names):
        raise ArgumentError(f"probabilities is {', '.join(names)}; name each class once")
    return [known.index(name) for name in names]


def _label_type(wanted: LabelType | None, classes: int) -> LabelType:
    least: LabelType = "uint8" if classes <= 256 else "uint16"
    if wanted not in (None, "uint8", "uint16") or (wanted == "uint8" and least == "uint16"):
        raise ArgumentError(f"labels are wanted as {wanted}, of {classes} classes; use {least}")
    return wanted or least


def _layers(
    classes: Sequence[ClassInfo], probabilities: Sequence[str], label_type: str, notes: tuple[str, ...]
) -> list[Layer]:
    palette = flat_palette(classes) if label_type == "uint8" else None
    names, colors = (tuple(getattr(item, what) for item in classes) for what in ("name", "color"))
    labels = Layer("labels", palette, names, colors=colors, notes=notes)
    return [labels, *(Layer(f"probability of {name}, 255 for 1", notes=notes) for name in probabilities)]


class _Telling:
    """Tells how many pixels are done, after each window that is kept."""

    def __init__(
        self, windows: Sequence[Window], todo: Sequence[int], name: str, progress: Progress | None
    ) -> None:
        self._windows, self._name, self._progress = windows, name, progress
        self._total = sum(map(_pixels, windows))
        self._done = self._total - sum(_pixels(windows[number]) for number in todo)

    def after(self, keep: Callable[[int, Kept], None]) -> Callable[[int, Kept], None]:
        """The same as `keep`, and tell."""

        def kept(number: int, values: Kept) -> None:
            keep(number, values)
            self._done += _pixels(self._windows[number])
            if self._progress is not None:
                self._progress(self._done, self._total, self._name)

        return kept


def _files(source: str | PathLike[str] | Sliceable, model: str | PathLike[str] | None) -> tuple[Path, Path]:
    """The model and the picture, as workers find them.

    Raises:
        ArgumentError: one of them is no file, which other processes could open.
    """
    if not isinstance(source, (str, PathLike)):
        raise ArgumentError(f"source is of type {type(source).__name__}; a cluster labels files")
    if model is None:
        raise ArgumentError("model is None; a cluster needs the ONNX file that the session runs")
    return Path(model).resolve(), Path(source).resolve()


def _largest(windows: Sequence[Window]) -> tuple[int, int]:
    """Rows and columns that windows read at most."""
    rows = max(window.rows.stop - window.rows.start for window in windows)
    return rows, max(window.columns.stop - window.columns.start for window in windows)


def _pixels(window: Window) -> int:
    return (window.rows.last - window.rows.first) * (window.columns.last - window.columns.first)


def _explained(error: OSError, name: str, out: Path) -> DataError:
    """A sentence for what kept labels from being written."""
    if error.errno in _FULL:
        why, cure = "there is no room left", "free some"
    else:
        why, cure = error.strerror or str(error), "see to it"
    kept = f"; what is done is kept: {cure} and go on with --resume" if work_path(out).exists() else ""
    return DataError(f"{name}: cannot write its labels into {out.parent} ({why}){kept}")
