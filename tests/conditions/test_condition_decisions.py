"""A predicate becomes a number and a threshold."""

import math

import numpy as np
import pytest
import torch
from exit_styles import Parts, captured, filled
from torch import nn

from edgekit.capture import capture
from edgekit.conditions.chain import chain_of
from edgekit.conditions.decision import decision_of
from edgekit.conditions.functional import functional

VALUES = [-math.inf, -2.5, -1.0, -0.7, 0.0, 0.3, 0.7, 0.70000005, 0.8, 1.0, 3.0, math.inf, math.nan]


class Deciding(nn.Module):
    """Stops where ``predicate`` of one number says so; the network around it costs something, so that stopping is an exit."""

    def __init__(self, predicate, *, swapped=False):
        super().__init__()
        self.predicate, self.swapped = predicate, swapped
        self.linear = nn.Linear(4, 4)
        self.register_buffer("limit", torch.tensor(0.7))

    def forward(self, x):
        stop, go_on = (lambda x: x * 2), self.linear
        return torch.cond(self.predicate(self, x[0, 0]), *((go_on, stop) if self.swapped else (stop, go_on)), (x,))


def decided(network):
    program = functional("net", capture("net", network.eval(), (torch.ones(1, 4),)))
    chain = chain_of(program)
    assert len(chain.exits) == 2
    return decision_of(chain.exits[0].predicate, chain.paths.constants, leaves_when=chain.exits[0].leaves_when)


def above(value):
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


F07 = float(np.float32(0.7))


@pytest.mark.parametrize(
    ("predicate", "swapped", "sign", "threshold"),
    [
        (lambda _, v: v >= 0.7, False, 1, F07),
        (lambda _, v: v > 0.7, False, 1, above(0.7)),
        (lambda _, v: v <= 0.7, False, -1, -F07),
        (lambda _, v: v < 0.7, False, -1, above(-F07)),
        (lambda _, v: v >= 0.7, True, -1, above(-F07)),
        (lambda _, v: v < 0.7, True, 1, F07),
        (lambda _, v: ~(v > 0.7), False, -1, -F07),
        (lambda _, v: torch.logical_not(v.reshape(1, 1) <= 0.7).all(), True, -1, -F07),
        (lambda _, v: (v.reshape(1) > 0.7).any(), False, 1, above(0.7)),
        (lambda m, v: m.limit < v, False, 1, above(0.7)),
        (lambda m, v: v >= m.limit, False, 1, F07),
        (lambda m, v: m.limit >= v, False, -1, -F07),
        (lambda _, v: v > torch.tensor(0.7), False, 1, above(0.7)),
        (lambda _, v: v > 0, False, 1, above(0)),
        (lambda _, v: v >= -1, False, 1, -1.0),
    ],
)
def test_a_comparison_with_a_number_gives_its_value_and_the_threshold(predicate, swapped, sign, threshold):
    found = decided(Deciding(predicate, swapped=swapped))
    assert (found.sign, found.threshold, found.flipped) == (sign, threshold, False)
    model = Deciding(predicate, swapped=swapped)
    for value in VALUES[:-1]:
        number = torch.tensor(value)
        leaves = bool(predicate(model, number)) is not swapped
        assert (np.float32(sign) * np.float32(value) >= np.float32(threshold)) == leaves, value
    assert not np.float32(sign) * np.float32(math.nan) >= np.float32(threshold)


@pytest.mark.parametrize(
    "predicate",
    [
        lambda _, v: (v > 0.1) & (v < 0.9),
        lambda _, v: (v > 0.9) | (v < 0.1),
        lambda _, v: v > v * v,  # no number
        lambda _, v: v.double() > 0.7,  # compared in double precision
        lambda _, v: (v * 10).int() > 7,
        lambda _, v: v > math.inf,
        lambda _, v: v == 0.7,
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_any_other_predicate_is_a_truth(predicate, swapped):
    found = decided(Deciding(predicate, swapped=swapped))
    assert (found.sign, found.threshold, found.flipped) == (1, 0.5, swapped)


def test_the_gated_network_gives_its_gate_and_then_a_truth():
    from exit_styles import Gated

    chain = chain_of(functional("net", captured(Gated)))
    first, second = (
        decision_of(exit_.predicate, chain.paths.constants, leaves_when=exit_.leaves_when) for exit_ in chain.exits if exit_.predicate is not None
    )
    assert (first.threshold, second.threshold) == (above(0.5), 0.5)
    assert first.value.meta["val"].dtype is torch.float32
    assert second.value.meta["val"].dtype is torch.bool


def test_a_second_look_at_one_predicate_is_decided_by_the_first():
    class Twice(Parts):
        def forward(self, image):
            x = self.stem(image)
            first = self.head(0, x)
            stops = first.sum() > 0
            y = torch.cond(stops, lambda x: x.new_zeros(1, 8, 8, 8), self.middle, (x,))
            goes_on = torch.logical_and(torch.logical_not(stops), torch.tensor([True]))
            return torch.cond(goes_on, lambda y, _: self.head(2, self.end(y)), lambda _, first: first.clone(), (y, first))

    chain = chain_of(functional("net", capture("net", filled(Twice()), (torch.randn(1, 3, 32, 32),))))
    assert (len(chain.exits), chain.selected) == (2, ())
