"""Windows as large as memory allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from downup.errors import ArgumentError
from downup.prediction.budget import choose_window, memory_now, parse_bytes, window_memory
from downup.prediction.sources import open_image
from downup.prediction.windows import split

Make = Callable[..., Any]
IMAGE = np.broadcast_to(np.uint8(0), (20_000, 3_000, 3))


@pytest.mark.parametrize(
    ("text", "count"),
    [("2GB", 2 * 10**9), ("2 gb", 2 * 10**9), ("1.5GiB", 3 << 29), ("800M", 8 * 10**8), ("4096", 4096)],
)
def test_bytes_are_read_as_people_write_them(text: str, count: int):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GB", "two", "-1GB", "1 XB", "1iB", "1e9"])
def test_what_is_no_number_of_bytes_is_refused(text: str):
    with pytest.raises(ArgumentError, match="memory is"):
        parse_bytes(text)


def test_the_window_is_the_largest_that_fits(make_session: Make):
    session, image = make_session(halo=40, stride=32), open_image(IMAGE, "rgb")
    before = memory_now()
    previous = 0
    for extra in (20, 40, 80, 160):
        memory = before + (extra << 20) + (48 << 20)
        window = choose_window(session, image, memory=memory, held=before)
        assert window % 32 == 0
        assert window > previous
        previous = window
        for side, fits in ((window, True), (window + 8 * 32, False)):
            parts = split(image.rows, image.columns, window=side, halo=40, stride=32)
            assert (window_memory(session, image, parts) <= (extra << 20) + (4 << 20)) == fits


def test_a_small_picture_goes_at_once(make_session: Make):
    session, image = make_session(halo=40, stride=32), open_image(IMAGE[:100, :200], "rgb")
    window = choose_window(session, image, memory=200 << 20, held=0)
    assert len(split(100, 200, window=window, halo=40, stride=32)) == 1


def test_too_little_memory_tells_what_would_be_enough(make_session: Make):
    session, image = make_session(halo=40, stride=32), open_image(IMAGE, "rgb")
    held = memory_now()
    with pytest.raises(ArgumentError, match="memory is 10 MB, but labelling image takes") as caught:
        choose_window(session, image, memory=10**7, held=held)
    enough = parse_bytes(str(caught.value).split("use --memory ")[1].split(" ")[0])
    assert choose_window(session, image, memory=enough, held=held) >= 32
    with pytest.raises(ArgumentError):
        choose_window(session, image, memory=enough - 2 * 10**6, held=held)
