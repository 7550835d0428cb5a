"""Attention's keys: cut into windows with their tokens last, not transposed behind the cut."""

import pytest
import torch
from rewriting import BMM, LINEAR, PERMUTE, PRECISIONS, relative_error, rewrite_one_module
from switching import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    EACH_FORM_LAST,
    assert_interface_kept,
    assert_leaves_others_alone,
    assert_original_stays,
    assert_same_numbers_switched,
    assert_switched_once,
    operations,
    static,
)

from edgekit.rewrites.batch_window_partitions import BatchWindowPartitions
from edgekit.rewrites.merge_coincident_windows import MergeCoincidentWindows
from edgekit.rewrites.transpose_keys import TransposeKeys

RULE = TransposeKeys()
TRANSPOSE = torch.ops.aten.transpose.int
EACH_SIZE = pytest.mark.parametrize("size", [(6, 9), (5, 7), (3, 3)], ids=str)


@EACH_FORM_LAST
@EACH_SIZE
@PRECISIONS
def test_same_numbers(form, size, dtype, tolerance):
    assert_same_numbers_switched(RULE, form, size, dtype, tolerance)


@EACH_FORM_LAST
@EACH_SIZE
def test_second_run_changes_nothing(form, size):
    assert_switched_once(RULE, form, size)


@EACH_SIZE
def test_the_original_and_its_weights_stay(size):
    assert_original_stays(RULE, CHANNELS_LAST[0], size)


@EACH_FORM_LAST
@EACH_SIZE
def test_names_shape_dtype_and_rank_unchanged(form, size):
    assert_interface_kept(RULE, form, size)


def test_leaves_others_alone():
    assert_leaves_others_alone(RULE)


@EACH_FORM_LAST
@EACH_SIZE
def test_no_transpose_is_left(form, size):
    before, x = static(form, size)
    after, _ = rewrite_one_module(RULE, before, x)
    assert operations(before, x, TRANSPOSE, BMM, LINEAR) == (2, 4, 3)
    assert operations(after, x, TRANSPOSE, BMM, LINEAR) == (0, 4, 3)
    assert operations(after, x, PERMUTE) == operations(before, x, PERMUTE)


@EACH_FORM_LAST
@pytest.mark.parametrize(("switch", "size"), [(MergeCoincidentWindows(), (3, 3)), (BatchWindowPartitions(), (6, 9))], ids=["coincident", "batched"])
def test_beside_the_other_switches(form, switch, size):
    module, x = static(form, size)
    first, _ = rewrite_one_module(switch, module, x)
    second, report = rewrite_one_module(RULE, first, x)
    assert report.sites == ("",)
    assert operations(second, x, TRANSPOSE) == (0,)
    with torch.no_grad():
        assert relative_error(module(x), second(x)) <= 1e-5


@pytest.mark.parametrize("form", CHANNELS_FIRST, ids=lambda form: form.name)
def test_channels_first_is_refused(form):
    module, x = static(form, (6, 9))
    after, report = rewrite_one_module(RULE, module, x)
    assert report.sites == ()
    assert after.plan == module.plan
    (skip,) = report.skips
    assert "channels first" in skip.reason
    assert "transposed already" in skip.reason
