"""Neighbour and distant windows that are the same: attended once, counted twice."""

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

from edgekit.rewrites.merge_coincident_windows import MergeCoincidentWindows

RULE = MergeCoincidentWindows()
EACH_SIZE = pytest.mark.parametrize("size", [(3, 3), (2, 3)], ids=str)


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
    before, x = static(form, (3, 3))
    after, _ = rewrite_one_module(RULE, before, x)
    assert operations(before, x, BMM, SOFTMAX, MUL) == (4, 2, 2)
    assert operations(after, x, BMM, SOFTMAX, MUL) == (2, 1, 2)  # the scale, and the factor 2


@EACH_FORM
def test_exact_to_the_bit(form):
    before, x = static(form, (3, 3))
    after, _ = rewrite_one_module(RULE, before, x)
    with torch.no_grad():
        assert torch.equal(before(x), after(x))


@pytest.mark.parametrize(
    ("size", "windows"),
    # One window high, two wide: neighbour and distant columns differ.
    [((6, 9), 6), ((3, 6), 2), ((6, 3), 2), ((2, 4), 2)],
    ids=str,
)
def test_several_windows_do_not_coincide(size, windows):
    module, x = static(CHANNELS_LAST[0], size)
    after, report = rewrite_one_module(RULE, module, x)
    assert report.sites == ()
    assert after.plan == module.plan
    (skip,) = report.skips
    assert f"{windows} windows" in skip.reason
    assert "different tokens" in skip.reason
