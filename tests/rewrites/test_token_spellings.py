"""Small spellings for delegates: expands that do nothing, squeezes, and layer norms as linear layers."""

import pytest
import torch
from rewriting import (
    LAYER_NORM,
    LINEAR,
    PRECISIONS,
    assert_same_numbers,
    assert_settled,
    assert_untouched,
    count,
    filled,
    interface,
    noise,
    rewrite,
)
from torch import nn
from torch.nn import functional as F

from edgekit.rewrites.drop_idle_expands import DropIdleExpands
from edgekit.rewrites.layer_norm_as_linears import LayerNormAsLinears
from edgekit.rewrites.squeezes_as_reshapes import SqueezesAsReshapes

EXPAND, RESHAPE = torch.ops.aten.expand.default, torch.ops.aten.reshape.default
SQUEEZES = (torch.ops.aten.squeeze.dim, torch.ops.aten.squeeze.default, torch.ops.aten.squeeze.dims, torch.ops.aten.unsqueeze.default)


class ClassToken(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 6))

    def forward(self, x):
        return torch.cat([self.token.expand(len(x), -1, -1), x], 1)


def test_an_idle_expand_goes():
    done = rewrite(DropIdleExpands(), filled(ClassToken()), noise(1, 4, 6))
    assert (len(done.report.sites), count(done.after, EXPAND)) == (1, 0)
    assert_same_numbers(done, noise(1, 4, 6, seed=1), tolerance=0)
    assert interface(done.after) == interface(done.before)
    assert_settled(DropIdleExpands(), done, noise(1, 4, 6))


def test_an_expand_that_repeats_stays():
    done = rewrite(DropIdleExpands(), filled(ClassToken()), noise(2, 4, 6))
    assert_untouched(done)
    assert done.reasons == []


def test_an_expand_that_is_an_output_stays():
    class Output(nn.Module):
        def forward(self, x):
            return x.expand(2, 3)

    done = rewrite(DropIdleExpands(), Output(), noise(2, 3))
    assert_untouched(done)
    assert done.reasons == ["it is an output of the model"]


class Squeezes(nn.Module):
    def forward(self, x):
        y = x.sum(1, keepdim=True)
        return F.relu(y.squeeze(1)).unsqueeze(-1), F.relu(y.squeeze()), F.relu(y.squeeze((0, 1)))


def test_squeezes_become_reshapes():
    done = rewrite(SqueezesAsReshapes(), Squeezes(), noise(1, 4, 6))
    assert len(done.report.sites) == 4
    assert sum(count(done.after, op) for op in SQUEEZES) == 0
    assert count(done.after, RESHAPE) == 4
    assert_same_numbers(done, noise(1, 4, 6, seed=1), tolerance=0)
    assert interface(done.after) == interface(done.before)
    assert_settled(SqueezesAsReshapes(), done, noise(1, 4, 6))


def test_reshapes_are_left_alone():
    class Reshapes(nn.Module):
        def forward(self, x):
            return x.reshape(4, 6) + 1

    assert_untouched(rewrite(SqueezesAsReshapes(), Reshapes(), noise(1, 4, 6)))


class Norms(nn.Module):
    """Two norms of one width, one of them without scale and shift."""

    def __init__(self):
        super().__init__()
        self.first = nn.LayerNorm(6, eps=1e-3)
        self.second = nn.LayerNorm(6, eps=1e-3, elementwise_affine=False)

    def forward(self, x):
        return self.second(F.gelu(self.first(x)))


@PRECISIONS
@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 6), (1, 2, 3, 6)], ids=str)
def test_layer_norms_become_linear_layers(dtype, tolerance, shape):
    done = rewrite(LayerNormAsLinears(), filled(Norms(), dtype), noise(*shape, dtype=dtype))
    assert (count(done.after, LAYER_NORM), count(done.after, LINEAR)) == (0, 4)
    assert_same_numbers(done, noise(*shape, dtype=dtype, seed=1), tolerance=tolerance)
    assert interface(done.after) == interface(done.before)


def test_norms_of_one_width_share_their_constants():
    x = noise(1, 4, 6)
    done = rewrite(LayerNormAsLinears(), filled(Norms()), x)
    assert len(done.after.state_dict) - len(done.before.state_dict) == 2
    assert_settled(LayerNormAsLinears(), done, x)


def test_a_norm_over_several_axes_is_refused():
    done = rewrite(LayerNormAsLinears(), filled(nn.LayerNorm((4, 6))), noise(1, 4, 6))
    assert_untouched(done)
    assert done.reasons == ["it normalises over 2 axes, not over the last alone"]
