"""Labels pictures of any size, one or whole folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downup.data.colors import ClassInfo
from downup.errors import ArgumentError, DataError, DownupError
from downup.prediction.budget import memory_now
from downup.prediction.labelling import Progress, label_image, labelled_paths
from downup.prediction.passes import Pass, gather, gather_window
from downup.prediction.session import Gathering, Parts, Session
from downup.prediction.settings import Settings
from downup.prediction.sinks import labels_path, overlay_path
from downup.prediction.sources import find_pictures
from downup.prediction.windows import windows_of
from downup.prediction.work import is_begun, work_path

# Pixels kept along an axis of a window. Larger ones read less twice, smaller ones need less memory: at this
# side one activation of 64 channels takes about 256 MB, more with the halo.
DEFAULT_WINDOW = 1024


@dataclass(frozen=True)
class Outcome:
    """What became of the pictures.

    Attributes:
        done: the files of labels that were written, in order.
        failed: what could not be labelled, each with a sentence that says why.
    """

    done: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...]


def label_picture(
    session: Session,
    picture: NDArray[np.uint8],
    window: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Label every pixel of a picture, in windows where it is large; the labels are those of the whole picture
    at once.

    Args:
        session: what labels a window.
        picture: uint8 [rows, columns, channels], at least one pixel.
        window: at most so many pixels of a window are kept along an axis; by default 1024. Memory goes with
            the square of `window + 2 session.halo`.
        progress: called after each window with (windows done, windows, "").

    Returns:
        uint8 [rows, columns]; uint16 of more than 256 classes.

    Raises:
        ArgumentError: `picture` is no picture, or `window` is below 1.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.size == 0:
        raise ArgumentError(
            f"picture has shape {picture.shape} and dtype {picture.dtype}; "
            "give uint8 [rows, columns, channels] with at least one pixel"
        )
    in_rows, in_columns = picture.shape[:2]
    side = DEFAULT_WINDOW if window is None else window
    if session.gathering is not None and max(in_rows, in_columns) > side:
        session = _knowing(session.gathering, picture, side)
    windows = windows_of(session, in_rows, in_columns, side)
    labels = np.empty((in_rows, in_columns), np.uint8 if session.class_count <= 256 else np.uint16)
    for number, part in enumerate(windows, start=1):
        rows, columns = part.rows, part.columns
        read = session.labels(picture[rows.start : rows.stop, columns.start : columns.stop])
        labels[rows.first : rows.last, columns.first : columns.last] = read[
            rows.kept_of_read, columns.kept_of_read
        ]
        if progress is not None:
            progress(number, len(windows), "")
    return labels


def _knowing(gathering: Gathering, picture: NDArray[np.uint8], window: int) -> Session:
    """A session for the windows of a picture, which knows what they ask of the whole."""
    size = picture.shape[0], picture.shape[1]

    def run(item: Pass, add: Callable[[int, Parts], None]) -> None:
        for number, part in enumerate(item.windows):
            pixels = picture[part.rows.start : part.rows.stop, part.columns.start : part.columns.stop]
            add(number, gather_window(item.gatherer, size, pixels, part))

    return gathering.knowing(gather(gathering, size, lambda _: window, run))


def label_folder(
    session: Session,
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: Settings,
    *,
    overlay: bool = False,
    progress: Progress | None = None,
    windows_progress: Progress | None = None,
    suffix: str = ".png",
) -> Outcome:
    """Label pictures and write, for each, a file of the same stem and size: by default a palette PNG.

    A picture that cannot be read, or whose labels cannot be written, is left out and named; the rest is done.
    An old file of the same name is replaced, except if it is one of the pictures.

    Args:
        session: what labels a picture.
        paths: files and folders.
        out: folder for the labels; made if it is not there.
        settings: how.
        overlay: also write `STEM_overlay.jpg`, the picture with its labels laid over it.
        progress: called after each picture with (pictures done, pictures, name of the file).
        windows_progress: the progress of `label_image`.
        suffix: of the files of labels, as in `label_image`.

    Raises:
        ArgumentError: the classes are not as many as the session knows.
        DataError: before any work: there are no pictures; two would be written to one file; labels would
            overwrite a picture; `out` cannot be made.
    """
    check_classes(session, settings.classes)
    found = find_pictures(paths)
    out = Path(out)
    _refuse_collisions(found.pictures, out, suffix, overlay, settings.probabilities)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{out}: cannot make this folder ({error.strerror}); choose another for the labels"
        ) from error
    outs = {path: labels_path(out, path, suffix) for path in found.pictures}
    _refuse_begun(outs.values(), settings.resume)
    held = memory_now()
    done: list[Path] = []
    failed = list(found.empty)
    for number, path in enumerate(found.pictures, start=1):
        labels = outs[path]
        try:
            label_image(
                session,
                path,
                labels,
                settings,
                overlay=overlay_path(out, path) if overlay else None,
                progress=windows_progress,
                leave_mark=True,
                held=held,
            )
            done.append(labels)
        except DownupError as error:
            failed.append((path, _naming(path, str(error))))
        except MemoryError:
            failed.append((path, _naming(path, "not enough memory; use a smaller window")))
        if progress is not None:
            progress(number, len(found.pictures), path.name)
    if not any(is_begun(labels) for labels in outs.values() if labels not in done):
        for labels in done:
            shutil.rmtree(work_path(labels))
    return Outcome(tuple(done), tuple(failed))


def check_classes(session: Session, classes: Sequence[ClassInfo]) -> None:
    """Refuse classes that are not those of the session.

    Raises:
        ArgumentError: there are more or fewer.
    """
    if len(classes) != session.class_count:
        raise ArgumentError(
            f"classes names {len(classes)}, but the network knows {session.class_count}; "
            "give those it was trained on"
        )


def _refuse_collisions(
    pictures: Sequence[Path], out: Path, suffix: str, has_overlay: bool, probabilities: Sequence[str]
) -> None:
    # Resolved, so that a link or another way to write the folder's name hides no picture.
    sources = {picture.resolve(): picture for picture in pictures}
    written: dict[Path, Path] = {}
    for picture in pictures:
        paths = [*labelled_paths(labels_path(out, picture, suffix), probabilities)]
        if has_overlay:
            paths.append(overlay_path(out, picture))
        for path in paths:
            if path in written:
                raise DataError(
                    f"{written[path]} and {picture} would both be written as {path}; "
                    "rename one, or label them into two folders"
                )
            written[path] = picture
            if path.resolve() in sources:
                raise DataError(
                    f"{path}: the labels of {picture.name} would overwrite this picture; "
                    "write them into another folder"
                )


def _refuse_begun(outs: Iterable[Path], resume: bool) -> None:
    begun = [] if resume else [labels for labels in outs if is_begun(labels)]
    if begun:
        raise DataError(
            f"{begun[0]}: was begun by a run that was stopped, as were {len(begun) - 1} more; "
            f"go on with --resume, or remove {work_path(begun[0])} and the like to begin anew"
        )


def _naming(path: Path, message: str) -> str:
    """The message with the file in it, whether or not it has it already."""
    return message if str(path) in message else f"{path}: {message}"
