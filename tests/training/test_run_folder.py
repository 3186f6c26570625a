import json
import math
import subprocess
import sys

import pytest

from downup.errors import DataError
from downup.training.run_folder import RunFolder, open_run, read_json, write_json


def test_history_keeps_every_digit_and_missing_values(tmp_path):
    rows = [{"epoch": 1, "train_loss": 0.1 + 0.2, "val_mean_iou": math.nan}]
    run = RunFolder(tmp_path)
    run.write_history(rows)
    [row] = run.read_history()

    assert run.history.read_text() == "epoch,train_loss,val_mean_iou\n1,0.30000000000000004,\n"
    assert row["train_loss"] == 0.1 + 0.2
    assert math.isnan(row["val_mean_iou"])


def test_json_holds_null_where_there_is_no_number(tmp_path):
    write_json(tmp_path / "file", {"iou": [0.5, math.nan], 1: math.inf})

    assert json.loads((tmp_path / "file").read_text()) == {"iou": [0.5, None], "1": None}


def test_what_is_not_a_run_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="absent: no such run folder"):
        open_run(tmp_path / "absent")
    with pytest.raises(DataError, match=r"no config\.json"):
        open_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match="no trained weights yet"):
        open_run(tmp_path)
    with pytest.raises(DataError, match=r"config\.json: cannot be read as JSON"):
        RunFolder(tmp_path).read_config()
    (tmp_path / "config.json").write_text('{"version": 99}')
    with pytest.raises(DataError, match="version is 99"):
        RunFolder(tmp_path).read_config()
    with pytest.raises(DataError, match=r"metrics\.json: no such file"):
        read_json(tmp_path / "metrics.json")


def test_two_trainings_never_share_a_folder(tmp_path):
    run = RunFolder(tmp_path)
    other = (
        "import sys; from downup.training.run_folder import RunFolder\n"
        "with RunFolder(sys.argv[1]).locked(): print('in')"
    )
    with run.locked():
        refused = subprocess.run([sys.executable, "-c", other, tmp_path], capture_output=True, text=True)
    allowed = subprocess.run([sys.executable, "-c", other, tmp_path], capture_output=True, text=True)

    assert "another process is training in this folder" in refused.stderr
    assert allowed.stdout == "in\n"
