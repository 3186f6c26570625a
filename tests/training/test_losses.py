import numpy as np
import pytest
import torch
from torch.nn import functional

from downup.training.losses import balanced_weights, cross_entropy, dice_loss


def batch(seed=0, ignored=0.2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 4, 9, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, 9, 7), generator=generator)
    labels[torch.rand(2, 9, 7, generator=generator) < ignored] = 255
    return logits, labels


@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 3.0, 0.0]])
def test_cross_entropy_is_torchs_mean(weights):
    logits, labels = batch()
    weights = weights and torch.tensor(weights, dtype=torch.float64)

    expected = functional.cross_entropy(logits, labels, weights, ignore_index=255)

    torch.testing.assert_close(cross_entropy(logits, labels, weights), expected)


@pytest.mark.parametrize("weights", [None, torch.ones(4, dtype=torch.float64)])
def test_a_batch_without_a_counted_pixel_costs_nothing_and_has_no_gradient(weights):
    logits, labels = batch()
    labels[:] = 255
    logits.requires_grad_()

    loss = cross_entropy(logits, labels, weights) + dice_loss(logits, labels)
    loss.backward()

    assert loss.item() == 0.0
    assert (logits.grad == 0).all()


def test_dice_is_zero_for_the_truth_and_near_one_for_its_opposite():
    labels = torch.tensor([[[0, 1], [1, 255]]])
    right = functional.one_hot(labels.clamp(max=1), 2).permute(0, 3, 1, 2) * 100.0

    assert dice_loss(right, labels).item() == pytest.approx(0.0, abs=1e-6)
    assert dice_loss(-right, labels).item() == pytest.approx(1.0, abs=1e-6)


def test_dice_by_hand():
    # Both pixels get 0.5 for both classes: each class has 2 * 0.5 / (1 + 1) = 0.5.
    assert dice_loss(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])).item() == pytest.approx(0.5)


def test_ignored_pixels_get_no_gradient():
    logits, labels = batch()
    logits.requires_grad_()
    (cross_entropy(logits, labels) + dice_loss(logits, labels)).backward()

    assert (logits.grad.permute(0, 2, 3, 1)[labels == 255] == 0).all()
    assert (logits.grad.permute(0, 2, 3, 1)[labels != 255] != 0).all()


def test_balanced_weights_make_every_class_count_alike():
    counts = np.array([1000, 10, 0, 200])
    weights = np.array(balanced_weights(counts))

    assert weights[2] == 0.0
    np.testing.assert_allclose((weights * counts)[[0, 1, 3]], counts.sum() / 3)
