"""Two permutes in a row: one, or none."""

import itertools

import pytest
import torch
from rewriting import PERMUTE, assert_settled, assert_untouched, count, interface, noise, rewrite
from torch import nn
from torch.nn import functional as F

from edgekit.rewrites.merge_permutes import MergePermutes

RULE = MergePermutes()
SHAPE = (2, 3, 4, 5)
TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


class Moves(nn.Module):
    """Permutes in a row between two functions that keep them from the program's ends."""

    def __init__(self, *orders, use=None):
        super().__init__()
        self.orders, self.use = orders, use

    def forward(self, x):
        y = F.relu(x)
        for order in self.orders:
            y = y.permute(order)
        return self.use(y) if self.use else torch.tanh(y)


CASES = {
    "there and back": ((TO_LAST, TO_FIRST), 0),
    "twice there": ((TO_LAST, TO_LAST), 1),
    "counted from the end": (((0, -2, -1, 1), (0, -1, 1, 2)), 0),
    "three": ((TO_LAST, (1, 0, 2, 3), TO_LAST), 1),
    "back at the third": (((1, 2, 3, 0), (1, 2, 3, 0), (2, 3, 0, 1)), 0),
}
EACH_CASE = pytest.mark.parametrize(("orders", "left"), CASES.values(), ids=CASES)


@EACH_CASE
def test_fires_with_the_same_numbers(orders, left):
    done = rewrite(RULE, Moves(*orders), noise(*SHAPE))
    assert len(done.report.sites) == len(orders) - 1
    assert done.report.skips == ()
    assert done.report.max_error == 0
    assert (count(done.before, PERMUTE), count(done.after, PERMUTE)) == (len(orders), left)
    other = noise(*SHAPE, seed=1)
    assert torch.equal(done.after.module()(other), done.before.module()(other))


def test_any_two_orders():
    x = noise(2, 3, 4)
    for first, second in itertools.product(itertools.permutations(range(3)), repeat=2):
        done = rewrite(RULE, Moves(first, second), x)
        assert torch.equal(done.after.module()(x), torch.tanh(F.relu(x).permute(first).permute(second)))
        assert count(done.after, PERMUTE) <= 1


@EACH_CASE
def test_second_run_changes_nothing(orders, left):
    assert_settled(RULE, rewrite(RULE, Moves(*orders), noise(*SHAPE)), noise(*SHAPE))


@EACH_CASE
def test_names_shapes_dtypes_unchanged(orders, left):
    done = rewrite(RULE, Moves(*orders), noise(*SHAPE))
    assert interface(done.after) == interface(done.before)


class Apart(nn.Module):
    def forward(self, x):
        return F.gelu(x.permute(TO_LAST)).permute(TO_FIRST), x.transpose(1, 2).permute(TO_LAST)


def test_leaves_others_alone():
    done = rewrite(RULE, Apart(), noise(*SHAPE))
    assert_untouched(done)
    assert done.report.skips == ()


def test_other_readers_of_the_first_keep_it():
    class ReadTwice(nn.Module):
        def forward(self, x):
            y = F.relu(x).permute(TO_LAST)
            return torch.tanh(y), torch.tanh(y.permute(TO_FIRST))

    x = noise(*SHAPE)
    done = rewrite(RULE, ReadTwice(), x)
    assert len(done.report.sites) == 1
    assert count(done.after, PERMUTE) == 1
    for before, after in zip(done.before.module()(x), done.after.module()(x), strict=True):
        assert torch.equal(before, after)


def test_at_the_ends_of_a_program():
    class OnlyMoves(nn.Module):
        def forward(self, x):
            return x.permute(TO_LAST).permute(TO_FIRST), x.permute(TO_LAST).permute(TO_LAST)

    x = noise(*SHAPE)
    done = rewrite(RULE, OnlyMoves(), x)
    assert len(done.report.sites) == 2
    same, moved = done.after.module()(x)
    assert torch.equal(same, x)
    assert torch.equal(moved, x.permute(0, 3, 1, 2))
