"""Rows at the places of a mask: taken and put back by products of zeros and ones."""

import pytest
import torch
from rewriting import assert_settled, assert_untouched, count, noise, rewrite
from torch import nn

from edgekit.ops.kept_places import KEPT_PLACES, kept_places
from edgekit.rewrites.kept_places_by_top_k import KeptPlacesByTopK
from edgekit.rewrites.kept_rows_by_products import KeptRowsByProducts

ATEN = torch.ops.aten
INDICES = (ATEN.index_select.default, ATEN.index_copy.default, ATEN.index.Tensor, ATEN.index_put.default, ATEN.index_put_.default)
RULES = pytest.mark.parametrize("rule", [KeptRowsByProducts(), KeptPlacesByTopK()], ids=lambda rule: rule.name)
N, K = 9, 4


class Moves(nn.Module):
    """Does something at the four places of a mask of nine."""

    def __init__(self, move, kept=K):
        super().__init__()
        self.move, self.kept = move, kept

    def forward(self, x, mask):
        return self.move(x, kept_places(mask > 0.5, self.kept))


def mask(seed, kept=K):
    return (torch.randperm(N, generator=torch.Generator().manual_seed(seed)) < kept).float()


def put_in_place(x, i):
    y = x.clone()
    y[:, i] = -x[:, i]
    return y


MOVES = {
    "take": lambda x, i: x.index_select(1, i),
    "take along the first axis": lambda x, i: x[0].index_select(0, i),
    "take along the last axis": lambda x, i: x.transpose(1, 2).index_select(-1, i),
    "take of several": lambda x, i: torch.cat([x, -x]).index_select(1, i),
    "take by an index": lambda x, i: x[:, i],
    "take by an index in another shape": lambda x, i: x[:, i[:, None].squeeze(1)],
    "take twice": lambda x, i: x[:, i] @ x.sin()[:, i].transpose(1, 2),
    "take what is true": lambda x, i: (x > 0).index_select(1, i).float(),
    "put": lambda x, i: x.index_copy(1, i, x.index_select(1, i) * 2),
    "put one for all": lambda x, i: x.index_put((torch.tensor(0), i), torch.tensor(3.0)),
    "put rows that are broadcast": lambda x, i: x[0].index_put((i,), torch.arange(3.0)),
    "put by an index": put_in_place,
    "put along the last axis": lambda x, i: x.transpose(1, 2).index_copy(2, i, torch.arange(12.0).reshape(1, 3, 4)),
    "put what is true": lambda x, i: (x > 0).index_copy(1, i, torch.ones(1, 4, 3, dtype=torch.bool)).float(),
    "places themselves": lambda x, i: x.sum() + i.float(),
}
BY_INDEX_STILL = ("put one for all", "put by an index", "places themselves")


@RULES
@pytest.mark.parametrize("name", MOVES)
def test_same_numbers(rule, name):
    model = Moves(MOVES[name])
    done = rewrite(rule, model, noise(1, N, 3), mask(0))
    assert (len(done.report.sites), count(done.after, KEPT_PLACES)) == (1, 0)
    if isinstance(rule, KeptRowsByProducts) and name not in BY_INDEX_STILL:
        assert sum(count(done.after, op) for op in INDICES) == 0
    for seed in range(1, 6):
        x, kept = noise(1, N, 3, seed=seed), mask(seed)
        assert torch.equal(done.after.module()(x, kept), model(x, kept))  # one term of each sum is not 0: nothing is rounded


@RULES
@pytest.mark.parametrize("kept", [1, N])
def test_one_place_and_all(rule, kept):
    model = Moves(MOVES["put"], kept)
    done = rewrite(rule, model, noise(1, N, 3), mask(0, kept))
    assert torch.equal(done.after.module()(noise(1, N, 3, seed=1), mask(1, kept)), model(noise(1, N, 3, seed=1), mask(1, kept)))


@RULES
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_precisions(rule, dtype):
    model = Moves(MOVES["put"])
    done = rewrite(rule, model, noise(1, N, 3, dtype=dtype), mask(0))
    x = noise(1, N, 3, dtype=dtype, seed=1)
    assert torch.equal(done.after.module()(x, mask(1)), model(x, mask(1)))


def test_whole_numbers_stay_with_an_index():
    model = Moves(lambda x, i: (x * 1e9).long().index_select(1, i))
    done = rewrite(KeptRowsByProducts(), model, noise(1, N, 3), mask(0))
    assert (count(done.after, ATEN.index_select.default), count(done.after, KEPT_PLACES)) == (1, 0)
    assert torch.equal(done.after.module()(noise(1, N, 3, seed=1), mask(1)), model(noise(1, N, 3, seed=1), mask(1)))


def test_a_tie_gives_rows_of_zeros_or_the_first():
    done = rewrite(KeptRowsByProducts(), Moves(MOVES["take"]), noise(1, N, 3), mask(0))
    x = noise(1, N, 3, seed=1)
    fewer, more = done.after.module()(x, mask(1, K - 1)), done.after.module()(x, mask(1, K + 1))
    assert torch.equal(fewer[:, :-1], x[:, mask(1, K - 1) > 0.5])
    assert torch.equal(fewer[:, -1], torch.zeros(1, 3))
    assert torch.equal(more, x[:, mask(1, K + 1) > 0.5][:, :K])


def test_a_tie_gives_places_beside_the_mask_or_the_first_by_top_k():
    done = rewrite(KeptPlacesByTopK(), Moves(MOVES["take"]), noise(1, N, 3), mask(0))
    x = noise(1, N, 3, seed=1)
    fewer, more = done.after.module()(x, mask(1, K - 1)), done.after.module()(x, mask(1, K + 1))
    assert torch.equal(fewer[:, :-1], x[:, mask(1, K - 1) > 0.5])
    assert (x == fewer[:, -1:]).all(-1).any()
    assert torch.equal(more, x[:, mask(1, K + 1) > 0.5][:, :K])


@RULES
def test_nothing_the_size_of_all_pairs_is_stored(rule):
    class Long(nn.Module):
        def forward(self, x):
            return x[:, kept_places(x[0, :, 0] >= -9, 100)]

    done = rewrite(rule, Long(), noise(1, 100, 2))
    assert max(value.numel() for value in done.after.state_dict.values()) == 100


@RULES
def test_second_run_changes_nothing(rule):
    inputs = noise(1, N, 3), mask(0)
    assert_settled(rule, rewrite(rule, Moves(MOVES["put"]), *inputs), *inputs)


@RULES
def test_leaves_other_indices_alone(rule):
    class Others(nn.Module):
        def forward(self, x):
            return x[:, x[0, :, 0].topk(3).indices]

    done = rewrite(rule, Others(), noise(1, N, 3))
    assert (done.report.sites, done.reasons) == ((), [])
    assert count(done.after, ATEN.index.Tensor) == 1


def test_a_long_mask_is_refused():
    class Long(nn.Module):
        def forward(self, x):
            return x[kept_places(x >= -9, 1025)]

    done = rewrite(KeptRowsByProducts(), Long(), noise(1025))
    assert_untouched(done)
    assert done.reasons == ["its mask has 1025 places, and each would be compared with each; up to 1024 it is done"]


def test_a_mask_of_more_places_than_float32_numbers_is_refused():
    class Huge(nn.Module):
        def forward(self, x):
            return kept_places(x.expand(2**24 + 1) > 0.5, 2**24 + 1)

    done = rewrite(KeptPlacesByTopK(), Huge(), torch.ones(1))
    assert_untouched(done)
    assert done.reasons == ["its 16777217 places have no numbers of their own in float32"]
