"""Labels a picture of any size into a file, in bounded memory; what is done is never done again."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from downup.data.colors import flat_palette
from downup.errors import ArgumentError, DataError
from downup.prediction.budget import choose_window, memory_now
from downup.prediction.cluster import Task
from downup.prediction.passes import Pass, gather, gather_window
from downup.prediction.session import Gatherer, Gathering, InWindows, Known, Parts, Session
from downup.prediction.settings import Settings
from downup.prediction.sinks import FORMATS, Layer, draw_overlay, format_of, write_layer
from downup.prediction.sources import Image, Sliceable, geographic_tags, is_zarr, open_image
from downup.prediction.sources.fingerprint import file_sha256
from downup.prediction.streaming import stream, window_values
from downup.prediction.windows import Window, windows_of
from downup.prediction.work import Work, work_path

Progress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and the name of what was done last."""

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
    settings: Settings,
    *,
    overlay: str | PathLike[str] | None = None,
    leave_mark: bool = False,
    held: int | None = None,
    progress: Progress | None = None,
) -> Labelled:
    """Label every pixel of a picture, whatever its size; the labels are those of the whole picture at once.

    While it works, `.NAME.downup` beside `out` holds what is done; it is removed when `out` is there.

    Args:
        session: what labels a window.
        source: a file as `open_image` takes it, or anything with a shape and slicing.
        out: a file whose suffix tells the format: .png, .tif, .npy or .zarr.
        settings: how.
        overlay: a JPEG file for the picture with its labels over it; a large one is shown smaller.
        leave_mark: keep a small `.NAME.downup`, by which a resumed run over many pictures passes this one over.
        held: bytes of memory that the process held before the session labelled anything; by default what it holds now.
        progress: called after each window with (pixels done, pixels, name of the image), in each pass over the picture.

    Raises:
        ArgumentError: an argument is out of its range, or there is too little memory.
        DataError: the picture cannot be read; `out` cannot be written, or another process writes it; an earlier run
            was stopped and is not to be resumed, or the picture, the model or a setting is another now.
    """
    out = Path(out)
    kind = format_of(out)
    if kind is None:
        raise ArgumentError(f"out is {str(out)!r}; end its name in one of {', '.join(FORMATS.values())}")
    image = open_image(source, settings.channels, settings.memory, settings.level)
    try:
        if out.is_dir() and not (kind == "zarr" and is_zarr(out)):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(out))
        with Work(out) as work:
            run = _Run(session, image, settings, work, memory_now() if held is None else held, progress)
            todo = work.start(run.about(), run.windows, settings.types, settings.resume)
            paths = labelled_paths(out, settings.probabilities)
            if not work.is_finished:
                run.label(todo, source)
                run.write(kind, paths, None if overlay is None else Path(overlay))
                work.finish(leave_mark)
    except OSError as error:
        raise _explained(error, image.name, out) from error
    finally:
        image.close()
    count = len(run.windows)
    return Labelled(out, paths[1:], image.rows, image.columns, count, count - len(todo), run.caveat)


class _Run:
    """The labelling of one picture.

    Attributes:
        windows: what the picture is cut into.
        caveat: what is to be said of the labels, or "".
    """

    def __init__(
        self,
        session: Session,
        image: Image,
        settings: Settings,
        work: Work,
        held: int,
        progress: Progress | None,
    ) -> None:
        self._session, self._image, self._settings, self._work = session, image, settings, work
        self._held, self._progress = held, progress
        self._gathering = session.gathering
        self._in_windows = session if self._gathering is None else self._gathering.knowing({})
        self._side = settings.window or work.window or self._choose(self._in_windows)
        self.windows = windows_of(self._in_windows, image.rows, image.columns, self._side)
        self._is_cut = len(self.windows) > 1
        if not self._is_cut:
            self._gathering = None
        self.caveat = session.caveat if self._is_cut else ""

    def _choose(self, worker: InWindows) -> int:
        whole = None if self._gathering is None else self._session
        memory, extra = self._settings.memory, self._settings.pixel_bytes
        return choose_window(worker, self._image, memory=memory, held=self._held, extra=extra, whole=whole)

    def about(self) -> dict[str, Any]:
        """What is made from what, as the manifest keeps it."""
        model = self._settings.model
        return {
            "model": {"path": str(model), "sha256": file_sha256(Path(model))} if model else {},
            "picture": self._image.identity(),
            "settings": {
                "window": self._side,
                "windows": len(self.windows),
                "rows": self._image.rows,
                "columns": self._image.columns,
                "halo": self._in_windows.halo if self._is_cut else 0,
                "stride": self._in_windows.stride if self._is_cut else 1,
                **self._settings.lasting(),
                "caveat": self.caveat,
            },
        }

    def label(self, todo: Sequence[int], source: str | PathLike[str] | Sliceable) -> None:
        """Label windows, here or on a cluster, after what they ask of the whole picture was gathered."""
        settings, cluster = self._settings, self._settings.cluster
        task = None
        if cluster is not None:
            files = _files(source, settings.model)
            task = Task(
                *files,
                self._work.layers,
                self.windows,
                settings.channels,
                settings.chosen,
                settings.memory,
                cluster.threads,
                settings.level,
                settings.types[0],
            )
        labeller, name = self._session, self._image.name
        if self._gathering is not None and todo:
            labeller = self._gathering.knowing(self._gathered(self._gathering, task))
            count = self._gathering.passes + 1
            name = f"{name}, pass {count} of {count}"
        tell = _Telling(self.windows, todo, name, self._progress)
        if cluster is None or task is None:
            label = partial(window_values, labeller, chosen=settings.chosen, label_type=settings.types[0])
            stream(self._image, self.windows, todo, label, tell.after(self._work.write))
        else:
            task = replace(task, known=None if self._gathering is None else self._work.known)
            cluster.label(task, todo, tell.after(self._work.note))

    def _gathered(self, gathering: Gathering, task: Task | None) -> Known:
        """The passes over the picture before that of the labels."""
        image, cluster = self._image, self._settings.cluster
        size = image.rows, image.columns
        gathering.reserve(*_largest(self.windows))

        def run(item: Pass, add: Callable[[int, Parts], None]) -> None:
            name = f"{image.name}, pass {item.number} of {item.count}"
            todo = range(len(item.windows))
            tell = _Telling(item.windows, todo, name, self._progress)
            if cluster is None or task is None:
                one = partial(gather_window, item.gatherer, size)
                stream(image, item.windows, todo, one, tell.after(add))
            else:
                part = replace(task, layers=(), windows=item.windows, known=item.known, is_gathering=True)
                cluster.label(part, todo, tell.after(add))

        def window_for(gatherer: Gatherer) -> int:
            memory = self._settings.memory
            return self._settings.window or choose_window(gatherer, image, memory=memory, held=self._held)

        return gather(gathering, size, window_for, run, self._work.known, self._work.learn)

    def write(self, kind: str, paths: Sequence[Path], overlay: Path | None) -> None:
        """Make the results, once all windows are labelled."""
        classes, work, image = self._settings.classes, self._work, self._image
        tags = geographic_tags(image)
        layers = _layers(self._settings, (self.caveat,) if self.caveat else ())
        for number, (path, layer) in enumerate(zip(paths, layers, strict=True)):
            rows = work.rows(number)
            work.publish(path, partial(write_layer, kind=kind, layer=layer, rows=rows, tags=tags))
        if overlay is not None:
            rows, left = work.rows(0), self._settings.memory - memory_now()
            work.publish(overlay, lambda path: draw_overlay(path, image, rows, classes, left))


def labelled_paths(out: Path, probabilities: Sequence[str]) -> tuple[Path, ...]:
    """The file of labels, and those of the probabilities of some classes beside it."""
    return (out, *(out.with_name(f"{out.stem}_{name}{out.suffix}") for name in probabilities))


def _layers(settings: Settings, notes: tuple[str, ...]) -> list[Layer]:
    classes, probabilities = settings.classes, settings.probabilities
    palette = flat_palette(classes) if settings.types[0] == "uint8" else None
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
