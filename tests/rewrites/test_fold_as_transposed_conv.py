"""Folds as transposed convolutions: overlaps, gaps, rims, padding and dilation, by row and column."""

import pytest
import torch
from rewriting import assert_same_numbers, assert_settled, assert_untouched, count, interface, noise, rewrite
from torch import nn
from torch.nn import functional as F

from edgekit.rewrites.fold_as_transposed_conv import FoldAsTransposedConv

RULE = FoldAsTransposedConv()


class Fold(nn.Module):
    def __init__(self, size, kernel, **options):
        super().__init__()
        self.size, self.kernel, self.options = size, kernel, options

    def forward(self, x):
        return F.fold(x, self.size, self.kernel, **self.options)


CASES = {
    "overlapping": (Fold((16, 16), 3, padding=1, stride=2), 64),
    "side by side": (Fold((8, 12), (2, 3), stride=(2, 3)), 16),
    "every place": (Fold((7, 5), 3, padding=1), 35),
    "a rim that is not reached": (Fold((9, 8), 2, stride=2), 16),
    "of uneven kernels": (Fold((9, 7), (3, 2), padding=(1, 0), stride=(2, 1)), 30),
    "dilated": (Fold((8, 8), 2, dilation=3, stride=2), 9),
}


@pytest.mark.parametrize("name", CASES)
def test_same_numbers(name):
    model, places = CASES[name]
    kernel = torch.zeros(model.kernel if isinstance(model.kernel, tuple) else (model.kernel,) * 2).numel()
    x = noise(2, 3 * kernel, places)
    done = rewrite(RULE, model, x)
    assert len(done.report.sites) == 1
    assert count(done.after, torch.ops.aten.col2im.default) == 0
    assert interface(done.after) == interface(done.before)
    assert_same_numbers(done, noise(2, 3 * kernel, places, seed=1), tolerance=1e-6)


def test_patches_without_a_batch_are_refused():
    done = rewrite(RULE, Fold((4, 4), 2, stride=2), noise(12, 4))
    assert_untouched(done)
    assert done.reasons[0].startswith("its patches have no axis for a batch")


def test_second_run_changes_nothing():
    model, places = CASES["overlapping"]
    x = noise(1, 9, places)
    assert_settled(RULE, rewrite(RULE, model, x), x)
