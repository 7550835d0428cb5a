"""The bias of attention's keys: gone, and the softmax does not see it go."""

import pytest
import torch
from rewriting import (
    BMM,
    CONV,
    LINEAR,
    PRECISIONS,
    assert_same_numbers,
    assert_settled,
    assert_untouched,
    count,
    filled,
    interface,
    noise,
    rewrite,
    rewrite_one_module,
)
from switching import CHANNELS_FIRST, CHANNELS_LAST
from torch import nn
from torch.nn import functional as F

from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.rewrites.batch_window_partitions import BatchWindowPartitions
from edgekit.rewrites.drop_key_bias import DropKeyBias
from edgekit.rewrites.transpose_keys import TransposeKeys

RULE = DropKeyBias()
TOKENS = (2, 5, 6)


def spanning(form, *switches, size):
    """Static window attention over (1, 6, *size), two heads, windows of 3."""

    def make(dtype):
        x = noise(1, 6, *size, dtype=dtype)
        module = filled(SpanningAttention(6, 12, head_dim=3, window=3), dtype)
        for rule in (form, *switches):
            module, _ = rewrite_one_module(rule, module, x)
        return module, x

    return make


class Attention(nn.Module):
    """As a vision transformer has it, two heads of 3 channels; ``scaled`` is what happens to the scores before the softmax."""

    def __init__(self, scaled=lambda scores: scores, dim=-1):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(6, 6) for _ in range(3))
        self.scaled, self.dim = scaled, dim

    def heads(self, x):
        b, t, _ = x.shape
        return x.reshape(b, t, 2, 3).transpose(1, 2).reshape(b * 2, t, 3)

    def keys(self, x):
        return self.heads(self.k(x)).transpose(1, 2)

    def forward(self, x):
        scores = torch.bmm(self.heads(self.q(x)), self.keys(x))
        return torch.bmm(self.scaled(scores).softmax(dim=self.dim), self.heads(self.v(x)))


class Viewed(Attention):
    """Heads laid out by views and one permute."""

    def heads(self, x):
        b, t, _ = x.shape
        return x.view(b, t, 2, 3).permute(0, 2, 1, 3).reshape(b * 2, t, 3)


class InHalf(Attention):
    """A softmax with a dtype of its own, named by keyword."""

    def forward(self, x):
        scores = torch.bmm(self.heads(self.q(x)), self.keys(x))
        return torch.bmm(F.softmax(scores, dim=2, dtype=torch.float64).to(x.dtype), self.heads(self.v(x)))


def plain(make):
    return lambda dtype: (filled(make(), dtype), noise(*TOKENS, dtype=dtype))


CASES = {
    "windows, rank 6": spanning(CHANNELS_LAST[0], size=(6, 9)),
    "windows, rank 4, padded": spanning(CHANNELS_LAST[2], size=(5, 7)),
    "windows, keys transposed": spanning(CHANNELS_LAST[1], TransposeKeys(), size=(6, 6)),
    "windows, channels first": spanning(CHANNELS_FIRST[0], size=(6, 9)),
    "windows, channels first, padded": spanning(CHANNELS_FIRST[1], size=(5, 7)),
    "one window": spanning(CHANNELS_LAST[0], size=(3, 3)),
    "linear layers": plain(Attention),
    "times a number": plain(lambda: Attention(lambda scores: scores * 0.5)),
    "divided by a number": plain(lambda: Attention(lambda scores: scores / 1.7)),
    "views": plain(Viewed),
    "softmax in float64": plain(InHalf),
    "last axis by its number": plain(lambda: Attention(dim=2)),
}
EACH_CASE = pytest.mark.parametrize("name", CASES)


def biases(program):
    """How many projections have one."""
    return sum(node.target in (CONV, LINEAR) and node.args[2:3] not in ((), (None,)) for node in program.graph.nodes)


@EACH_CASE
def test_fires_once_and_only_on_the_keys(name):
    model, x = CASES[name](torch.float32)
    done = rewrite(RULE, model, x)
    assert done.report.sites == ("k",)
    assert done.report.skips == ()
    assert (biases(done.before), biases(done.after)) == (3, 2)
    for op in (CONV, LINEAR, BMM):
        assert count(done.after, op) == count(done.before, op)
    assert set(done.before.state_dict) - set(done.after.state_dict) == {"k.bias", "k.weight"}
    for untouched in ("q.weight", "q.bias", "v.weight", "v.bias"):
        assert torch.equal(done.after.state_dict[untouched], done.before.state_dict[untouched])


@EACH_CASE
@PRECISIONS
def test_same_numbers(name, dtype, tolerance):
    model, x = CASES[name](dtype)
    done = rewrite(RULE, model, x)
    assert done.report.sites
    assert done.report.max_error <= tolerance
    assert_same_numbers(done, noise(*x.shape, dtype=dtype, seed=1), tolerance=tolerance)


@EACH_CASE
def test_second_run_changes_nothing(name):
    model, x = CASES[name](torch.float32)
    assert_settled(RULE, rewrite(RULE, model, x), x)


@EACH_CASE
def test_names_shapes_dtypes_unchanged(name):
    model, x = CASES[name](torch.float32)
    done = rewrite(RULE, model, x)
    assert done.report.sites
    assert interface(done.after) == interface(done.before)


class NoBias(Attention):
    def __init__(self):
        super().__init__()
        self.k = nn.Linear(6, 6, bias=False)


class TransposedQueries(Attention):
    """Scores of (keys, queries): the projection called k is the first operand."""

    def forward(self, x):
        scores = torch.bmm(self.heads(self.k(x)), self.heads(self.q(x) * 2.0).transpose(1, 2))
        return scores.softmax(dim=-1)


class ActivatedKeys(Attention):
    def keys(self, x):
        return F.relu(self.heads(self.k(x))).transpose(1, 2)


class TwiceReadScores(Attention):
    def forward(self, x):
        scores = torch.bmm(self.heads(self.q(x) * 2.0), self.keys(x))
        return scores.softmax(dim=-1) + scores


class TwiceReadScaledScores(Attention):
    def forward(self, x):
        scores = torch.bmm(self.heads(self.q(x) * 2.0), self.keys(x)) * 0.5
        return scores.softmax(dim=-1) + scores


@pytest.mark.parametrize(
    "model",
    [
        NoBias(),
        Attention(dim=1),
        # A mask may hide keys from some queries and weigh others: nothing is assumed of what is added.
        Attention(lambda scores: scores + torch.arange(5.0)),
        Attention(lambda scores: scores * torch.arange(1.0, 6.0)),
        Attention(lambda scores: scores * 0.5 * 0.5),
        Attention(F.relu),
        ActivatedKeys(),
        TransposedQueries(),
        TwiceReadScores(),
        TwiceReadScaledScores(),
        nn.Sequential(nn.Linear(6, 6), nn.Softmax(-1)),
    ],
    ids=[
        "no bias",
        "softmax over the queries",
        "mask added",
        "mask multiplied",
        "scaled twice",
        "no scores of a softmax",
        "activated",
        "first operand",
        "scores read",
        "scaled scores read",
        "no product",
    ],
)
def test_leaves_others_alone(model):
    done = rewrite(RULE, filled(model), noise(*TOKENS))
    assert_untouched(done)
    assert done.report.skips == ()


class ReadBySum(Attention):
    def forward(self, x):
        return super().forward(x).sum() + self.k(x)


class KeysElsewhere(Attention):
    """One projection whose result is read twice; ``use`` is the other reader, of its heads."""

    def __init__(self, use):
        super().__init__()
        self.use = use

    def forward(self, x):
        k = self.heads(self.k(x))
        scores = torch.bmm(self.heads(self.q(x)), k.transpose(1, 2))
        return scores.softmax(dim=-1), self.use(k)


class QueriesAreKeys(Attention):
    def forward(self, x):
        k = self.heads(self.k(x))
        return torch.bmm(torch.bmm(k, k.transpose(1, 2)).softmax(dim=-1), self.heads(self.v(x)))


@pytest.mark.parametrize(
    "model",
    [
        KeysElsewhere(lambda k: k * 2.0),
        KeysElsewhere(lambda k: k),
        KeysElsewhere(lambda k: torch.cat([k, k])),
        KeysElsewhere(lambda k: torch.bmm(k.transpose(1, 2), k)),
        KeysElsewhere(lambda k: torch.bmm(torch.ones(4, 5, 3), k.transpose(1, 2)).softmax(dim=1)),
        QueriesAreKeys(),
    ],
    ids=["multiplied", "returned", "concatenated", "values too", "another softmax", "queries too"],
)
def test_keys_read_elsewhere_are_refused(model):
    done = rewrite(RULE, filled(model), noise(*TOKENS))
    assert_untouched(done)
    (skip,) = done.report.skips
    assert skip.site == "k"
    assert "k.weight" in skip.reason
    assert "more than attention's products" in skip.reason


def test_another_call_of_the_same_layer_is_another_matter():
    # Two calls, two results: the one that is a key loses its bias, the other keeps it.
    done = rewrite(RULE, filled(ReadBySum()), noise(*TOKENS))
    assert done.report.sites == ("k",)
    assert (biases(done.before), biases(done.after)) == (4, 3)
    assert_same_numbers(done, noise(*TOKENS, seed=1), tolerance=1e-5)


class Mixed(Attention):
    """Cuts (tokens, channels) as if it were (channels, tokens): a row of scores meets keys of several biases."""

    def keys(self, x):
        b, t, _ = x.shape
        return self.k(x).reshape(b * 2, 3, t)


def test_a_bias_that_differs_between_keys_is_refused():
    done = rewrite(RULE, filled(Mixed()), noise(*TOKENS))
    assert_untouched(done)
    (skip,) = done.report.skips
    assert skip.site == "k"
    assert "k.weight" in skip.reason
    assert "differs between the keys of one row" in skip.reason


def test_keys_that_are_channels_are_refused():
    class BetweenChannels(Attention):
        def forward(self, x):
            return torch.bmm(x.transpose(1, 2), self.k(x)).softmax(dim=-1)

    done = rewrite(RULE, filled(BetweenChannels()), noise(*TOKENS))
    assert_untouched(done)
    assert "differs between the keys of one row" in done.reasons[0]


def test_a_constant_bias_is_dropped_however_channels_are_mixed():
    model = filled(Mixed())
    with torch.no_grad():
        model.k.bias.fill_(0.7)
    done = rewrite(RULE, model, noise(*TOKENS))
    assert done.report.sites == ("k",)
    assert_same_numbers(done, noise(*TOKENS, seed=1), tolerance=1e-5)


def test_batched_partitions_are_left_alone():
    # The concatenation of both partitions stands between the projection and the product.
    model, x = spanning(CHANNELS_LAST[0], BatchWindowPartitions(), size=(6, 9))(torch.float32)
    done = rewrite(RULE, model, x)
    assert_untouched(done)
    assert done.report.skips == ()
