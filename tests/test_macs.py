"""Multiply-adds, against products written out by hand, and a program's against its module's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgekit.capture import capture
from edgekit.macs import added, eager_macs, program_macs


class Products(nn.Module):
    """One of each kind of product, on ``(5, 8)`` and ``(1, 4, 6, 6)``."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 16)
        self.conv = nn.Conv2d(4, 10, 3, groups=2)
        self.inner = nn.Sequential(nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 2))

    def forward(self, x, image):
        attended = F.scaled_dot_product_attention(x[None], x[None], x[None])
        return self.inner(self.linear(x)), self.conv(image).mean(), torch.einsum("ij,kj->ik", x, x), attended, (x[None] @ x.t()[None]).softmax(-1)


BY_HAND = {"linear": 5 * 8 * 16, "conv": 10 * 4 * 4 * 9 * 2, "inner": 5 * 16 * 2, "inner.2": 5 * 16 * 2}
OUTSIDE = 5 * 5 * 8 + 2 * 5 * 5 * 8 + 5 * 5 * 8  # einsum, attention's two products, a product of matrices
TOTAL = OUTSIDE + sum(BY_HAND[name] for name in ("linear", "conv", "inner"))


class Branches(nn.Module):
    """The first branch costs four times the second."""

    def __init__(self):
        super().__init__()
        self.dear, self.cheap = nn.Linear(8, 16), nn.Linear(8, 4)

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: self.dear(x).sum(1), lambda x: self.cheap(x).sum(1), (x,))


class Chosen(nn.Module):
    """How many rows are projected depends on the picture."""

    def __init__(self):
        super().__init__()
        self.project, self.after = nn.Linear(8, 16), nn.Linear(8, 2)

    def forward(self, x):
        return self.project(x[x[:, 0] > 0]).sum(0), self.after(x)


def products():
    return Products().eval(), (torch.ones(5, 8), torch.ones(1, 4, 6, 6))


@pytest.mark.parametrize("decomposed", [False, True])
def test_a_program_by_hand(decomposed):
    program = capture("products", *products())
    macs = program_macs(program.run_decompositions({}) if decomposed else program)
    assert macs.total == macs.at("") == TOTAL
    assert {name: macs.at(name) for name in BY_HAND} == BY_HAND
    assert macs.at("inner.0") == macs.at("inner.1") == 0


def test_an_eager_module_by_hand():
    macs = eager_macs(*products())
    assert macs.total == macs.at("") == TOTAL
    assert {name: macs.at(name) for name in BY_HAND} == BY_HAND
    assert macs.at("inner.0") == 0


def test_of_a_condition_the_dearer_branch_counts():
    x = (-torch.ones(5, 8),)
    assert program_macs(capture("branches", Branches().eval(), x)).total == eager_macs(Branches().eval(), x).total == 5 * 8 * 16


def test_counting_a_condition_leaves_it_to_be_captured():
    branches = Branches().eval()
    eager_macs(branches, (torch.ones(5, 8),))
    assert program_macs(capture("branches", branches, (torch.ones(5, 8),))).total == 5 * 8 * 16


@pytest.mark.parametrize("rows", [1, 3])
def test_what_depends_on_the_picture_is_counted_on_one_and_unknown_in_a_program(rows):
    x = torch.cat([torch.ones(rows, 8), -torch.ones(5 - rows, 8)])
    macs = eager_macs(Chosen().eval(), (x,))
    assert (macs.at("project"), macs.at("after"), macs.total) == (rows * 8 * 16, 5 * 8 * 2, rows * 8 * 16 + 5 * 8 * 2)
    macs = program_macs(capture("chosen", Chosen().eval(), (x,)))
    assert (macs.at("project"), macs.at("after"), macs.total) == (None, 5 * 8 * 2, None)


def test_a_sum_with_an_unknown_is_unknown():
    assert added([3, 4]) == 7
    assert added([]) == 0
    assert added([3, None]) is None


def test_an_eager_module_counts_all_its_modules():
    assert eager_macs(*products()).by_module.keys() == {"linear", "conv", "inner", "inner.0", "inner.1", "inner.2"}


def test_counting_leaves_the_example_alone():
    x = torch.ones(2, 3)
    eager_macs(nn.ReLU(inplace=True), (x.neg_(),))
    assert torch.equal(x, -torch.ones(2, 3))
