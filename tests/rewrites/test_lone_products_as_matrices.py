"""Products that are alone in their batch: taken where a transposition is on the left, and nowhere else."""

import pytest
import torch
from rewriting import assert_same_numbers, assert_settled, assert_untouched, count, interface, noise, rewrite
from torch import nn

from edgekit.rewrites.lone_products_as_matrices import LoneProductsAsMatrices

RULE = LoneProductsAsMatrices()
MM = torch.ops.aten.mm.default


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.position = nn.Parameter(noise(1, 7, 5, seed=3))

    def forward(self, x):
        return self.function(x, x.transpose(1, 2) + self.position)


TAKEN = {
    "tokens with tokens": lambda x, t: t @ t.transpose(1, 2),
    "after a softmax": lambda x, t: t.relu().softmax(-1) @ x,
    "bmm": lambda x, t: torch.bmm(t, x),
    "of rank 4": lambda x, t: (x[None].transpose(2, 3) * 2) @ x[None],
}


@pytest.mark.parametrize("name", TAKEN)
def test_same_numbers(name):
    done = rewrite(RULE, Function(TAKEN[name]), noise(1, 5, 7))
    assert len(done.report.sites) == count(done.after, MM) == 1
    assert interface(done.after) == interface(done.before)
    assert_same_numbers(done, noise(1, 5, 7, seed=1), tolerance=1e-6)


@pytest.mark.parametrize(
    ("function", "batch"), [(TAKEN["bmm"], 2), (lambda x, t: x @ t, 1), (lambda x, t: (x @ t) @ x, 1)], ids=["a batch", "on the right", "a product"]
)
def test_others_are_no_sites(function, batch):
    done = rewrite(RULE, Function(function), noise(batch, 5, 7))
    assert_untouched(done)
    assert not done.reasons


def test_second_run_changes_nothing():
    x = noise(1, 5, 7)
    assert_settled(RULE, rewrite(RULE, Function(TAKEN["bmm"]), x), x)
