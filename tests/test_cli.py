import dataclasses
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx_ir
import pytest
from PIL import Image
from typer.testing import CliRunner

from downup.cli import app
from downup.cli.console import fail
from downup.data import NetworkMetadata, earth
from downup.networks import DOWNS, ENCODERS, MODELS, UPS
from shapes import CLASSES, make_shapes, write_shapes

QUICK = ("--width", 0.125, "--size", 32, "--batch", 4, "--epochs", 1, "--threads", 1, "--device", "cpu")


# For `predict` in the tests' own process, which holds what all tests before it left.
ROOMY = ("--memory", "16GB")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def process(*arguments, **options):
    """Run the command line as users do, in a process of its own."""
    command = [sys.executable, "-c", "from downup.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def assert_refused(result, *words):
    """One line on stderr, no traceback, status 1."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


@pytest.fixture(autouse=True)
def _own_memory(monkeypatch):
    """What a process of the command line holds: this one holds whatever the tests before have loaded."""
    monkeypatch.setattr("downup.prediction.budget.memory_now", lambda: 300 << 20)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write_shapes(tmp_path_factory.mktemp("data") / "shapes")
    names = [{"name": item.name, "color": list(item.color)} for item in CLASSES]
    (folder / "classes.json").write_text(json.dumps(names))
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = run("train", data, "-o", folder, *QUICK, "--epochs", 6, "--steps-per-epoch", 8, "--lr", 0.02)
    assert result.exit_code == 0, result.output
    return folder, result


def test_training_prints_a_plain_table_and_says_what_to_do_next(trained):
    folder, result = trained
    lines = result.stdout.splitlines()
    rows = [line for line in lines if re.match(r" *\d/6 ", line)]

    assert len(rows) == 6
    assert "\x1b" not in result.stdout
    assert f"Report: {folder / 'report.html'}" in lines
    assert re.search(r"Best epoch \d of 6: mean IoU 0\.\d{4}", result.stdout)


def test_training_leaves_a_model_that_says_everything_of_itself(trained):
    folder, _ = trained
    model = onnx_ir.load(folder / "model.onnx")
    about = NetworkMetadata.from_properties(model.metadata_props, folder / "model.onnx")
    settled = json.loads((folder / "config.json").read_text())

    assert about.classes == tuple(CLASSES)
    assert list(about.mean) == settled["normalization"]["mean"]
    assert about.stride == 32
    assert about.halo > 32
    assert about.network == settled["network"]


def test_an_exported_run_is_held_against_onnx_runtime_at_five_sizes(trained, tmp_path):
    folder, _ = trained
    result = run("export", folder, "-o", tmp_path / "model.onnx")
    rows = re.findall(r"\d+x\d+x\d+ .*%", result.stdout)

    assert result.exit_code == 0, result.output
    assert len(rows) == 5
    exported, kept = (onnx_ir.load(path / "model.onnx") for path in (tmp_path, folder))
    assert exported.metadata_props == kept.metadata_props
    assert [node.op_type for node in exported.graph] == [node.op_type for node in kept.graph]


def test_an_export_that_does_not_agree_ends_in_status_1(trained, tmp_path, monkeypatch):
    folder, _ = trained
    monkeypatch.setattr("downup.networks.export.check.MOST_DIFFERENCE", 0.0)
    result = run("export", folder, "-o", tmp_path / "model.onnx")

    assert_refused(result, "model.onnx", "do not agree")


def test_classes_of_the_data_are_kept_with_the_run(trained):
    folder, _ = trained

    assert json.loads((folder / "classes.json").read_text()) == [
        {"name": item.name, "color": list(item.color)} for item in CLASSES
    ]


def test_evaluate_gives_the_scores_of_training(data, trained, tmp_path):
    folder, _ = trained
    result = run("evaluate", folder, data, "--json", tmp_path / "scores.json", "--device", "cpu")
    scores = json.loads((tmp_path / "scores.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())

    assert result.exit_code == 0, result.output
    # The engine labels here, torch did in training: a pixel may lie between two classes.
    assert scores["mean_iou"] == pytest.approx(metrics["mean_iou"], abs=1e-3)
    found, expected = np.array(scores["confusion"]), np.array(metrics["confusion"])
    assert np.abs(found - expected).sum() <= 2e-4 * expected.sum()
    assert all(item.name in result.stdout for item in CLASSES)
    assert f"Mean IoU {scores['mean_iou']:.4f}" in result.stdout


def test_evaluate_takes_a_split_or_names_those_there_are(data, trained):
    folder, _ = trained
    train = run("evaluate", folder, data, "--split", "train")

    assert "on 8 pictures" in train.stdout
    assert_refused(
        run("evaluate", folder, data, "--split", "test"), "no pictures in split 'test'", "train, val"
    )


def test_evaluate_refuses_data_with_other_classes(trained, tmp_path):
    folder, _ = trained
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number in range(4):
        picture, mask = make_shapes(number)
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.where(mask == 2, 4, mask).astype(np.uint8)).save(
            tmp_path / "masks" / f"{number}.png"
        )

    assert_refused(run("evaluate", folder, tmp_path), "has 5 classes", "knows 3 (ground, disc, square)")


def test_predict_keeps_size_and_stem_and_paints_in_the_classes_colours(data, trained, tmp_path):
    folder, _ = trained
    picture, _ = make_shapes(77, side=61)
    Image.fromarray(picture[:, :50]).save(tmp_path / "odd.png")
    result = run(
        "predict",
        folder,
        tmp_path / "odd.png",
        data / "val" / "images",
        "-o",
        tmp_path / "out",
        "--overlay",
        *ROOMY,
    )

    assert result.exit_code == 0, result.output
    assert "Labelled 5 of 5 pictures" in result.stdout
    with Image.open(tmp_path / "out" / "odd.png") as labels:
        assert (labels.mode, labels.size) == ("P", (50, 61))
        assert labels.getpalette()[:9] == [level for item in CLASSES for level in item.color]
        assert np.asarray(labels).max() < 3
    assert (tmp_path / "out" / "odd_overlay.jpg").exists()


def test_predict_takes_an_exported_network_and_writes_one_file(data, trained, tmp_path):
    folder, _ = trained
    picture, out = data / "val" / "images" / "v0.png", tmp_path / "made" / "labels.tif"
    names = [item.name for item in CLASSES]
    result = run(
        "predict",
        folder / "model.onnx",
        picture,
        "-o",
        out,
        *ROOMY,
        "--probabilities",
        ",".join(names),
    )
    assert result.exit_code == 0, result.output
    assert "Labelled 1 of 1 pictures" in result.stdout
    expected = sorted(["labels.tif", *(f"labels_{name}.tif" for name in names)])
    assert sorted(path.name for path in out.parent.iterdir()) == expected
    run("predict", folder, picture, "-o", tmp_path, *ROOMY)
    read = [np.asarray(Image.open(out.with_name(f"labels_{name}.tif")).copy()) for name in names]
    labels, shares = np.asarray(Image.open(out).copy()), np.stack(read).astype(int)
    np.testing.assert_array_equal(labels, np.asarray(Image.open(tmp_path / "v0.png").copy()))
    assert np.abs(shares.sum(axis=0) - 255).max() <= 1
    # The label is that of the most probable class; two may be the same byte.
    np.testing.assert_array_equal(np.take_along_axis(shares, labels[None], 0)[0], shares.max(axis=0))

    few = run("predict", folder / "model.onnx", picture, "-o", out, "--memory", "1MB")
    assert_refused(few, "memory is 1 MB", "--memory")


def test_predict_names_a_bad_picture_and_labels_the_rest(data, trained, tmp_path):
    folder, _ = trained
    bad = tmp_path / "bad.png"
    bad.write_bytes((data / "val" / "images" / "v0.png").read_bytes()[:100])
    result = run("predict", folder, bad, data / "val" / "images", "-o", tmp_path / "out", *ROOMY)

    assert result.exit_code == 1
    assert "Labelled 4 of 5 pictures" in result.stdout
    assert result.stderr.startswith("error: ")
    assert str(bad) in result.stderr
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_resume_takes_the_options_of_the_run(data, trained):
    folder, _ = trained
    before = (folder / "last.safetensors").read_bytes()
    result = run("train", data, "-o", folder, "--resume")

    assert result.exit_code == 0, result.output
    assert (folder / "last.safetensors").read_bytes() == before
    assert_refused(
        run("train", data, "-o", folder, "--resume", "--lr", "0.5"), "lr is 0.5", "began with 0.02"
    )
    assert_refused(run("train", data, "-o", folder, *QUICK), "already holds a run", "--resume")


def test_interrupted_training_says_how_to_go_on(data, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", "from downup.cli import main; main()", "train", data, "-o", folder]
    training = subprocess.Popen(
        [str(word) for word in (*command, *QUICK, "--epochs", 1000)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell that runs the tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not (folder / "best.safetensors").exists():
        assert training.poll() is None
        time.sleep(0.05)
    training.send_signal(signal.SIGINT)
    _, errors = training.communicate()

    assert training.returncode == 130
    assert errors == f"error: stopped; go on with: downup train {data} -o {folder} --resume\n"
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "absent", "-o", "run"], ["absent"]),
        (["train", "{data}", "-o", "run", "--model", "nonet"], ["model is 'nonet'", "unet"]),
        (["train", "{data}", "-o", "run", "--model", "fcn8s", "--up", "unpool"], ["up is 'unpool'"]),
        (["train", "{data}", "-o", "run", "--augment", "flip,spin"], ["augment is 'spin'", "turn"]),
        (["train", "{data}", "-o", "run", "--lr", "0"], ["lr is 0.0"]),
        (["train", "{data}", "-o", "run", "--device", "gpu"], ["device is 'gpu'"]),
        (["train", "{data}", "-o", "run", "--weights", "absent.pth"], ["absent.pth"]),
        (["evaluate", "absent", "{data}"], ["absent: no such run folder"]),
        (["predict", "{data}", "{data}", "-o", "out"], ["not a run folder"]),
        (["check", "absent"], ["absent"]),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(arguments, words, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(run(*(argument.format(data=data) for argument in arguments)), *words)


@pytest.mark.parametrize(
    ("option", "value"), [("--batch", "0"), ("--epochs", "x"), ("--schedule", "cosine"), ("--seed", "-1")]
)
def test_a_value_out_of_range_is_refused_with_the_name_of_its_option(option, value, data, tmp_path):
    result = run("train", data, "-o", tmp_path / "run", option, value)

    assert result.exit_code == 2
    assert option in result.stderr


@pytest.mark.parametrize("option", [("--model", "nonet"), ("--weights", "absent.pth"), ("--device", "gpu")])
def test_a_refused_command_leaves_no_run_behind(option, data, tmp_path):
    result = run("train", data, "-o", tmp_path / "run", *QUICK, *option)

    assert result.exit_code == 1
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_check_shows_the_balance_of_good_data(data):
    result = run("check", data)
    masks = [make_shapes(number)[1] for number in [*range(8), *range(1000, 1004)]]

    assert result.exit_code == 0, result.output
    for label, item in enumerate(CLASSES):
        [row] = [line for line in result.stdout.splitlines() if f" {item.name} " in line]
        assert str(sum(int((mask == label).sum()) for mask in masks)) in row.replace(",", "")


def test_check_names_every_problem_and_its_cure(data, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    (broken / "train" / "masks" / "t0.png").unlink()
    (broken / "val" / "images" / "v1.png").write_bytes(b"nothing")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(broken / "train" / "masks" / "t1.png")
    result = run("check", broken)

    assert result.exit_code == 1
    for name in ("t0", "v1.png", "t1.png"):
        assert name in result.stdout + result.stderr
    assert "Traceback" not in result.output


class ReadTile:
    """A tile read once, before the picture of the world is replaced by a part of it."""

    def __init__(self, tile):
        self.stem, self.picture, self.mask = tile.stem, tile.read_image("grey"), tile.read_mask()

    def read_image(self, channels):
        return self.picture

    def read_mask(self):
        return self.mask


def test_demo_ends_in_a_labelled_map_and_a_report_with_the_lookup_to_compare(tmp_path, monkeypatch):
    # The same road on a corner of the world: West Africa, where all but the ice is found.
    module = importlib.import_module("downup.cli.demo")
    quick = dataclasses.replace(module._OPTIONS, epochs=1, steps_per_epoch=2, batch=2, size=64)
    monkeypatch.setattr(module, "_OPTIONS", quick)
    monkeypatch.setattr(module, "_WINDOW", 96)
    whole, dataset = earth.picture, earth.dataset()
    tiles = {"train": dataset.splits["train"][::20], "val": dataset.splits["val"][::16]}
    some = {split: [ReadTile(tile) for tile in tiles[split]] for split in tiles}
    monkeypatch.setattr(earth, "dataset", lambda: dataclasses.replace(dataset, splits=some))
    monkeypatch.setattr(earth, "picture", lambda channels: whole(channels)[1100:1300, 2450:2750])
    result = run("demo", "-o", tmp_path / "demo", "--threads", 1, "--device", "cpu")

    assert result.exit_code == 0, result.output
    report = (tmp_path / "demo" / "report.html").read_text()
    assert re.search(r"lookup by brightness +0\.\d{4}\n", result.stdout)
    assert re.search(r"of the network +0\.\d{4}  \([+-]0\.\d{4}\)\n", result.stdout)
    with Image.open(tmp_path / "demo" / "world.png") as labels:
        assert (labels.mode, labels.size) == ("P", (300, 200))
    with Image.open(tmp_path / "demo" / "world.jpg") as shown:
        assert shown.width == 300
        assert shown.height > 200
    assert "world.jpg" in report
    assert "lookup" in report


def test_ops_lists_the_catalog():
    from downup.catalog import OPERATORS

    result = run("ops")

    assert result.exit_code == 0
    assert all(row.name in result.stdout for row in OPERATORS)
    assert "…" not in result.stdout


def test_help_names_every_network_and_default():
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", run("train", "--help").stdout).split())

    for name in (*MODELS, *ENCODERS, *DOWNS, *UPS, "[default: unet]", "[default: 0.001]"):
        assert name in shown


def test_version_and_help_are_quick_and_load_neither_torch_nor_numpy():
    program = (
        "import sys\n"
        "from downup.cli import app\n"
        "heavy = {'torch', 'numpy', 'PIL', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "app(['--version'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert re.fullmatch(r"downup \d+\.\d+\.\d+\n", done.stdout), done.stderr


def test_a_trained_run_labels_and_is_scored_without_torch(data, trained, tmp_path):
    folder, _ = trained
    for arguments in (
        ["evaluate", folder, data],
        ["predict", folder, data / "val" / "images", "-o", tmp_path / "out"],
    ):
        program = (
            "import sys; sys.modules['torch'] = None\n"
            "from downup.cli import app\n"
            f"app({[*map(str, arguments)]!r})"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


@pytest.mark.parametrize("command", ["train", "demo"])
def test_without_torch_one_line_says_what_to_install(command, data, tmp_path):
    arguments = {
        "train": [data, "-o", "run"],
    }
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from downup.cli import app\n"
        f"app({[command, *map(str, arguments.get(command, []))]!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'downup[train]'" in done.stderr


def test_without_torch_check_and_ops_work(data):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from downup.cli import app\n"
        f"app(['check', {str(data)!r}], standalone_mode=False); app(['ops'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "max_pool2d" in done.stdout


def test_a_reader_that_closes_the_pipe_is_no_error():
    command = f"{sys.executable} -c 'from downup.cli import main; main()' ops | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert done.stderr == ""


def test_an_error_is_one_line_however_it_was_written(capsys):
    with pytest.raises(Exception, match="1"):
        fail("first\n  second [red]x[/red]")

    assert capsys.readouterr().err == "error: first second [red]x[/red]\n"


def test_a_file_where_the_run_should_be_is_refused(data, tmp_path):
    (tmp_path / "run").write_text("")
    assert_refused(run("train", data, "-o", tmp_path / "run", *QUICK), "run", "choose another")


def test_a_folder_that_cannot_be_written_is_refused(data, tmp_path):
    if os.geteuid() == 0:
        target = Path("/proc/run")
    else:
        target = tmp_path / "closed" / "run"
        target.parent.mkdir(mode=0o500)
    assert_refused(run("train", data, "-o", target, *QUICK), str(target))
