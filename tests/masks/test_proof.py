"""Counts of masks: those that hold whatever the scores are, and the sentences that refuse the others."""

import pytest
import torch
from torch import nn

from edgekit.errors import DataDependentError
from edgekit.masks.captured import captured, kept_counts

N = 9


class Kept(nn.Module):
    """Takes the rows of a mask that a function makes of scores ``(1, 9)``; ``x`` are its rows."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask
        self.register_buffer("every_other", torch.arange(N) % 2 == 0)

    def forward(self, s):
        return torch.stack([s.reshape(-1), s.reshape(-1) * 2], 1)[self.mask(self, s).reshape(-1)]


def scores(seed):
    return torch.randn(1, N, generator=torch.Generator().manual_seed(seed))


def q(s, *args, **kwargs):
    return torch.quantile(s, *args, **kwargs)


def written_in_place(s):
    mask = s > q(s, 0.5)
    mask[0, 0] = True
    return mask


def narrowed(s):
    first = s > q(s, 0.25)
    other = s.cos() * s
    return first & (other >= other[first].median())


PROVED = {
    "greater": (lambda m, s: s > q(s, 0.5), 4),
    "greater or equal": (lambda m, s: s >= q(s, 0.5), 5),
    "less": (lambda m, s: s < q(s, 0.3), 3),
    "less or equal": (lambda m, s: s.le(q(s, 0.5)), 5),
    "beta 0 drops the lowest": (lambda m, s: s > q(s, 0.0), 8),
    "beta 0 keeps the lowest": (lambda m, s: s >= q(s, 0.0), 9),
    "beta 1 keeps the highest": (lambda m, s: s >= q(s, 1.0), 1),
    "along an axis": (lambda m, s: s > q(s, 0.75, dim=1, keepdim=True), 2),
    "without the axis": (lambda m, s: s > q(s, 0.75, dim=-1)[:, None], 2),
    "a threshold that is a tensor": (lambda m, s: s > q(s, torch.tensor(0.75)), 2),
    "another interpolation": (lambda m, s: s > q(s, 0.3, interpolation="higher"), 5),
    "detached": (lambda m, s: s > q(s.detach(), 0.5), 4),
    "the threshold first": (lambda m, s: q(s, 0.5) < s, 4),
    "their difference": (lambda m, s: (s - q(s, 0.5)) > 0, 4),
    "computed twice": (lambda m, s: s.sigmoid() > q(s.sigmoid(), 0.5), 4),
    "other shapes": (lambda m, s: s.reshape(3, 3) > q(s.flatten(), 0.5), 4),
    "rows of a map": (lambda m, s: s.reshape(3, 3) > q(s.reshape(3, 3), 0.5, dim=1, keepdim=True), 3),
    "columns of a map": (lambda m, s: s.reshape(3, 3) > q(s.reshape(3, 3), 0.5, dim=0), 3),
    "inverted": (lambda m, s: ~(s > q(s, 0.5)), 5),
    "inverted by name": (lambda m, s: torch.logical_not(s > q(s, 0.5)), 5),
    "top-k": (lambda m, s: s >= torch.topk(s, 3).values[:, -1:], 3),
    "top-k, smallest": (lambda m, s: s <= torch.topk(s[0], 3, largest=False).values[2], 3),
    "sorted": (lambda m, s: s > s.sort(dim=1, descending=True).values[:, 4, None], 4),
    "k-th value": (lambda m, s: s > s[0].kthvalue(7).values, 2),
    "median": (lambda m, s: s > s.median(), 4),
    "median of an axis": (lambda m, s: s >= s.median(dim=1, keepdim=True).values, 5),
    "all but the highest": (lambda m, s: s < s.amax(), 8),
    "the highest": (lambda m, s: s >= s.max(dim=1, keepdim=True).values, 1),
    "a class token is always in": (lambda m, s: torch.cat([torch.ones(1, 1, dtype=torch.bool), s[:, 1:] > q(s[:, 1:], 0.5)], 1), 5),
    "padded": (lambda m, s: nn.functional.pad(s[:, 1:] > q(s[:, 1:], 0.5), (1, 0), value=True), 5),
    "repeated": (lambda m, s: (s[:, :3] > q(s[:, :3], 0.5)).repeat(3, 1), 3),
    "through numbers": (lambda m, s: (s > q(s, 0.5)).float().bool(), 4),
    "a constant": (lambda m, s: m.every_other, 5),
    "narrowed": (lambda m, s: narrowed(s), 4),
}

_VALUES = "how many it keeps depends on the values: "
_OTHERS = _VALUES + "they are compared with what is no percentile, and no other order statistic, of them"
REFUSED = {
    "a number": (lambda m, s: s > -5.0, _OTHERS),
    "a percentile of others": (lambda m, s: s > q(s.cos(), 0.5), _OTHERS),
    "a percentile of a part": (lambda m, s: s > q(s[:, :8], 0.5), _OTHERS),
    "the mean": (lambda m, s: s > s.mean(), _OTHERS),
    "a percentile of another axis": (lambda m, s: s.reshape(3, 3) > q(s.reshape(3, 3), 0.5, dim=1), _OTHERS),
    "a percentile computed at run time": (lambda m, s: s > q(s, s.mean().sigmoid()), _OTHERS),
    "one percentile or another": (
        lambda m, s: (s > q(s, 0.75)) | (s.cos() > q(s.cos(), 0.75)),
        _VALUES + "it is made by __or__, not by a comparison of scores with a threshold of them",
    ),
    "two percentiles": (
        lambda m, s: (s > q(s, 0.25)) & (s.cos() > q(s.cos(), 0.25)),
        "it holds where two masks do, and how many places they share depends on the values",
    ),
    "written in place": (
        lambda m, s: written_in_place(s),
        _VALUES + "it is made by select_scatter, not by a comparison of scores with a threshold of them",
    ),
    "of numbers": (lambda m, s: s.relu().bool(), _VALUES + "it is made of the numbers of relu"),
    "cut": (lambda m, s: nn.functional.pad(nn.functional.pad(s > q(s, 0.5), (0, 1)), (0, -1)), _VALUES + "places are cut off it"),
    "some repeated": (
        lambda m, s: nn.functional.pad((s > q(s, 0.5))[:, None], (1, 0), mode="circular")[:, 0, 1:],
        _VALUES + "it is made by slice, not by a comparison of scores with a threshold of them",
    ),
    "nothing": (lambda m, s: s > q(s, 1.0), "of 9 distinct values it keeps none, whatever they are"),
}


@pytest.mark.parametrize("name", PROVED)
def test_the_count_is_proved_and_holds(name):
    mask, count = PROVED[name]
    model = Kept(mask)
    found = captured("net", model, (scores(0),))
    assert [site.kept for site in found.masks][-1] == count
    for seed in range(1, 20):
        assert kept_counts(model, (scores(seed),))[-1] == count
        assert torch.equal(found.program.module()(scores(seed)), model(scores(seed)))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_proved_is_refused(name):
    mask, reason = REFUSED[name]
    with pytest.raises(DataDependentError) as caught:
        captured("net", Kept(mask), (scores(0),))
    assert caught.value.exit_code == 4
    assert caught.value.why == f"an exported graph is static; {reason}"


def test_a_percentile_that_rounding_decides_is_refused():
    with pytest.raises(DataDependentError) as caught:
        captured("net", Rounded(), (torch.randn(101),))
    assert caught.value.why == (
        "an exported graph is static; how many it keeps depends on rounding: "
        "the quantile 0.29 of 101 values falls on one of them, or a hair beside it"
    )


def test_a_percentile_a_hair_above_a_score_does_not_say_whether_that_score_is_in():
    with pytest.raises(DataDependentError) as caught:
        captured("net", Hair(), (torch.randn(11),))
    assert caught.value.why.endswith("how many it keeps depends on rounding: the percentile falls on a score, or a hair beside it")


class Rounded(nn.Module):
    def forward(self, s):
        return s[s > torch.quantile(s, 0.29)]


class Hair(nn.Module):
    def forward(self, s):
        return s[s >= torch.quantile(s, 0.7 + 1e-9)]
