import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from downup.data import Dataset
from downup.errors import ArgumentError, DataError, DownupError
from downup.training import RunFolder, TrainConfig, TrainProgress, learner, load_session, loop, train
from downup.training.checkpoint import load_tensors
from shapes import shapes_dataset

SMALL = TrainConfig(width=0.125, epochs=2, size=32, batch=4, threads=1, device="cpu")


class Heard(TrainProgress):
    """Keeps the sentences, and stops the process, as far as training can tell, after so many steps."""

    def __init__(self, steps=None):
        self.notes, self.rows, self.steps = [], [], steps

    def note(self, text):
        self.notes.append(text)

    def step_done(self, epoch, step, loss, rate):
        if self.steps is not None:
            self.steps -= 1
            if self.steps == 0:
                raise KeyboardInterrupt

    def epoch_done(self, row, is_best):
        self.rows.append(row)


def same(one, other):
    one, other = load_file(one), load_file(other)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = RunFolder(tmp_path_factory.mktemp("finished"))
    return train(shapes_dataset(), run.path, SMALL)


def test_a_run_leaves_everything_it_promises(finished):
    run = finished.run
    names = {path.name for path in run.path.iterdir()}
    config = run.read_config()
    metrics = json.loads(run.metrics.read_text())

    assert names == {
        "config.json", "classes.json", "history.csv", "last.safetensors", "best.safetensors", "metrics.json",
        "report.html", "overlays", "model.onnx",
    }  # fmt: skip
    assert metrics["mean_iou"] == finished.scores.mean_iou
    assert metrics["epoch"] == finished.best_epoch
    assert [row["epoch"] for row in run.read_history()] == [1, 2]
    assert config["network"]["model"] == "unet"
    assert config["settled"]["steps_per_epoch"] == 2
    assert config["settled"]["threads"] == 1
    assert {path.name for path in run.overlays.iterdir()} >= {f"v{number}.jpg" for number in range(4)}
    assert "<html" in run.report.read_text()


def test_the_loop_learns(tmp_path):
    config = TrainConfig.from_dict(
        {**SMALL.to_dict(), "width": 0.25, "epochs": 5, "steps_per_epoch": 8, "lr": 2e-2}
    )
    result = train(shapes_dataset(), tmp_path, config)

    # Calling everything ground gives 0.27.
    assert result.scores.mean_iou > 0.45


def test_the_saved_weights_give_the_scores_of_the_run(finished):
    dataset = shapes_dataset()
    session = load_session(finished.run)
    right = total = 0
    for sample in dataset.splits["val"]:
        labels, mask = session.labels(sample.read_image("rgb")), sample.read_mask()
        right += np.count_nonzero((labels == mask) & (mask != 255))
        total += np.count_nonzero(mask != 255)

    assert right / total == pytest.approx(finished.scores.pixel_accuracy)


def test_a_run_is_a_function_of_its_options(finished, tmp_path):
    again = train(shapes_dataset(), tmp_path / "again", SMALL)
    other = train(shapes_dataset(), tmp_path / "other", TrainConfig.from_dict({**SMALL.to_dict(), "seed": 1}))

    assert same(again.run.best, finished.run.best)
    assert not same(other.run.best, finished.run.best)


OPTIONS = {
    "segnet": {"model": "segnet", "width": 0.0625},
    "dropout": {"model": "fcn32s", "width": 0.03125},
    "grey": {"channels": "grey", "schedule": "one-cycle", "dice": 0.5, "class_weights": "balanced"},
    "augmented": {"augment": ("flip", "turn", "scale", "colour"), "amp": True},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_stopped_in_an_epoch_and_resumed_it_ends_with_the_same_weights(name, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "CHECKPOINT_SHARE", math.inf)
    config = TrainConfig.from_dict({**SMALL.to_dict(), **OPTIONS[name], "steps_per_epoch": 3})
    undisturbed = train(shapes_dataset(), tmp_path / "undisturbed", config)
    for steps in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train(shapes_dataset(), tmp_path / "stopped", config, resume=True, progress=Heard(steps))
    heard = Heard()
    resumed = train(shapes_dataset(), tmp_path / "stopped", resume=True, progress=heard)

    # The third checkpoint was not yet written when the third step ended.
    assert "Going on in epoch 2 after step 1/3." in heard.notes or "Going on after epoch 1." in heard.notes
    assert same(resumed.run.last, undisturbed.run.last)
    assert same(resumed.run.best, undisturbed.run.best)
    without_time = [
        [{name: value for name, value in row.items() if name != "seconds"} for row in run.read_history()]
        for run in (resumed.run, undisturbed.run)
    ]
    assert without_time[0] == without_time[1]
    assert resumed.scores == undisturbed.scores


def test_killed_between_last_and_best_the_best_weights_are_not_lost(finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(loop._Training, "_bring_best_up_to_date", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(shapes_dataset(), tmp_path, SMALL)
    run = RunFolder(tmp_path)
    assert run.last.exists()
    assert not run.best.exists()

    train(shapes_dataset(), tmp_path, resume=True)

    assert same(run.best, finished.run.best)


def test_resuming_a_finished_run_scores_it_again_and_trains_nothing(finished):
    before = finished.run.last.read_bytes()
    heard = Heard()
    again = train(shapes_dataset(), finished.run.path, resume=True, progress=heard)

    assert not heard.rows
    assert finished.run.last.read_bytes() == before
    assert again.scores == finished.scores


def test_a_folder_with_a_run_is_refused_without_resume(finished):
    with pytest.raises(DataError, match=r"already holds a run; go on with --resume"):
        train(shapes_dataset(), finished.run.path, SMALL)


def test_resuming_with_other_options_is_refused_by_name(finished):
    for name, value in {"lr": 0.5, "epochs": 9, "augment": (), "model": "segnet", "seed": 3}.items():
        with pytest.raises(ArgumentError, match=rf"^{name} is .* but the run in .* began with"):
            train(
                shapes_dataset(),
                finished.run.path,
                TrainConfig.from_dict({**SMALL.to_dict(), name: value}),
                resume=True,
            )


def test_threads_may_change_and_this_is_said(finished):
    heard = Heard()
    config = TrainConfig.from_dict({**SMALL.to_dict(), "threads": 2})
    train(shapes_dataset(), finished.run.path, config, resume=True, progress=heard)

    assert any(note.startswith("threads is now 2: the weights will differ") for note in heard.notes)


def test_resuming_with_other_data_is_refused(finished):
    with pytest.raises(
        DataError, match=r"began with 8 training and 4 validation pictures, but the data now has 7"
    ):
        train(shapes_dataset(train=7), finished.run.path, resume=True)


def test_patience_ends_a_run_that_no_longer_improves(tmp_path):
    # At this rate nothing is ever learned, and of equal epochs the first stays the best.
    never = {**OPTIONS["dropout"], "epochs": 50, "patience": 2, "lr": 1e-12}
    config = TrainConfig.from_dict({**SMALL.to_dict(), **never})
    result = train(shapes_dataset(), tmp_path, config)

    assert (result.epochs, result.best_epoch) == (3, 1)


def test_a_loss_that_is_no_number_stops_before_it_spoils_the_weights(tmp_path, monkeypatch):
    real, calls = learner.cross_entropy, []

    def spoiled(logits, labels, weights):
        calls.append(1)
        return real(logits, labels, weights) * (math.nan if len(calls) == 4 else 1.0)

    monkeypatch.setattr(learner, "cross_entropy", spoiled)
    with pytest.raises(
        DownupError, match=r"the loss is nan in epoch 2 at step 2; .* last good weights: .* --lr below"
    ):
        train(shapes_dataset(), tmp_path, SMALL)

    tensors, about = load_tensors(tmp_path / "last.safetensors")
    assert about["epoch"] == 2
    assert all(value.isfinite().all() for value in tensors.values())


def test_one_picture_and_no_validation_is_enough_and_said(tmp_path):
    heard = Heard()
    dataset = Dataset({"train": shapes_dataset(train=1).splits["train"]}, shapes_dataset().classes)
    train(dataset, tmp_path, SMALL, progress=heard)

    assert any("No validation pictures" in note for note in heard.notes)
    assert json.loads((tmp_path / "metrics.json").read_text())["split"] == "train"


def test_crop_size_follows_small_pictures(tmp_path):
    config = TrainConfig.from_dict({**SMALL.to_dict(), "size": None, "epochs": 1})
    train(shapes_dataset(), tmp_path, config)

    assert RunFolder(tmp_path).read_config()["settled"]["size"] == 64


def test_data_that_cannot_be_trained_on_is_refused(tmp_path):
    shapes = shapes_dataset()
    with pytest.raises(DataError, match="has 1 classes; training needs 2 to 255"):
        train(Dataset(shapes.splits, shapes.classes[:1]), tmp_path / "1", SMALL)
    with pytest.raises(DataError, match="has 300 classes; training needs 2 to 255"):
        train(Dataset(shapes.splits, shapes.classes * 100), tmp_path / "2", SMALL)
    with pytest.raises(DataError, match=r"no training pictures \(splits found: val\)"):
        train(Dataset({"val": shapes.splits["val"]}, shapes.classes), tmp_path / "3", SMALL)
    with pytest.raises(DataError, match="holds the label 2, but there are 2 classes"):
        train(Dataset(shapes.splits, shapes.classes[:2]), tmp_path / "4", SMALL)
    with pytest.raises(ArgumentError, match="device is 'gpu'"):
        train(shapes, tmp_path / "5", TrainConfig.from_dict({**SMALL.to_dict(), "device": "gpu"}))


def test_the_callers_threads_and_random_numbers_come_back(tmp_path):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train(shapes_dataset(), tmp_path, TrainConfig.from_dict({**SMALL.to_dict(), "epochs": 1}))

    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_a_damaged_checkpoint_is_named(finished, tmp_path):
    (tmp_path / "config.json").write_bytes(finished.run.config.read_bytes())
    (tmp_path / "last.safetensors").write_bytes(finished.run.last.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"last\.safetensors: cannot be read"):
        train(shapes_dataset(), tmp_path, resume=True)


def test_weights_of_another_network_are_named(finished, tmp_path):
    config = finished.run.read_config()
    config["network"]["width"] = 0.25
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "best.safetensors").write_bytes(finished.run.best.read_bytes())
    with pytest.raises(DataError, match=r"best\.safetensors: .* has shape"):
        load_session(tmp_path)


def test_tensorboard_gets_a_point_per_epoch(tmp_path):
    pytest.importorskip("tensorboard")
    train(shapes_dataset(), tmp_path, SMALL, with_tensorboard=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()

    assert [event.step for event in log.Scalars("val_mean_iou")] == [1, 2]


def test_a_run_that_never_came_to_a_checkpoint_may_be_begun_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(shapes_dataset(), tmp_path, SMALL, progress=Heard(1))
    other = TrainConfig.from_dict({**SMALL.to_dict(), "seed": 7, "epochs": 1})
    train(shapes_dataset(), tmp_path, other)

    assert RunFolder(tmp_path).read_config()["options"]["seed"] == 7


def test_crops_that_cannot_be_normalised_are_refused(tmp_path):
    config = TrainConfig.from_dict({**SMALL.to_dict(), "batch": 1})
    with pytest.raises(ArgumentError, match=r"batch is 1 and size is 32: .* use batch >= 2 or size > 32"):
        train(shapes_dataset(), tmp_path, config)


def test_too_little_memory_is_said(tmp_path, monkeypatch):
    def starved(logits, labels, weights):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(learner, "cross_entropy", starved)
    with pytest.raises(
        DownupError, match="not enough memory on cpu for 4 crops of 32 x 32 pixels; use a smaller"
    ):
        train(shapes_dataset(), tmp_path, SMALL)
