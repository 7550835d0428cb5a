"""Bytes that operators read and write, against sums by hand."""

import torch
from torch import nn

from edgekit.capture import capture
from edgekit.traffic import program_bytes_moved


class Moves(nn.Module):
    """``(1, 4, 6, 6)``: 576 bytes."""

    def __init__(self, body):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 1, bias=False)
        self.body = body

    def forward(self, image):
        return self.body(self, image)


def moved(body):
    program = capture("moves", Moves(body).eval(), (torch.ones(1, 4, 6, 6),))
    return program_bytes_moved(program.run_decompositions({}))


IMAGE = 4 * 4 * 36


def test_an_operator_reads_its_inputs_once_and_writes_its_output():
    assert moved(lambda self, x: torch.relu(x)) == 2 * IMAGE
    assert moved(lambda self, x: x + x) == 2 * IMAGE  # one value, however often it is named
    assert moved(lambda self, x: x + torch.relu(x)) == 2 * IMAGE + 3 * IMAGE
    assert moved(lambda self, x: self.conv(x)) == IMAGE + 4 * 8 * 4 + 2 * IMAGE


def test_another_shape_is_free_and_another_order_is_not():
    assert moved(lambda self, x: torch.relu(x.reshape(1, 4, 36)[:, None])) == 2 * IMAGE
    assert moved(lambda self, x: torch.relu(x.permute(0, 2, 3, 1))) == 4 * IMAGE


def test_of_a_part_only_the_part_moves():
    assert moved(lambda self, x: torch.relu(x[:, :1])) == 4 * IMAGE // 4


def test_what_depends_on_values_is_not_known():
    assert moved(lambda self, x: torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x * 3, (x,))) is None
