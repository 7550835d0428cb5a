"""All exits in one graph, and the one that thresholds choose."""

import math

import pytest
import torch
from torch import nn

from edgekit.errors import UsageError
from edgekit.ops.confidence import max_softmax
from edgekit.ops.exit_policy import ThresholdPolicy
from edgekit.ops.exit_selection import SelectedExit, forcing_thresholds


class Stage(nn.Module):
    """Scales its features, so that every exit is surer than the one before."""

    def __init__(self, scale: float, *, last: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.last = last

    def forward(self, features):
        (x,) = features
        return x * self.scale, () if self.last else (x,)


def network(*scales: float) -> SelectedExit:
    stages = [Stage(scale, last=position + 1 == len(scales)) for position, scale in enumerate(scales)]
    return SelectedExit(stages, "max_softmax")


THREE = network(1.0, 2.0, 3.0)


def logits(rows: int = 64) -> torch.Tensor:
    return torch.randn(rows, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("thresholds", [(0.4, 0.6), (0.9, 0.3), (math.inf, 0.5), (math.inf, math.inf), (-math.inf, 0.0)])
def test_every_sample_leaves_where_the_eager_policy_lets_it(thresholds):
    x = logits()
    answer = THREE(x, torch.tensor(thresholds))
    policy = ThresholdPolicy(thresholds=thresholds)
    exits = torch.full((len(x),), 3)
    for number in (2, 1):
        exits[policy.is_sure(number, x * number)] = number
    assert answer["exit"].tolist() == exits.tolist()
    assert answer["exit"].dtype == torch.int32
    assert torch.equal(answer["logits"], x * exits[:, None])  # bit by bit
    assert torch.equal(answer["confidence"], max_softmax(x * exits[:, None]))


def test_a_confidence_that_equals_the_threshold_leaves():
    x = logits(1)
    sure = float(max_softmax(x))
    assert THREE(x, torch.tensor([sure, 0.0]))["exit"].item() == 1
    above = math.nextafter(sure, 2.0) if torch.tensor(math.nextafter(sure, 2.0)).item() > sure else sure * (1 + 2**-22)
    assert THREE(x, torch.tensor([above, 0.0]))["exit"].item() == 2


def test_what_is_no_number_lets_nobody_leave():
    x = logits(2)
    assert THREE(x, torch.tensor([math.nan, math.nan]))["exit"].tolist() == [3, 3]
    x[0, 0] = math.nan
    assert THREE(x, torch.tensor([-math.inf, 0.0]))["exit"].tolist() == [3, 1]


def test_an_exit_that_overflows_does_not_touch_another():
    answer = network(1.0, math.inf)(logits(3), torch.tensor([0.0]))
    assert torch.equal(answer["logits"], logits(3))


def test_one_exit_is_nothing_to_select_from():
    with pytest.raises(UsageError, match="nothing to select"):
        network(1.0)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("refusal", [0, 1, 2])
def test_thresholds_that_force_an_exit_and_are_near_no_confidence(number, refusal):
    x = logits(1)
    thresholds = forcing_thresholds(THREE, x, number, refusal=refusal)
    assert THREE(x, thresholds)["exit"].item() == number
    finite = [(sure, t) for (_, sure), t in zip(THREE.answers(x), thresholds.tolist(), strict=False) if math.isfinite(t)]
    assert all(abs(float(sure) - t) > 0.1 * float(sure) for sure, t in finite)
    first = thresholds[0].item()
    assert (math.isinf(first), math.isnan(first)) == (refusal == 1 and number > 1, refusal == 2 and number > 1)
