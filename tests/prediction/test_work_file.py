"""The file of labels on their way: any window in any order, rows out of it."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np

from downup.prediction.windows import split
from downup.prediction.work_file import WorkFile


def test_rows_come_out_as_windows_went_in_whatever_their_order(tmp_path: Path):
    labels = np.random.default_rng(0).integers(0, 256, (103, 71), np.uint8)
    windows = split(103, 71, window=16, halo=5, stride=8)
    file = WorkFile(tmp_path / "labels", windows)
    for number in np.random.default_rng(1).permutation(len(windows)):
        rows, columns = windows[number].rows, windows[number].columns
        part = labels[rows.first : rows.last, columns.first : columns.last]
        assert file.write(number, part) == crc32(part.tobytes()) == file.checksum(number)
    for first, last in ((0, 103), (0, 1), (15, 17), (40, 90), (102, 103)):
        np.testing.assert_array_equal(file.read_rows(first, last), labels[first:last])
    file.close()
    again = WorkFile(tmp_path / "labels", windows)
    np.testing.assert_array_equal(again.read_rows(0, 103), labels)
    again.close()


def test_windows_that_were_not_written_take_no_room(tmp_path: Path):
    file = WorkFile(tmp_path / "labels", split(1 << 20, 1 << 16, window=4096, halo=0, stride=1))
    file.close()
    about = (tmp_path / "labels").stat()
    assert about.st_size == 1 << 36
    assert about.st_blocks < 100
