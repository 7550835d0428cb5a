"""The factor on attention's scores: inside q's weights."""

import pytest
import torch
from rewriting import BMM, MUL, PRECISIONS, rewrite_one_module
from switching import (
    CHANNELS_LAST,
    EACH_FORM,
    SOFTMAX,
    SOME_FORMS,
    assert_interface_kept,
    assert_leaves_others_alone,
    assert_original_stays,
    assert_same_numbers_switched,
    assert_switched_once,
    operations,
    static,
)

from edgekit.rewrites.fold_attention_scale import FoldAttentionScale

RULE = FoldAttentionScale()
EACH_SIZE = pytest.mark.parametrize("size", [(6, 9), (5, 7)], ids=str)


@EACH_FORM
@EACH_SIZE
@PRECISIONS
def test_same_numbers(form, size, dtype, tolerance):
    assert_same_numbers_switched(RULE, form, size, dtype, tolerance)


@EACH_FORM
@EACH_SIZE
def test_second_run_changes_nothing(form, size):
    assert_switched_once(RULE, form, size)


@EACH_SIZE
def test_the_original_and_its_weights_stay(size):
    assert_original_stays(RULE, CHANNELS_LAST[0], size)


@SOME_FORMS
@EACH_SIZE
def test_names_shape_dtype_and_rank_unchanged(form, size):
    assert_interface_kept(RULE, form, size)


def test_leaves_others_alone():
    assert_leaves_others_alone(RULE)


@SOME_FORMS
def test_operations_in_the_graph(form):
    before, x = static(form, (6, 9))
    after, _ = rewrite_one_module(RULE, before, x)
    assert operations(before, x, BMM, SOFTMAX, MUL) == (4, 2, 2)
    assert operations(after, x, BMM, SOFTMAX, MUL) == (4, 2, 0)


def test_only_q_is_scaled():
    before, x = static(CHANNELS_LAST[0], (6, 9))
    after, _ = rewrite_one_module(RULE, before, x)
    scale = before.plan.scale
    assert scale == pytest.approx(3**-0.5)
    assert torch.allclose(after.q.weight, before.q.weight * scale, rtol=1e-6, atol=0)
    assert torch.allclose(after.q.bias, before.q.bias * scale, rtol=1e-6, atol=0)
    for name in ("k.weight", "k.bias", "v.weight", "v.bias"):
        assert torch.equal(after.state_dict()[name], before.state_dict()[name])
