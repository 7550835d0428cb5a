"""A slice that takes everything: nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rewriting import assert_settled, assert_untouched, count, interface, noise, rewrite
from torch import nn

from edgekit.capture import capture
from edgekit.rewrites.drop_full_slices import DropFullSlices
from edgekit.rewrites.graph import ProgramEditor

RULE = DropFullSlices()
SLICE, ALIAS = torch.ops.aten.slice.Tensor, torch.ops.aten.alias.default
SHAPE = (2, 3, 4, 5)


class Sliced(nn.Module):
    """Slices between two functions that keep them from the program's ends; each is (axis, start, end, step)."""

    def __init__(self, *slices):
        super().__init__()
        self.slices = slices

    def forward(self, x):
        y = x.relu()
        for bounds in self.slices:
            y = torch.ops.aten.slice.Tensor(y, *bounds)
        return y.tanh()


# Slices, and how many of them are left.
CASES = {
    "all by default": ([(1,)], 0),
    "from the start to the end": ([(1, 0, 3)], 0),
    "beyond the end": ([(2, 0, 2**63 - 1)], 0),
    "axis counted from the end": ([(-1, None, 5)], 0),
    "start counted from the end": ([(2, -4, None)], 0),
    "start before the first": ([(2, -9, 4)], 0),
    "one after the other": ([(0, 0, 2), (1, 0, 3), (3, 0, 9)], 0),
    "between others": ([(2, 0, 2), (1, 0, 3), (3, 1, 9)], 2),
    "all of what is left": ([(2, 1, 3), (2, 0, 2)], 1),
}
EACH_CASE = pytest.mark.parametrize(("slices", "left"), CASES.values(), ids=CASES)


@EACH_CASE
def test_fires_with_the_same_numbers(slices, left):
    done = rewrite(RULE, Sliced(*slices), noise(*SHAPE))
    assert len(done.report.sites) == len(slices) - left
    assert done.report.skips == ()
    assert (count(done.before, SLICE), count(done.after, SLICE)) == (len(slices), left)
    other = noise(*SHAPE, seed=1)
    assert torch.equal(done.after.module()(other), done.before.module()(other))


@EACH_CASE
def test_second_run_changes_nothing(slices, left):
    assert_settled(RULE, rewrite(RULE, Sliced(*slices), noise(*SHAPE)), noise(*SHAPE))


@EACH_CASE
def test_names_shapes_dtypes_unchanged(slices, left):
    done = rewrite(RULE, Sliced(*slices), noise(*SHAPE))
    assert done.report.sites
    assert interface(done.after) == interface(done.before)


@pytest.mark.parametrize(
    "bounds",
    [(2, 1, None), (2, 0, 3), (2, None, -1), (2, -3, None), (2, 0, 4, 2), (2, 3, 3)],
    ids=["from the second", "to the third", "all but the last", "the last three", "every second", "none"],
)
def test_leaves_others_alone(bounds):
    done = rewrite(RULE, Sliced(bounds), noise(*SHAPE)) if bounds != (2, 3, 3) else None
    if done is None:  # an empty value has no largest one to compare with
        program = capture("empty", Sliced(bounds), (noise(*SHAPE),))
        editor = ProgramEditor(program)
        assert not any(RULE.match(node, editor) for node in editor.graph.nodes)
        return
    assert_untouched(done)
    assert done.report.skips == ()


BOUND = st.none() | st.integers(-8, 8)


@settings(max_examples=40, deadline=None)
@given(start=BOUND, end=BOUND, step=st.integers(1, 2))
def test_matches_exactly_what_takes_everything(start, end, step):
    x = noise(2, 5)
    program = capture("sliced", Sliced((1, start, end, step)), (x,))
    editor = ProgramEditor(program)
    matched = any(RULE.match(node, editor) for node in editor.graph.nodes)
    assert matched == (x[:, slice(start, end, step)].shape == x.shape)


def test_a_crop_keeps_the_slices_that_cut():
    class Crop(nn.Module):
        def forward(self, x):
            return x[:, :, :3, :4]

    x = noise(*SHAPE)
    done = rewrite(RULE, Crop(), x)
    assert count(done.after, SLICE) == 2
    assert count(done.after.run_decompositions({}), ALIAS) == 0
    assert torch.equal(done.after.module()(x), x[:, :, :3, :4])


def test_at_the_ends_of_a_program():
    class All(nn.Module):
        def forward(self, x):
            return x[:, 0:], x[:, :3].relu()

    x = noise(*SHAPE)
    done = rewrite(RULE, All(), x)
    assert count(done.after, SLICE) == 0
    assert interface(done.after) == interface(done.before)
    same, positive = done.after.module()(x)
    assert torch.equal(same, x)
    assert torch.equal(positive, x.relu())
