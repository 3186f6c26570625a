"""The Earth sample is the right way round, small, and its blocks do not mix."""

from __future__ import annotations

import numpy as np
import pytest

from downup.data import Dataset, earth, lookup_baseline, read_mask, read_picture
from downup.errors import ArgumentError

WATER, ICE, DESERT, LAND = range(4)


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return earth.dataset()


def label_at(latitude: float, longitude: float) -> int:
    return int(earth.mask()[int((90 - latitude) * 15), int((longitude + 180) * 15)])


@pytest.mark.parametrize(
    ("latitude", "longitude", "label"),
    [
        (48.5, 9.0, LAND),  # southern Germany
        (-3.0, -60.0, LAND),  # Amazon
        (62.0, 105.0, LAND),  # Siberia
        (23.0, 10.0, DESERT),  # Sahara
        (21.0, 50.0, DESERT),  # Arabia
        (-24.0, 129.0, DESERT),  # Australia
        (72.0, -40.0, ICE),  # Greenland
        (-80.0, 90.0, ICE),  # Antarctica
        (30.0, -40.0, WATER),  # Atlantic
        (0.0, -150.0, WATER),  # Pacific
        (35.0, 18.0, WATER),  # Mediterranean
        (42.0, 51.0, 255),  # Caspian Sea
        (-80.0, -175.0, 255),  # Ross Ice Shelf
    ],
)
def test_places_have_their_class(latitude: float, longitude: float, label: int) -> None:
    assert label_at(latitude, longitude) == label


def test_picture_and_mask_lie_on_each_other() -> None:
    # Water is dark and ice is white; a shift by a few pixels would blur both.
    grey, mask = earth.picture("grey")[..., 0], earth.mask()
    assert grey.shape == mask.shape == (2700, 5400)
    assert grey[mask == ICE].mean() > 240
    assert grey[mask == WATER].mean() < 30
    strip, labels = earth.picture()[600:900].astype(int), mask[600:900]
    is_blue = strip[..., 2] > strip[..., 0] + 4
    assert (is_blue == (labels == WATER))[labels < 255].mean() > 0.98


def test_shares_of_the_classes() -> None:
    shares = np.bincount(earth.mask().ravel(), minlength=256) / earth.mask().size
    assert shares[[WATER, ICE, DESERT, LAND, 255]] == pytest.approx(
        [0.658, 0.101, 0.037, 0.192, 0.012], abs=6e-4
    )
    assert shares[4:255].sum() == 0


def test_the_whole_is_read_once_and_cannot_be_written() -> None:
    assert earth.picture("rgb") is earth.picture()
    assert earth.mask() is earth.mask()
    for pixels in (earth.picture(), earth.picture("grey"), earth.mask()):
        assert not pixels.flags.writeable
    with pytest.raises(ArgumentError, match="channels is 'red'"):
        earth.picture("red")


def test_the_shipped_files_read_alike_as_any_other(sample: Dataset) -> None:
    np.testing.assert_array_equal(read_picture(earth.IMAGE_PATH, "grey"), earth.picture("grey"))
    np.testing.assert_array_equal(read_mask(earth.MASK_PATH, sample.classes), earth.mask())


def test_the_shipped_files_are_small() -> None:
    assert earth.IMAGE_PATH.stat().st_size + earth.MASK_PATH.stat().st_size < 3_000_000


def test_tiles_are_copies_of_the_whole(sample: Dataset) -> None:
    tile = sample.splits["val"][5]
    picture, mask = tile.read_image("rgb"), tile.read_mask()
    assert picture.shape == (earth.TILE, earth.TILE, 3)
    assert mask.shape == (earth.TILE, earth.TILE)
    picture[:] = 0
    mask[:] = 0
    assert tile.read_image("rgb").any()
    assert tile.read_image("grey").shape == (earth.TILE, earth.TILE, 1)


def test_no_validation_pixel_is_near_one_to_train_on(sample: Dataset) -> None:
    trained, judged = (np.zeros(earth.mask().shape, bool) for _ in range(2))
    for region, split in ((trained, "train"), (judged, "val")):
        for tile in sample.splits[split]:
            region[tile.row : tile.row + tile.side, tile.column : tile.column + tile.side] = True
    # East and west meet at the date line.
    rows, columns = np.nonzero(judged)
    for shift in (-22, 0, 22):
        for across in (-22, 0, 22):
            reached = np.clip(rows + shift, 0, 2699), (columns + across) % 5400
            assert not trained[reached].any()


def test_every_split_holds_every_class_and_stems_are_unique(sample: Dataset) -> None:
    stems = [tile.stem for tiles in sample.splits.values() for tile in tiles]
    assert len(set(stems)) == len(stems)
    for tiles in sample.splits.values():
        counts = sum(np.bincount(tile.read_mask().ravel(), minlength=256) for tile in tiles)
        assert (counts[:4] > 30_000).all()


def test_brightness_alone_falls_short(sample: Dataset) -> None:
    assert lookup_baseline(sample, "grey") == pytest.approx(0.6688, abs=1e-3)
