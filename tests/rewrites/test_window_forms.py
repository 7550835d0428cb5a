"""Every static spelling of the window partition cuts as the natural one does, and its inverse puts it back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgekit.ops.spanning_attention import merge_windows, partition_windows, split_heads
from edgekit.ops.window_forms import Grid, WindowForm, merge, partition

FORMS = [WindowForm("channels_last", rank) for rank in (6, 5, 4)] + [WindowForm("channels_first", rank) for rank in (5, 4)]
EACH_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.layout}-{form.max_rank}")
EACH_KIND = pytest.mark.parametrize("kind", ["neighbour", "distant"])

# Window, rows and columns of windows, heads, channels a head.
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))


def numbered_map(sizes: tuple[int, ...]) -> tuple[Tensor, Grid, int]:
    """A map in which every value is another number, its grid, and the number of heads."""
    window, rows, columns, heads, depth = sizes
    shape = (1, heads * depth, rows * window, columns * window)
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape), Grid(rows * window, columns * window, window), heads


def cut(x: Tensor, grid: Grid, heads: int, kind: str, form: WindowForm, *, transposed: bool = False) -> Tensor:
    """Partition a (1, C, H, W) map, handed over as the form takes it."""
    return partition(x.permute(0, 2, 3, 1) if form.layout == "channels_last" else x, grid, heads, kind, form, transposed=transposed)


def natural(x: Tensor, grid: Grid, heads: int, kind: str) -> Tensor:
    """(windows * heads, tokens, D), cut by the reference."""
    return split_heads(partition_windows(x, grid.window, kind), heads).flatten(0, 1)


@EACH_FORM
@EACH_KIND
@settings(max_examples=40, deadline=None)
@given(sizes=SIZES)
def test_partition_is_the_natural_one(form, kind, sizes):
    x, grid, heads = numbered_map(sizes)
    ours = cut(x, grid, heads, kind, form)
    if form.layout == "channels_first":
        ours = ours.transpose(1, 2)
    assert torch.equal(ours, natural(x, grid, heads, kind))


@EACH_FORM
@EACH_KIND
@settings(max_examples=40, deadline=None)
@given(sizes=SIZES)
def test_a_transposed_partition_has_its_tokens_last(form, kind, sizes):
    x, grid, heads = numbered_map(sizes)
    ours = cut(x, grid, heads, kind, form, transposed=True)
    assert ours.shape == (grid.windows * heads, x.shape[1] // heads, grid.window**2)
    assert torch.equal(ours, natural(x, grid, heads, kind).transpose(1, 2))


@EACH_FORM
@EACH_KIND
@settings(max_examples=40, deadline=None)
@given(sizes=SIZES)
def test_merge_undoes_partition(form, kind, sizes):
    x, grid, heads = numbered_map(sizes)
    merged = merge(cut(x, grid, heads, kind, form), grid, heads, kind, form)
    assert torch.equal(merged.permute(0, 3, 1, 2) if form.layout == "channels_last" else merged, x)


@EACH_KIND
@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, batch=st.integers(1, 3))
def test_natural_merge_undoes_natural_partition(kind, sizes, batch):
    x, grid, _ = numbered_map(sizes)
    x = torch.cat([x + 10_000 * image for image in range(batch)])
    windows = partition_windows(x, grid.window, kind)
    assert windows.shape == (batch * grid.windows, x.shape[1], grid.window, grid.window)
    assert torch.equal(merge_windows(windows, grid.height, grid.width, kind), x)


def test_which_tokens_share_a_window():
    x = torch.arange(24.0).reshape(1, 1, 4, 6)  # token r, c holds 6 r + c; windows of 2
    near = partition_windows(x, 2, "neighbour")[:, 0].flatten(1)
    far = partition_windows(x, 2, "distant")[:, 0].flatten(1)
    assert near[0].tolist() == [0, 1, 6, 7]
    assert near[1].tolist() == [2, 3, 8, 9]
    assert near[3].tolist() == [12, 13, 18, 19]
    # Rows 0 and 2, columns 0 and 3: every second row, every third column.
    assert far[0].tolist() == [0, 3, 12, 15]
    assert far[1].tolist() == [1, 4, 13, 16]
    assert far[3].tolist() == [6, 9, 18, 21]


def test_a_grid_counts_windows():
    grid = Grid(14, 21, 7)
    assert (grid.rows, grid.columns, grid.windows) == (2, 3, 6)
