import pytest

from downup.training.schedule import one_cycle_rate, poly_rate, rate_at


@pytest.mark.parametrize("schedule", ["poly", "one-cycle"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100, 1000])
def test_rates_stay_positive_and_reach_at_most_the_peak(schedule, steps):
    rates = [rate_at(schedule, step, steps, 0.5) for step in range(steps)]

    assert all(0.0 < rate <= 0.5 for rate in rates)


def test_poly_falls_from_the_end_of_the_warm_up_on():
    rates = [poly_rate(step, 500, 1.0) for step in range(500)]

    assert rates[:20] == sorted(rates[:20])
    assert rates[19:] == sorted(rates[19:], reverse=True)


def test_one_cycle_rises_and_falls_once():
    rates = [one_cycle_rate(step, 1000, 1.0) for step in range(1000)]
    top = rates.index(max(rates))

    assert 290 < top < 310
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_one_cycle_equals_torch():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=50)
    for step in range(49):
        # torch ends at a 10000th of the first rate, here of the peak, and its top is on a whole step.
        assert one_cycle_rate(step, 50, 0.1) == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.005)
        optimizer.step()
        theirs.step()
