"""The regularisers of IMC-Net's scores: numbers worked by hand, and where their gradients push."""

import math

import pytest
import torch

from edgekit.models.imcnet_losses import balance_loss, entropy_loss, stabiliser_loss

LOSSES = [stabiliser_loss, lambda z, a: balance_loss(z, a, beta=0.25), entropy_loss]


def log_odds(*rows: list[float]) -> torch.Tensor:
    """Log-odds of scores."""
    return torch.tensor(rows, dtype=torch.float64).logit().requires_grad_()


def active(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.bool)


def test_stabiliser_is_the_mean_square_of_active_log_odds():
    z = torch.tensor([[1.0, -3.0, 50.0], [2.0, 70.0, 0.0]], requires_grad=True)
    loss = stabiliser_loss(z, active([1, 1, 0], [1, 0, 0]))
    assert loss.item() == pytest.approx((1 + 9 + 4) / 3)
    loss.backward()
    assert z.grad.flatten().tolist() == pytest.approx([2 / 3, -2, 0, 4 / 3, 0, 0])


def test_stabiliser_reaches_a_saturated_score():
    """At log-odds of 40 the float32 score is 1 and its own gradient 0."""
    z = torch.tensor([[40.0]], requires_grad=True)
    assert z.sigmoid().item() == 1
    stabiliser_loss(z, active([1])).backward()
    assert z.grad.item() == 80


def test_balance_holds_the_mean_score_at_the_share_that_is_kept():
    scores = [[0.9, 0.8, 0.4, 0.01]]
    mask = active([1, 1, 1, 0])
    assert balance_loss(log_odds(*scores), mask, beta=0.3).item() == pytest.approx(0)
    z = log_odds(*scores)
    loss = balance_loss(z, mask, beta=0.5)
    assert loss.item() == pytest.approx(0.04)
    loss.backward()
    # 2 * 0.2 / 3 * s * (1 - s)
    assert z.grad.tolist()[0] == pytest.approx([0.4 / 3 * 0.09, 0.4 / 3 * 0.16, 0.4 / 3 * 0.24, 0])


def test_balance_is_over_the_batch():
    assert balance_loss(log_odds([0.9, 0.9], [0.1, 0.1]), active([1, 1], [1, 1]), beta=0.5).item() == pytest.approx(0)


def test_entropy_of_a_worked_case():
    """Scores 0.6 and 0.2 are shares of 3/4 and 1/4: entropy 0.562335, of log 2 = 0.693147."""
    expected = 1 + (0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2)
    assert expected == pytest.approx(1 - 0.562335 / 0.693147, rel=1e-5)
    z = log_odds([0.6, 0.2, 0.9])
    loss = entropy_loss(z, active([1, 1, 0]))
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert z.grad[0, 0] > 0 > z.grad[0, 1]  # going down evens them out
    assert z.grad[0, 2] == 0


def test_entropy_at_its_ends():
    everybody = torch.ones(1, 4, dtype=torch.bool)
    assert entropy_loss(log_odds([0.3, 0.3, 0.3, 0.3]), everybody).item() == pytest.approx(0, abs=1e-12)
    assert entropy_loss(torch.tensor([[0.0, -60.0, -60.0, -60.0]]), everybody).item() == pytest.approx(1)


def test_entropy_counts_images_that_have_nothing_to_spread_as_even():
    z = log_odds([0.6, 0.2], [0.6, 0.2])
    one = entropy_loss(z[:1], active([1, 1]))
    assert entropy_loss(z, active([1, 1], [1, 0])).item() == pytest.approx(one.item() / 2)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rows", [[[0, 0], [0, 0]], [[1, 0], [0, 0]]])
def test_few_or_no_active_regions_give_a_number_and_a_gradient(loss, rows):
    z = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    value = loss(z, active(*rows))
    value.backward()
    assert value.isfinite()
    assert z.grad.isfinite().all()
    if not any(map(any, rows)):
        assert value == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_finite_differences_and_stay_finite(loss):
    z = torch.tensor([[0.3, -1.2, 2.0, 0.1], [-0.5, 0.7, 1.1, -2.0]], dtype=torch.float64, requires_grad=True)
    mask = active([1, 1, 1, 0], [1, 0, 1, 1])
    assert torch.autograd.gradcheck(lambda z: loss(z, mask), (z,))
    far = torch.tensor([[90.0, -90.0, 200.0, -200.0]], requires_grad=True)
    loss(far, active([1, 1, 1, 1])).backward()
    assert far.grad.isfinite().all()
