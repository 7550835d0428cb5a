"""One token read at the end: computed alone, as far back as the others are not needed."""

import pytest
import torch
from rewriting import LINEAR, PRECISIONS, assert_same_numbers, assert_settled, assert_untouched, filled, interface, noise, rewrite
from torch import nn
from torch.nn import functional as F

from edgekit.ops.transformer_block import TransformerBlock
from edgekit.rewrites.select_token_early import SelectTokenEarly

RULE = SelectTokenEarly()


class Classifier(nn.Module):
    """Blocks, a norm, and a head on one token."""

    def __init__(self, index=0, blocks=2):
        super().__init__()
        self.blocks = nn.Sequential(*(TransformerBlock(12, 3, 24, eps=1e-6) for _ in range(blocks)))
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 5)
        self.index = index

    def forward(self, x):
        return self.head(self.norm(self.blocks(x))[:, self.index])


def tokens_of_linears(program):
    """How many tokens each linear layer takes."""
    shapes = [node.args[0].meta["val"].shape for node in program.graph.nodes if node.op == "call_function" and node.target == LINEAR]
    return [shape[1] for shape in shapes if len(shape) == 3]


@PRECISIONS
@pytest.mark.parametrize("index", [0, 3, -1])
def test_same_numbers(index, dtype, tolerance):
    done = rewrite(RULE, filled(Classifier(index), dtype), noise(1, 7, 12, dtype=dtype))
    assert len(done.report.sites) == 1
    assert done.report.max_error <= tolerance
    assert_same_numbers(done, noise(1, 7, 12, dtype=dtype, seed=1), tolerance=tolerance)


def test_computes_one_token_behind_the_last_keys_and_values():
    done = rewrite(RULE, filled(Classifier()), noise(1, 7, 12))
    assert tokens_of_linears(done.before) == [7] * 8
    # The last block's qkv is one layer, so it needs all; its projection and MLP do not.
    assert tokens_of_linears(done.after) == [7] * 5 + [1] * 3


class Apart(nn.Module):
    """Queries of their own."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(12, 12) for _ in range(3))

    def forward(self, x):
        q, k, v = (layer(x).reshape(7, 3, 4).permute(1, 0, 2) for layer in (self.q, self.k, self.v))
        return (torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v).permute(1, 0, 2).reshape(1, 7, 12) + x)[:, 0]


def test_a_query_of_its_own_is_computed_alone():
    done = rewrite(RULE, filled(Apart()), noise(1, 7, 12))
    assert sorted(tokens_of_linears(done.after)) == [1, 7, 7]
    assert_same_numbers(done, noise(1, 7, 12, seed=1), tolerance=1e-5)


def test_names_shapes_dtypes_unchanged():
    done = rewrite(RULE, filled(Classifier()), noise(1, 7, 12))
    assert interface(done.after) == interface(done.before)


def test_second_run_changes_nothing():
    x = noise(1, 7, 12)
    assert_settled(RULE, rewrite(RULE, filled(Classifier()), x), x)


class Wanted(nn.Module):
    """Everything in front of the selection is needed in full."""

    def __init__(self, mix):
        super().__init__()
        self.mix = mix

    def forward(self, x):
        return self.mix(x)[:, 0]


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x,
        lambda x: F.softmax(x, dim=1),
        lambda x: x.cumsum(1),
        lambda x: F.layer_norm(x, (7, 12)),
        lambda x: torch.flip(x, (1,)),
        lambda x: x.transpose(1, 2).reshape(1, 7, 12),
    ],
    ids=["input", "softmax over tokens", "running sum", "norm over tokens", "flip", "shuffle"],
)
def test_tokens_that_need_others_are_left_alone(mix):
    done = rewrite(RULE, Wanted(mix), noise(1, 7, 12))
    assert_untouched(done)
    assert done.reasons == ["what stands in front of it needs all tokens"]


def test_a_value_that_others_read_is_computed_in_full():
    class Both(nn.Module):
        def forward(self, x):
            y = F.gelu(x)
            return y[:, 0], y.sum(1)

    done = rewrite(RULE, Both(), noise(1, 7, 12))
    assert_untouched(done)
    assert len(done.reasons) == 1


def test_a_selection_of_something_else_is_no_site():
    class Channel(nn.Module):
        def forward(self, x):
            return F.gelu(x)[..., 0], F.gelu(x)[0]

    done = rewrite(RULE, Channel(), noise(1, 7, 12))
    assert_untouched(done)
    assert done.reasons == []


def test_operands_that_are_the_same_for_every_token():
    class Broadcast(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(12))
            self.position = nn.Parameter(torch.zeros(1, 7, 12))
            self.one = nn.Parameter(torch.zeros(1, 1, 12))

        def forward(self, x):
            return (2.0 * F.gelu(x) + self.shift + self.position * self.one)[:, 4]

    done = rewrite(RULE, filled(Broadcast()), noise(1, 7, 12))
    assert len(done.report.sites) == 1
    assert_same_numbers(done, noise(1, 7, 12, seed=1), tolerance=1e-6)
