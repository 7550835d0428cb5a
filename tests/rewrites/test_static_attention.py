"""Self-attention of rank 5: the same in tensors of rank 3."""

import pytest
import torch
from rewriting import PRECISIONS, filled, noise, ranks, relative_error, rewrite_one_module
from torch import nn

from edgekit.capture import capture
from edgekit.ops.transformer_block import SelfAttention, TransformerBlock
from edgekit.rewrites.static_attention import StaticAttention

EACH = pytest.mark.parametrize("rule", [StaticAttention(), StaticAttention(joint=True)], ids=lambda rule: rule.name)


@EACH
@PRECISIONS
@pytest.mark.parametrize("bias", [True, False])
def test_same_numbers_for_any_number_of_tokens(rule, dtype, tolerance, bias):
    eager = SelfAttention(12, 3)
    if not bias:
        eager.qkv = nn.Linear(12, 36, bias=False)
    filled(eager, dtype)
    after, report = rewrite_one_module(rule, eager, noise(1, 7, 12, dtype=dtype))
    assert report.sites == ("",)
    for tokens in (1, 4, 7, 9):
        x = noise(1, tokens, 12, dtype=dtype, seed=tokens)
        with torch.no_grad():
            assert relative_error(eager(x), after(x)) <= tolerance


@EACH
def test_a_mask_does_the_same(rule):
    eager, x = filled(SelfAttention(12, 3)), noise(1, 7, 12)
    after, _ = rewrite_one_module(rule, eager, x)
    mask = torch.zeros(1, 1, 1, 7)
    mask[..., 3:5] = -40000.0
    with torch.no_grad():
        assert relative_error(eager(x, mask), after(x, mask)) <= 1e-5
        # A masked key is not seen at all.
        changed = x.clone()
        changed[:, 3:5] = 9.0
        assert torch.equal(after(x, mask)[:, :3], after(changed, mask)[:, :3])


@EACH
def test_nothing_is_above_rank_3(rule):
    x = noise(1, 7, 12)
    eager = filled(SelfAttention(12, 3))
    after, _ = rewrite_one_module(rule, eager, x)
    assert max(ranks(capture("eager", eager, (x,)))) == 5
    assert max(ranks(capture("after", after, (x,)))) == 3


class Twice(nn.Module):
    """One block on all tokens and again on some of them."""

    def __init__(self):
        super().__init__()
        self.block = TransformerBlock(12, 3, 24, eps=1e-6)

    def forward(self, x):
        return self.block(self.block(x)[:, :4])


@EACH
def test_fires_where_the_number_of_tokens_changes_and_only_once(rule):
    eager, x = filled(Twice()), noise(1, 7, 12)
    after, report = rewrite_one_module(rule, eager, x)
    assert (report.sites, report.skips) == (("block.attn",), ())
    with torch.no_grad():
        assert relative_error(eager(x), after(x)) <= 1e-5
    again, second = rewrite_one_module(rule, after, x)
    assert second.sites == second.skips == ()
    assert type(again.block.attn) is type(after.block.attn)
    assert type(eager.block.attn) is SelfAttention


@EACH
def test_a_batch_is_refused(rule):
    _, report = rewrite_one_module(rule, filled(SelfAttention(12, 3)), noise(2, 7, 12))
    assert [skip.reason for skip in report.skips] == ["its form of rank 3 spends the batch axis; it takes one image, not 2"]
