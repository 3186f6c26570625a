import time
from dataclasses import dataclass

import numpy as np
import pytest

from downup.errors import DataError
from downup.training.augmentation import Augmentation
from downup.training.batches import BatchMaker, SampleReader, channel_statistics, class_counts, made_ahead


@dataclass
class Made:
    stem: str
    picture: np.ndarray
    mask: np.ndarray
    reads: int = 0

    def read_image(self, channels):
        self.reads += 1
        return self.picture if channels == "rgb" else self.picture[:, :, :1]

    def read_mask(self):
        return self.mask


def samples(number, rows=8, columns=8):
    return [
        Made(f"s{n}", np.full((rows, columns, 3), n, np.uint8), np.full((rows, columns), n % 3, np.uint8))
        for n in range(number)
    ]


@pytest.mark.parametrize(("number", "batch"), [(7, 2), (3, 8), (1, 4)])
def test_an_epoch_shows_every_sample_equally_often(number, batch):
    maker = BatchMaker(SampleReader(samples(number), "rgb", 3), Augmentation(8), batch, seed=0)
    steps = number  # so that number * batch positions are a whole number of shufflings
    seen = np.concatenate([maker((1, step))[0][:, 0, 0, 0] for step in range(steps)])

    assert np.bincount(seen, minlength=number).tolist() == [batch] * number


def test_order_differs_between_epochs_and_seeds():
    reader = SampleReader(samples(20), "rgb", 3)
    orders = [
        [BatchMaker(reader, Augmentation(8), 1, seed).sample_at(epoch, position) for position in range(40)]
        for seed, epoch in [(0, 1), (0, 2), (1, 1)]
    ]

    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert all(order[:20] != order[20:] for order in orders)


def test_a_batch_depends_on_nothing_but_its_numbers():
    reader = SampleReader(samples(5, 20, 20), "rgb", 3)
    maker = BatchMaker(reader, Augmentation.named(8, ("flip", "scale", "colour")), 2, seed=4)
    all_of_them = [maker((2, step)) for step in range(3)]

    np.testing.assert_array_equal(maker((2, 2))[0], all_of_them[2][0])


def test_what_fits_is_read_once():
    made = samples(2)
    reader = SampleReader(made, "rgb", 3, cache_bytes=8 * 8 * 4)
    for _ in range(3):
        reader[0], reader[1]

    assert [sample.reads for sample in made] == [1, 3]


def test_samples_that_cannot_be_used_are_named():
    with pytest.raises(DataError, match="s0: the picture is 8x8 pixels but its mask is 4x8"):
        SampleReader([Made("s0", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 4), np.uint8))], "rgb", 3)[0]
    with pytest.raises(DataError, match="s0: its mask holds the label 7, but there are 3 classes"):
        SampleReader([Made("s0", np.zeros((1, 1, 3), np.uint8), np.full((1, 1), 7, np.uint8))], "rgb", 3)[0]


def test_batches_are_made_ahead_in_order():
    made = []

    def make(at):
        made.append(at)
        return at

    at = [(1, step) for step in range(10)]
    batches = made_ahead(make, iter(at), depth=2, threads=1)
    assert next(batches) == (1, 0)
    time.sleep(0.2)
    assert made == at[:3]
    assert list(batches) == at[1:]


def test_an_error_in_the_background_comes_to_the_front():
    def make(at):
        raise DataError("broken.png: cannot be read")

    with pytest.raises(DataError, match=r"broken.png"):
        next(made_ahead(make, [(1, 0)]))


def test_statistics_equal_numpys():
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    masks = generator.integers(0, 3, (5, 6, 7)).astype(np.uint8)
    masks[0, 0, 0] = 255
    reader = SampleReader([Made(str(n), pictures[n], masks[n]) for n in range(5)], "rgb", 3)
    mean, deviation = channel_statistics(reader)

    np.testing.assert_allclose(mean, pictures.mean(axis=(0, 1, 2)) / 255)
    np.testing.assert_allclose(deviation, pictures.std(axis=(0, 1, 2)) / 255)
    assert class_counts(reader).tolist() == [(masks == label).sum() for label in range(3)]


def test_a_constant_channel_is_not_divided_by_zero():
    assert channel_statistics(SampleReader(samples(1), "grey", 3))[1] == [1.0]


def test_several_threads_keep_the_order():
    def make(at):
        time.sleep(0.02 * (at[1] % 3))
        return at

    at = [(1, step) for step in range(12)]
    assert list(made_ahead(make, at, depth=6, threads=4)) == at
