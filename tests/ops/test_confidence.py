"""Confidences against numbers worked out by hand, and at the ends of what floats can hold."""

import math

import pytest
import torch

from edgekit.errors import UsageError
from edgekit.ops.confidence import CONFIDENCES, entropy, margin, max_softmax

INF, NAN = math.inf, math.nan


def logits_of(*probabilities: float) -> torch.Tensor:
    return torch.tensor([[math.log(p) if p else -INF for p in probabilities]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("probabilities", "largest", "sureness", "lead"),
    [
        ((0.5, 0.25, 0.25), 0.5, 1 - 1.5 * math.log(2) / math.log(3), 0.25),  # H = 1/2 log 2 + 2 * 1/4 log 4
        ((0.25, 0.25, 0.25, 0.25), 0.25, 0.0, 0.0),
        ((0.5, 0.5, 0.0, 0.0), 0.5, 0.5, 0.0),  # log 2 of log 4
        ((1.0, 0.0, 0.0), 1.0, 1.0, 1.0),
        ((0.9, 0.1), 0.9, 1 + (0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / math.log(2), 0.8),
    ],
)
def test_worked_numbers(probabilities, largest, sureness, lead):
    logits = logits_of(*probabilities)
    assert max_softmax(logits).item() == pytest.approx(largest, abs=2e-7)
    assert entropy(logits).item() == pytest.approx(sureness, abs=4e-7)
    assert margin(logits).item() == pytest.approx(lead, abs=2e-7)


@pytest.mark.parametrize("name", CONFIDENCES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_one_float32_a_sample_whatever_comes_in(name, dtype):
    logits = torch.tensor([[[1.0, 2.0, -3.0], [0.5, 0.25, 4.0]]], dtype=dtype)  # representable in all of them
    found = CONFIDENCES[name](logits)
    assert found.dtype == torch.float32
    assert found.shape == (1, 2)
    assert torch.equal(found, CONFIDENCES[name](logits.float()))


@pytest.mark.parametrize("name", CONFIDENCES)
def test_surer_is_larger(name):
    rising = CONFIDENCES[name](torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [3.0, 0.0, 0.0], [9.0, 0.0, 0.0]]))
    assert (rising[1:] > rising[:-1]).all()


@pytest.mark.parametrize("name", CONFIDENCES)
def test_a_constant_added_to_all_logits_changes_nothing(name):
    logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(CONFIDENCES[name](logits + 64), CONFIDENCES[name](logits), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CONFIDENCES)
def test_a_long_lead_ties_at_one(name):
    found = CONFIDENCES[name](torch.tensor([[20.0, 0.0, 0.0], [3e38, 0.0, -3e38]]))
    assert found.tolist() == pytest.approx([1.0, 1.0], abs=1e-6)
    assert CONFIDENCES[name](torch.tensor([[100.0, 0.0]])).item() == 1.0


def test_the_leaders_of_a_tie_have_no_margin():
    assert margin(torch.tensor([[2.5, -1.0, 2.5], [0.1, 0.1, 0.1]])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", CONFIDENCES)
@pytest.mark.parametrize("broken", [(NAN, 0.0, 0.0), (0.0, 1.0, NAN), (NAN, NAN, NAN), (INF, 0.0, 0.0), (INF, INF, 0.0), (-INF, -INF, -INF)])
def test_what_is_no_number_is_not_sure(name, broken):
    found = CONFIDENCES[name](torch.tensor([broken, (9.0, 0.0, 0.0)]))
    assert found[0].isnan()
    assert not found[0] >= -INF
    assert found[1] > 0.9  # its neighbour in the batch is none the worse


@pytest.mark.parametrize("name", CONFIDENCES)
def test_classes_ruled_out_add_nothing(name):
    found = CONFIDENCES[name](torch.tensor([[0.0, -INF, math.log(3.0), -INF]]))
    assert found.item() == pytest.approx(
        {"max_softmax": 0.75, "entropy": 1 - (0.75 * math.log(4 / 3) + 0.25 * math.log(4)) / math.log(4), "margin": 0.5}[name]
    )


@pytest.mark.parametrize("name", CONFIDENCES)
def test_vanishing_probabilities_are_no_trouble(name):
    found = CONFIDENCES[name](torch.tensor([[0.0, -103.0, -200.0, -1e30]]))
    assert found.item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", CONFIDENCES)
def test_one_class_is_refused(name):
    with pytest.raises(UsageError, match=r"logits of shape \(4, 1\) have no confidence"):
        CONFIDENCES[name](torch.zeros(4, 1))


@pytest.mark.parametrize("name", CONFIDENCES)
def test_can_be_part_of_a_graph(name):
    class Sure(torch.nn.Module):
        def forward(self, logits):
            return CONFIDENCES[name](logits)

    logits = torch.randn(1, 10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.export.export(Sure(), (logits,)).module()(logits), CONFIDENCES[name](logits))
