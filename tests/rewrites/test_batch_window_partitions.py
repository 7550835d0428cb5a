"""Neighbour and distant attention: in one batched product."""

import pytest
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

from edgekit.rewrites.batch_window_partitions import BatchWindowPartitions
from edgekit.rewrites.merge_coincident_windows import MergeCoincidentWindows

RULE = BatchWindowPartitions()
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
    assert operations(after, x, BMM, SOFTMAX, MUL) == (2, 1, 1)


def test_nothing_to_batch_where_windows_coincide():
    module, x = static(CHANNELS_LAST[0], (3, 3))
    coincident, _ = rewrite_one_module(MergeCoincidentWindows(), module, x)
    after, report = rewrite_one_module(RULE, coincident, x)
    assert report.sites == ()
    assert after.plan == coincident.plan
    (skip,) = report.skips
    assert "coincide" in skip.reason
    assert "once already" in skip.reason
