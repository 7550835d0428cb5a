"""Boolean indices spelled with places: they read and write what PyTorch's own do."""

import pytest
import torch
from torch import nn

from edgekit.masks.watch import Noticing, Observing

X = torch.arange(2 * 5 * 3, dtype=torch.float32).reshape(2, 5, 3)
ROW = torch.tensor([True, False, True, True, False])
BOTH = torch.tensor([[True, False, True, True, False], [False, False, True, False, True]])
ALL = torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(0)) > 0.4

READS = {
    "one axis": lambda x: x[:, ROW],
    "the first axis": lambda x: x[1][ROW],
    "two axes": lambda x: x[BOTH],
    "all axes": lambda x: x[ALL],
    "a number before it": lambda x: x[0, ROW],
    "a number behind it": lambda x: x[:, ROW, 1],
    "a slice behind it": lambda x: x[:, ROW, 1:],
    "an ellipsis before it": lambda x: x[..., torch.tensor([True, False, True])],
    "an ellipsis behind it": lambda x: x[BOTH, ...],
    "a new axis": lambda x: x[:, None, ROW],
    "with another index": lambda x: x[torch.tensor([0, 1, 1]), ROW],
    "two masks": lambda x: x[torch.tensor([True, True]), torch.tensor([True, False, False, False, True])],
    "masked_select, mask of all": lambda x: torch.masked_select(x, ALL),
    "masked_select, mask broadcast behind": lambda x: x.masked_select(BOTH[..., None]),
    "masked_select, mask broadcast in front": lambda x: x.masked_select(torch.tensor([True, False, True])),
    "masked_scatter": lambda x: x.masked_scatter(BOTH[..., None], torch.arange(100.0)),
    "masked_scatter, all": lambda x: torch.masked_scatter(x, ALL, torch.arange(100.0).reshape(10, 10)),
    "nonzero": lambda x: ROW.nonzero() + 0 * x[0, 0, 0].long(),
    "nonzero of two axes": lambda x: torch.nonzero(BOTH),
    "nonzero of numbers": lambda x: torch.nonzero(x - 4.0),
    "nonzero as a tuple": lambda x: torch.stack(torch.nonzero(ALL, as_tuple=True)),
    "where": lambda x: torch.stack(torch.where(BOTH)),
    "argwhere": lambda x: torch.argwhere(ALL),
    "index_put": lambda x: torch.index_put(x, (BOTH,), torch.ones(5, 3)),
}


def written(change):
    def run(x):
        y = x.clone()
        change(y)
        return y

    return run


WRITES = {
    "rows": lambda y: y.__setitem__(BOTH, -torch.arange(15.0).reshape(5, 3)),
    "rows along an axis": lambda y: y.__setitem__((slice(None), ROW), -torch.arange(18.0).reshape(2, 3, 3)),
    "rows that are broadcast": lambda y: y.__setitem__((slice(None), ROW), -torch.arange(9.0).reshape(3, 3)),
    "a number": lambda y: y.__setitem__(BOTH, 7),
    "a tensor of one number": lambda y: y.__setitem__(ALL, torch.tensor(7.0)),
    "one row for all": lambda y: y.__setitem__(BOTH, torch.tensor([7.0, 8.0, 9.0])),
    "one row with an axis for all": lambda y: y.__setitem__((slice(None), ROW), torch.tensor([[7.0, 8.0, 9.0]])),
    "numbers of all axes": lambda y: y.__setitem__(ALL, torch.arange(float(ALL.sum()))),
    "behind a number": lambda y: y.__setitem__((1, ROW), -torch.arange(9.0).reshape(3, 3)),
    "into a view": lambda y: y[1].__setitem__(ROW, torch.zeros(3, 3)),
    "arithmetic in place": lambda y: y.__setitem__(BOTH, y[BOTH] * 2),
    "masked_scatter_": lambda y: y.masked_scatter_(ALL, torch.arange(100.0)),
    "index_put_": lambda y: y.index_put_((BOTH,), torch.ones(5, 3)),
    "with another index": lambda y: y.__setitem__((torch.tensor([0, 1, 1]), ROW), torch.zeros(3, 3)),
}
EACH = READS | {f"write {name}": written(change) for name, change in WRITES.items()}


@pytest.mark.parametrize("name", EACH)
def test_the_same_as_pytorch(name):
    expected = EACH[name](X)
    with Noticing() as noticing:
        noticed = EACH[name](X)
    with Observing():
        found = EACH[name](X)
    assert noticing.noticed
    assert torch.equal(noticed, expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert torch.equal(found, expected)


def test_counts_come_in_the_order_of_the_forward():
    with Observing() as observing:
        X[:, ROW][:, torch.tensor([True, False, False])]
        X[BOTH]
    assert observing.counts == [3, 1, 5]


@pytest.mark.parametrize("name", ["a number", "a tensor of one number", "one row for all", "one row with an axis for all"])
def test_one_value_for_all_places_needs_no_count(name):
    with Observing() as observing:
        EACH[f"write {name}"](X)
    assert observing.counts == []


PLACES = {
    "rows": lambda y: y.__setitem__((slice(None), torch.tensor([3, 1])), torch.arange(12.0).reshape(2, 2, 3)),
    "a number": lambda y: y.__setitem__((1, torch.tensor([4, 0])), 7),
    "behind an ellipsis": lambda y: y.__setitem__((..., torch.tensor([2])), torch.zeros(2, 5, 1)),
    "two rows of places": lambda y: y.__setitem__((torch.tensor([0, 1]), torch.tensor([4, 0])), 7.0),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_write_at_places_is_the_same_and_no_boolean_index(name):
    expected = written(PLACES[name])(X)
    with Noticing() as noticing:
        assert torch.equal(written(PLACES[name])(X), expected)
    with Observing() as observing:
        assert torch.equal(written(PLACES[name])(X), expected)
    assert (noticing.noticed, observing.counts) == (False, [])


@pytest.mark.parametrize(
    "index",
    [0, slice(1, 3), None, Ellipsis, torch.tensor([0, 1]), (0, torch.tensor(1)), [0, 1], torch.tensor(True)],
    ids=str,
)
def test_other_indices_are_left_to_pytorch(index):
    with Noticing() as noticing:
        found = X[index]
    assert not noticing.noticed
    assert torch.equal(found, X[index])


def test_attention_and_other_layers_are_left_to_pytorch():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.no_grad(), Noticing() as noticing:
        layer(torch.zeros(1, 4, 8))
    assert not noticing.noticed
