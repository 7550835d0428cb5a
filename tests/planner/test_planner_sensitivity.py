import math

import pytest
import torch
from torch import nn

from edgekit.capture import capture
from edgekit.planner.groups import groups_of
from edgekit.planner.sensitivity import noise_by_group, record, rounded, together


class Net(nn.Module):
    """Two branches: one matters a hundred times more than the other."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, 2)
        self.loud = nn.Conv2d(16, 16, 3)
        self.faint = nn.Conv2d(16, 16, 3)
        self.head = nn.Linear(16, 10)
        for parameter in self.parameters():
            parameter.data.normal_(0, 0.2, generator=generator)

    def forward(self, image):
        x = torch.relu(self.stem(image))
        x = self.loud(x) + self.faint(x) * 0.01
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def found():
    generator = torch.Generator().manual_seed(1)
    rows = [(torch.randn(1, 3, 20, 20, generator=generator),) for _ in range(4)]
    programs = {"forward": capture("net", Net().eval(), rows[0])}
    recording = record(programs["forward"], rows)
    groups = groups_of(programs)
    return recording, groups, noise_by_group(recording, "forward", groups)


def _db(power):
    return -10 * math.log10(power)


def test_a_backward_pass_tells_what_rounding_a_group_does(found):
    recording, groups, noise = found
    for group in groups:
        measured = together(recording, "forward", [group])[0]
        if measured > 1e-7:  # beyond 70 dB nothing is decided
            assert abs(_db(noise[group.key]) - _db(measured)) < 4, group.label


def test_what_matters_less_makes_less_noise(found):
    _, _, noise = found
    assert noise["forward", "faint", "conv"] < noise["forward", "loud", "conv"] / 100


def test_nothing_rounded_is_no_noise(found):
    recording, groups, _ = found
    assert together(recording, "forward", []) == [0.0]
    assert together(recording, "forward", groups)[0] > 1e-6


def test_the_model_is_left_as_it_was(found):
    recording, groups, _ = found
    before = {name: value.clone() for name, value in recording.program.state_dict.items()}
    noise_by_group(recording, "forward", groups)
    assert all(torch.equal(before[name], value) and not value.grad_fn for name, value in recording.program.state_dict.items())


def test_rounding_keeps_zero_and_stays_within_half_a_step():
    values = torch.linspace(-1, 3, 1001)
    coarse = rounded(values, (-1.0, 3.0))
    assert float((coarse - values).abs().max()) <= 4 / 255 / 2 + 4 / 255 / 2 + 1e-6  # half a step, and what moving zero to a level costs
    assert float(rounded(torch.zeros(1), (-1.0, 3.0))) == 0.0
    assert len(coarse.unique()) <= 256
    assert torch.equal(rounded(values, (0.0, 0.0)), values)


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        x = self.stem(image)
        torch.relu_(x)
        x.add_(1.0)
        return self.head(x.mean((2, 3)))


def test_operators_that_write_in_place():
    row = (torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)),)
    program = capture("net", InPlace().eval(), row)
    assert any(str(node.target) == "aten.relu_.default" for node in program.graph.nodes)
    groups, recording = groups_of({"forward": program}), record(program, [row])
    assert together(recording, "forward", []) == [0.0]
    assert 0 < together(recording, "forward", groups)[0] < 1e-2
    assert noise_by_group(recording, "forward", groups)["forward", "stem", "conv"] > 0
