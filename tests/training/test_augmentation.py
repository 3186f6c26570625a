import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downup.training.augmentation import IGNORE, Augmentation, change_colour, random_generator

ALL = ("flip", "turn", "scale", "colour")


def marked(rows, columns, channels=3):
    """A picture whose mask can be read off its pixels: label = first channel // 64."""
    generator = np.random.default_rng(3)
    blocks = generator.integers(0, 4, (rows // 8 + 1, columns // 8 + 1))
    mask = np.kron(blocks, np.ones((8, 8), int))[:rows, :columns].astype(np.uint8)
    return np.repeat((mask * 64 + 32)[:, :, None], channels, axis=2), mask


def test_equal_numbers_give_equal_crops_and_others_do_not():
    picture, mask = marked(50, 60)
    augment = Augmentation.named(32, ALL)

    one = augment(picture, mask, random_generator(0, 1, 2, 1))
    again = augment(picture, mask, random_generator(0, 1, 2, 1))
    other = augment(picture, mask, random_generator(0, 1, 3, 1))

    np.testing.assert_array_equal(one[0], again[0])
    np.testing.assert_array_equal(one[1], again[1])
    assert not np.array_equal(one[0], other[0])


@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 70),
    size=st.integers(1, 64),
    channels=st.sampled_from([1, 3]),
    names=st.sets(st.sampled_from(ALL)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_any_picture_gives_a_crop_of_the_size_asked_for(rows, columns, size, channels, names, seed):
    picture, mask = marked(rows, columns, channels)

    crop, labels = Augmentation.named(size, tuple(names))(picture, mask, random_generator(seed, 0, 0, 1))

    assert crop.shape == (size, size, channels)
    assert labels.shape == (size, size)
    assert crop.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) <= set(np.unique(mask)) | {IGNORE}


@pytest.mark.parametrize("size", [24, 40, 90])
def test_mask_follows_the_picture_through_flips_and_turns(size):
    picture, mask = marked(40, 56)
    augment = Augmentation.named(size, ("flip", "turn"))
    for number in range(30):
        crop, labels = augment(picture, mask, random_generator(0, 0, number, 1))
        counted = labels != IGNORE
        np.testing.assert_array_equal(crop[:, :, 0][counted] // 64, labels[counted])
        assert (crop[~counted] == 0).all()


def test_mask_follows_the_picture_through_scaling():
    picture, mask = marked(64, 64)
    augment = Augmentation.named(48, ("scale",))
    equal = []
    for number in range(30):
        crop, labels = augment(picture, mask, random_generator(0, 0, number, 1))
        counted = labels != IGNORE
        equal.append((crop[:, :, 0][counted] // 64 == labels[counted]).mean())
    # Bilinear edges blend two blocks; a shift of even one pixel would cost far more than this.
    assert np.mean(equal) > 0.93


def test_flip_and_turn_reach_all_eight_positions():
    picture = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    augment = Augmentation.named(2, ("flip", "turn"))
    seen = {augment(picture, picture[:, :, 0], random_generator(0, 0, n, 1))[1].tobytes() for n in range(100)}

    assert len(seen) == 8


def test_colour_leaves_the_mask_and_the_order_of_grey_levels():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    for number in range(20):
        changed = change_colour(levels, random_generator(0, 0, number, 1)).ravel().astype(int)
        assert (np.diff(changed) >= 0).all()
        assert len(np.unique(changed)) > 64


def test_a_crop_lies_anywhere_in_the_picture():
    picture, mask = marked(10, 10)
    mask = np.arange(100, dtype=np.uint8).reshape(10, 10)
    corners = {Augmentation(8)(picture, mask, random_generator(0, 0, n, 1))[1][0, 0] for n in range(200)}

    assert corners == {0, 1, 2, 10, 11, 12, 20, 21, 22}
