"""The training loop: from a dataset and options to a run folder, and on from wherever it was killed."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from downup.data import Dataset
from downup.errors import DataError, DownupError
from downup.evaluation import Scores, confusion_matrix
from downup.files import remove_parts
from downup.networks import load_encoder_weights
from downup.prediction import DatasetScores, label_picture, score_dataset
from downup.training.augmentation import Augmentation, Pixels
from downup.training.batches import BatchMaker, made_ahead
from downup.training.board import Board
from downup.training.checkpoint import load_checkpoint, load_tensors, save_checkpoint, save_tensors
from downup.training.config import TrainConfig
from downup.training.export import write_model
from downup.training.learner import Learner
from downup.training.plan import Plan, Readers, make_plan, open_readers, resume_plan, write_plan
from downup.training.progress import TrainProgress
from downup.training.results import write_metrics, write_overlays, write_run_report
from downup.training.run_folder import RunFolder

CHECKPOINT_SECONDS = 60.0
CHECKPOINT_SHARE = 0.05  # of the time at most, however large the network
_MOST_READERS = 8
_SHOWN = 4  # of the best and of the worst pictures in the report


@dataclass(frozen=True)
class TrainResult:
    """What a finished training came to.

    Args:
        run: the run folder.
        epochs: epochs trained, fewer than asked for where patience ended it.
        best_epoch: the epoch, from 1, whose weights are in best.safetensors.
        judged: the scores of those weights on the validation pictures.
    """

    run: RunFolder
    epochs: int
    best_epoch: int
    judged: DatasetScores

    @property
    def scores(self) -> Scores:
        """The scores over all validation pictures together."""
        return self.judged.scores


def train(
    dataset: Dataset,
    run: Path | str,
    config: TrainConfig | None = None,
    *,
    resume: bool = False,
    progress: TrainProgress | None = None,
    with_tensorboard: bool = False,
) -> TrainResult:
    """Train a network on `dataset` and leave everything about it in the folder `run`.

    Killed at any moment and resumed, it ends with the same weights, bit for bit, as if it had not been
    disturbed: on the CPU, with the same number of threads.

    Args:
        dataset: from `downup.data.open_dataset` or `downup.data.earth.dataset`.
        run: the run folder, made if it is not there.
        config: the options; None is all defaults or, with `resume`, those the run began with.
        resume: go on with the run in `run`; begin it if there is none.
        progress: told what happens; None says nothing.
        with_tensorboard: also write `run/tensorboard`.

    Raises:
        ArgumentError: options that contradict each other or, with `resume`, the run.
        DataError: data that cannot be used, a folder that already holds a run, or a loss that is no number.
    """
    folder, progress = RunFolder(run), progress or TrainProgress()
    if folder.has_run() and not resume:
        raise DataError(f"{folder.path}: already holds a run; go on with --resume, or choose another folder")
    folder.create()
    with folder.locked(), ExitStack() as stack:
        remove_parts(folder.path)
        plan, readers = _plan(dataset, folder, config, resume, progress)
        stack.enter_context(_torch_set_up(plan))
        board = stack.enter_context(Board.opened(folder.tensorboard if with_tensorboard else None))
        training = _Training(Learner(plan), readers, folder, progress, board)
        training.begin()
        # Only now, so that what is refused leaves nothing behind that looks like a run.
        write_plan(plan, dataset, folder)
        training.run_epochs()
        return training.finish(dataset)


def _plan(
    dataset: Dataset, folder: RunFolder, config: TrainConfig | None, resume: bool, progress: TrainProgress
) -> tuple[Plan, Readers]:
    if resume and folder.config.exists():
        readers = open_readers(dataset, folder.read_config()["channels"], progress)
        return resume_plan(dataset, folder, config, progress), readers
    if resume:
        progress.note(f"Nothing to resume in {folder.path}: beginning.")
    options = config or TrainConfig()
    readers = open_readers(dataset, options.channels, progress)
    return make_plan(dataset, readers, options, progress), readers


@contextmanager
def _torch_set_up(plan: Plan) -> Iterator[None]:
    """Set threads and determinism for the training alone: the caller's settings come back."""
    threads = torch.get_num_threads()
    gpus = [plan.device] if plan.device.type == "cuda" else []
    torch.set_num_threads(plan.settled.threads or threads)
    try:
        with (
            torch.random.fork_rng(devices=gpus),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        ):
            yield
    finally:
        torch.set_num_threads(threads)


@dataclass
class _EpochState:
    """What is added up during an epoch, and so part of a checkpoint."""

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    confusion: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    seconds: float = 0.0


class _Training:
    def __init__(
        self, learner: Learner, readers: Readers, folder: RunFolder, progress: TrainProgress, board: Board
    ) -> None:
        self.learner, self.plan, self.options = learner, learner.plan, learner.options
        self.readers, self.folder, self.progress, self.board = readers, folder, progress, board
        self.class_count = learner.plan.network.classes
        self.history: list[dict[str, Any]] = []
        self.state = self._fresh(1)
        self.saved_at, self.save_seconds = time.monotonic(), 0.0

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the best epoch so far; of equal ones the first."""
        return max(self.history, key=_ranked, default=None)

    def begin(self) -> None:
        """Go to where the last checkpoint stands, or to the start."""
        self.progress.note(self._described())
        network, last = self.learner.network, self.folder.last
        if not last.exists():
            if self.options.weights:
                self.progress.note(str(load_encoder_weights(network, Path(self.options.weights))))
            return
        about = load_checkpoint(last, network, self.learner.optimizer)
        self.history = about["history"]
        self.state = _EpochState(
            about["epoch"],
            about["step"],
            about["loss_sum"],
            np.array(about["confusion"], np.int64).reshape(self.class_count, self.class_count),
            about["seconds"],
        )
        self._bring_best_up_to_date()
        self.folder.write_history(self.history)
        done = f"after epoch {self.state.epoch - 1}"
        if self.state.step:
            done = f"in epoch {self.state.epoch} after step {self.state.step}/{self.plan.steps}"
        self.progress.note(f"Going on {done}.")

    def run_epochs(self) -> None:
        """Train until the last epoch or until patience ends."""
        if self._is_done():
            return
        augmentation = Augmentation.named(self.options.size or 1, self.options.augment)
        maker = BatchMaker(self.readers.train, augmentation, self.options.batch, self.options.seed)
        steps, first_epoch, first_step = self.plan.steps, self.state.epoch, self.state.step
        ahead = (
            (epoch, step)
            for epoch in range(first_epoch, self.options.epochs + 1)
            for step in range(first_step if epoch == first_epoch else 0, steps)
        )
        # Beside a GPU the processors are free to read pictures; beside training on them, one thread keeps up.
        readers = min(_MOST_READERS, os.cpu_count() or 1) if self.plan.device.type == "cuda" else 1
        ahead_of_time = made_ahead(maker, ahead, depth=2 + readers, threads=readers)
        with closing(ahead_of_time) as batches, self.progress.running(self.options.epochs, steps):
            while not self._is_done():
                self._run_epoch(batches)

    def finish(self, dataset: Dataset) -> TrainResult:
        """Score the best weights and write metrics, report, overlays and the ONNX file."""
        best = self.best
        if best is None:
            raise DownupError(f"{self.folder.path}: no epoch was trained")
        tensors, _ = load_tensors(self.folder.best)
        self.learner.network.load_state_dict(tensors)
        self.progress.note("Scoring the best weights.")
        session, samples, channels = self.learner.session(), self.readers.val.samples, self.learner.channels
        judged = score_dataset(session, samples, dataset.classes, channels, keep=_SHOWN)
        write_metrics(self.folder, judged, split=self.readers.val_split, epoch=best["epoch"])
        write_overlays(self.folder, session, samples, channels)
        write_run_report(self.folder, judged)
        write_model(
            self.learner.network,
            self.folder.model,
            classes=tuple(dataset.classes),
            channels=channels,
            normalization=(list(self.plan.mean), list(self.plan.deviation)),
        )
        return TrainResult(self.folder, len(self.history), best["epoch"], judged)

    def _run_epoch(self, batches: Iterator[tuple[Pixels, Pixels]]) -> None:
        steps, state = self.plan.steps, self.state
        self.learner.network.train()
        rate = 0.0
        while state.step < steps:
            start = time.monotonic()
            pictures, masks = next(batches)
            outcome = self.learner.step(pictures, masks, state.epoch, state.step)
            rate = outcome.rate
            state.step += 1
            state.loss_sum += outcome.loss
            state.confusion += outcome.confusion
            state.seconds += time.monotonic() - start
            self.progress.step_done(state.epoch, state.step, state.loss_sum / state.step, rate)
            if state.step < steps and self._is_checkpoint_due():
                self._save()
        start = time.monotonic()
        val = self._validate()
        row = {
            "epoch": state.epoch,
            "step": state.epoch * steps,
            "rate": rate,
            "train_loss": state.loss_sum / steps,
            "train_mean_iou": Scores.from_confusion(state.confusion).mean_iou,
            "val_mean_iou": val.mean_iou,
            "val_pixel_accuracy": val.pixel_accuracy,
            "seconds": round(state.seconds + time.monotonic() - start, 3),
        }
        self.history.append(row)
        is_best = self.best is row
        self.state = self._fresh(state.epoch + 1)
        # In this order: killed between the two, the checkpoint still holds the best weights.
        self._save()
        self._bring_best_up_to_date()
        self.folder.write_history(self.history)
        self.board.write(row)
        self.progress.epoch_done(row, is_best)

    def _validate(self) -> Scores:
        reader, session = self.readers.val, self.learner.session()
        confusion = np.zeros((self.class_count, self.class_count), np.int64)
        for index in range(len(reader)):
            picture, mask = reader[index]
            confusion += confusion_matrix(mask, label_picture(session, picture), self.class_count)
            self.progress.picture_labelled(self.state.epoch, index + 1, len(reader))
        return Scores.from_confusion(confusion)

    def _is_done(self) -> bool:
        if self.state.step or self.best is None:
            return False
        patience, waited = self.options.patience, len(self.history) - self.best["epoch"]
        return len(self.history) >= self.options.epochs or 0 < patience <= waited

    def _is_checkpoint_due(self) -> bool:
        waited = time.monotonic() - self.saved_at
        return waited > max(CHECKPOINT_SECONDS, self.save_seconds / CHECKPOINT_SHARE)

    def _save(self) -> None:
        start = time.monotonic()
        state = self.state
        about = {
            "epoch": state.epoch,
            "step": state.step,
            "loss_sum": state.loss_sum,
            "confusion": state.confusion.tolist(),
            "seconds": state.seconds,
            "history": self.history,
        }
        save_checkpoint(self.folder.last, self.learner.network, self.learner.optimizer, about)
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - start

    def _bring_best_up_to_date(self) -> None:
        """Write best.safetensors if the epoch that just ended is the best, unless it is already there."""
        best = self.best
        if best is None or self.state.step or best["epoch"] != len(self.history):
            return
        if self.folder.best.exists() and load_tensors(self.folder.best)[1].get("epoch") == best["epoch"]:
            return
        about = {
            "epoch": best["epoch"],
            "mean_iou": best["val_mean_iou"],
            "network": self.plan.network.to_dict(),
            "channels": self.options.channels,
            "normalization": {"mean": self.plan.mean, "std": self.plan.deviation},
        }
        save_tensors(self.folder.best, self.learner.network.state_dict(), about)

    def _described(self) -> str:
        options, network, readers = self.options, self.plan.network, self.readers
        threads = f", {options.threads} threads" if self.plan.device.type == "cpu" else ""
        pair = f"down {network.down}, up {network.up}, width {network.width:g}"
        crops = f"{options.batch} crops of {options.size} x {options.size} pixels"
        return (
            f"{network.model} on {network.encoder}, {pair}: {self.learner.parameter_count / 1e6:.2f} million "
            f"parameters. {len(readers.train)} pictures to learn from, {len(readers.val)} to validate on; "
            f"{self.plan.steps} steps of {crops} in an epoch; {options.device}{threads}."
        )

    def _fresh(self, epoch: int) -> _EpochState:
        return _EpochState(epoch, confusion=np.zeros((self.class_count, self.class_count), np.int64))


def _ranked(row: dict[str, Any]) -> float:
    value = float(row["val_mean_iou"])
    return -1.0 if math.isnan(value) else value
