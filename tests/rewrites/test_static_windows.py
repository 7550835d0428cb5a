"""Spanning attention: the same in static forms of bounded rank."""

import pytest
import torch
from rewriting import PRECISIONS, count, filled, noise, ranks, relative_error, rewrite_one_module, wanting
from torch import nn

from edgekit.capture import capture
from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.ops.static_spanning_attention import StaticSpanningAttention
from edgekit.rewrites.apply import rewrite_modules
from edgekit.rewrites.static_windows import StaticWindows

FORMS = [StaticWindows("channels_last", rank) for rank in (6, 5, 4)] + [StaticWindows("channels_first", rank) for rank in (5, 4)]
EACH_FORM = pytest.mark.parametrize("rule", FORMS, ids=lambda rule: rule.name)

# Height, width, window.
MAPS = {
    "two by three windows": (4, 6, 2),
    "three by two windows": (9, 6, 3),
    "padded both ways": (5, 7, 3),
    "padded rows": (3, 4, 2),
    "padded columns": (4, 7, 4),
    "one window": (4, 4, 4),
    "one padded window": (3, 2, 4),
    "windows of one token": (2, 3, 1),
}
EACH_MAP = pytest.mark.parametrize("size", MAPS.values(), ids=MAPS)
PAD = torch.ops.aten.pad.default
BMM = torch.ops.aten.bmm.default


def attention(window, dtype=torch.float32):
    """Two heads of 3 channels, values twice as wide as queries."""
    return filled(SpanningAttention(6, 12, head_dim=3, window=window), dtype)


@EACH_FORM
@EACH_MAP
@PRECISIONS
def test_same_numbers(rule, size, dtype, tolerance):
    height, width, window = size
    eager = attention(window, dtype)
    static, report = rewrite_one_module(rule, eager, noise(1, 6, height, width, dtype=dtype))
    assert report.sites == ("",)
    assert report.max_error <= tolerance
    other = noise(1, 6, height, width, dtype=dtype, seed=1)
    with torch.no_grad():
        assert relative_error(eager(other), static(other)) <= tolerance


def test_the_natural_form_has_rank_6():
    assert max(ranks(capture("eager", attention(2), (noise(1, 6, 4, 6),)))) == 6


@EACH_FORM
@pytest.mark.parametrize("size", [MAPS[name] for name in ("two by three windows", "padded both ways", "one window")])
def test_no_tensor_has_a_higher_rank(rule, size):
    height, width, window = size
    x = noise(1, 6, height, width)
    static, _ = rewrite_one_module(rule, attention(window), x)
    assert max(ranks(capture("static", static, (x,)))) <= rule.max_rank


def test_pads_only_where_the_map_needs_it():
    for (height, width, window), pads in (((4, 6, 2), 0), ((5, 7, 3), 1)):
        x = noise(1, 6, height, width)
        static, _ = rewrite_one_module(FORMS[0], attention(window), x)
        program = capture("static", static, (x,))
        assert count(program, PAD) == pads
        assert count(program, BMM) == 4


@pytest.mark.parametrize("rule", [FORMS[0], FORMS[-1]], ids=lambda rule: rule.name)
def test_names_shapes_dtypes_unchanged(rule):
    x = noise(1, 6, 5, 7)
    eager = attention(3)
    static, _ = rewrite_one_module(rule, eager, x)
    before, after = capture("eager", eager, (x,)), capture("static", static, (x,))
    assert after.graph_signature.user_inputs == before.graph_signature.user_inputs
    for program in (before, after):
        output = program.module()(x)
        assert output.shape == (1, 12, 5, 7)
        assert output.dtype == torch.float32


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.attend = nn.ModuleList([SpanningAttention(6, 6, head_dim=3, window=w) for w in (2, 3)])
        self.mix = nn.Conv2d(6, 6, 1)

    def forward(self, x):
        return self.attend[1](self.mix(self.attend[0](x)))


@EACH_FORM
def test_fires_on_every_attention_and_leaves_the_rest_and_the_original_alone(rule):
    eager = filled(Network())
    x = noise(1, 6, 6, 6)
    static, report = rewrite_one_module(rule, eager, x)
    assert report.sites == ("attend.0", "attend.1")
    assert report.skips == ()
    assert [type(part) for part in eager.attend] == [SpanningAttention] * 2
    assert [type(part) for part in static.attend] == [StaticSpanningAttention] * 2
    assert type(static.mix) is nn.Conv2d
    assert not static.training
    with torch.no_grad():
        assert relative_error(eager(x), static(x)) <= 1e-5


@EACH_FORM
def test_second_run_changes_nothing(rule):
    x = noise(1, 6, 4, 4)
    static, _ = rewrite_one_module(rule, attention(2), x)
    again, report = rewrite_one_module(rule, static, x)
    assert report.sites == ()
    assert report.skips == ()
    assert again.plan == static.plan


def test_the_first_form_a_target_wants_is_the_one_it_gets():
    x = noise(1, 6, 4, 4)
    first, second = FORMS[2], FORMS[3]
    static, reports = rewrite_modules(attention(2), [first, second], wanting(first.name, second.name), (x,))
    assert [(report.name, len(report.sites)) for report in reports] == [(first.name, 1), (second.name, 0)]
    assert static.plan.form.layout == "channels_last"
    assert static.plan.form.max_rank == 4


def test_projections_without_bias():
    eager = attention(2, torch.float64)
    eager.qk.conv.bias = eager.v.conv.bias = None
    x = noise(1, 6, 4, 4, dtype=torch.float64)
    static, report = rewrite_one_module(FORMS[0], eager, x)
    assert report.sites
    with torch.no_grad():
        assert relative_error(eager(x), static(x)) <= 1e-12


def test_the_replacement_owns_its_weights():
    eager = attention(2)
    x = noise(1, 6, 4, 4)
    static, _ = rewrite_one_module(FORMS[0], eager, x)
    with torch.no_grad():
        before = static(x)
        eager.qk.conv.weight.zero_()
        assert torch.equal(static(x), before)


@EACH_FORM
def test_a_batch_is_refused(rule):
    same, report = rewrite_one_module(rule, attention(2), noise(2, 6, 4, 4))
    assert type(same) is SpanningAttention
    (skip,) = report.skips
    assert skip.site == ""
    assert "one image" in skip.reason
    assert "not 2" in skip.reason


@EACH_FORM
def test_a_target_of_lower_rank_is_refused_higher_forms(rule):
    x = noise(1, 6, 4, 4)
    module, report = rewrite_one_module(rule, attention(2), x, max_rank=4)
    if rule.max_rank == 4:
        assert report.sites == ("",)
    else:
        assert type(module) is SpanningAttention
        assert "rank 4 at most" in report.skips[0].reason
        assert f"rank {rule.max_rank}" in report.skips[0].reason
    _, report = rewrite_one_module(rule, attention(2), x, max_rank=5)
    assert report.sites == (() if rule.max_rank > 5 else ("",))
