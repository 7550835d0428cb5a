"""Resizing by matrices: bicubic and antialiased, up and down, corners, sizes and factors."""

import pytest
from rewriting import assert_same_numbers, assert_settled, assert_untouched, interface, noise, rewrite
from torch import nn
from torch.nn import functional as F

from edgekit.rewrites.resizes_by_products import ResizesByProducts

RULE = ResizesByProducts()


class Resize(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, x):
        return F.interpolate(x, **self.options)


CASES = {
    "up": Resize(size=(16, 18), mode="bicubic"),
    "down, corners": Resize(size=(4, 5), mode="bicubic", align_corners=True),
    "by factors": Resize(scale_factor=(1.3, 0.7), mode="bicubic"),
    "by factors that are computed again": Resize(scale_factor=1.3, mode="bicubic", recompute_scale_factor=True),
    "antialiased up": Resize(size=(14, 13), mode="bicubic", antialias=True),
    "antialiased down": Resize(size=(3, 4), mode="bicubic", antialias=True),
    "antialiased bilinear": Resize(size=(3, 14), mode="bilinear", antialias=True),
}


@pytest.mark.parametrize("name", CASES)
def test_same_numbers(name):
    done = rewrite(RULE, CASES[name], noise(2, 3, 7, 9))
    assert len(done.report.sites) == 1
    assert interface(done.after) == interface(done.before)
    assert_same_numbers(done, noise(2, 3, 7, 9, seed=1), tolerance=2e-6)


def test_large_matrices_are_refused():
    done = rewrite(RULE, Resize(size=(1025, 2), mode="bicubic"), noise(1, 1, 1024, 2))
    assert_untouched(done)
    assert done.reasons[0].startswith("its matrix would have 1049600 values")


def test_kernels_that_exist_are_no_sites():
    done = rewrite(RULE, Resize(size=(5, 5), mode="bilinear"), noise(1, 1, 4, 4))
    assert_untouched(done)
    assert not done.reasons


def test_second_run_changes_nothing():
    x = noise(1, 2, 7, 9)
    assert_settled(RULE, rewrite(RULE, CASES["up"], x), x)
