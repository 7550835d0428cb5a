"""Classes as rows of zeros and ones, by comparison."""

import pytest
import torch
from rewriting import assert_settled, assert_untouched, count, interface, noise, rewrite
from torch import nn
from torch.nn import functional as F

from edgekit.rewrites.one_hot_by_comparison import OneHotByComparison

RULE = OneHotByComparison()


class Choice(nn.Module):
    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        return F.one_hot(x.argmax(self.axis), x.shape[self.axis]) * 3


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_same_numbers(axis):
    x = noise(2, 3, 5)
    done = rewrite(RULE, Choice(axis), x)
    assert len(done.report.sites) == 1
    assert count(done.after, torch.ops.aten.one_hot.default) == 0
    assert interface(done.after) == interface(done.before)
    other = noise(2, 3, 5, seed=1)
    assert torch.equal(done.after.module()(other), Choice(axis)(other))


def test_too_many_classes_are_refused():
    class Wide(nn.Module):
        def forward(self, x):
            return F.one_hot(x.argmax()[None][:0], 2**24 + 1).sum() + x

    done = rewrite(RULE, Wide(), noise(2))
    assert_untouched(done)
    assert done.reasons == ["its 16777217 classes have no numbers of their own in float32"]


def test_second_run_changes_nothing():
    x = noise(2, 3)
    assert_settled(RULE, rewrite(RULE, Choice(1), x), x)
