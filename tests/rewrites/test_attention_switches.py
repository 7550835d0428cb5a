"""The three switches of static attention: its scale, coincident windows, both partitions in one product."""

import pytest
import torch
from rewriting import BMM, CONV, LINEAR, MUL, PRECISIONS, count, filled, noise, ranks, relative_error, rewrite_one_module, wanting
from torch import nn

from edgekit.capture import capture
from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.rewrites.apply import rewrite_modules
from edgekit.rewrites.attention_switches import BatchWindowPartitions, FoldAttentionScale, MergeCoincidentWindows
from edgekit.rewrites.registry import MODULE_REWRITES
from edgekit.rewrites.static_windows import StaticWindows

FORMS = [StaticWindows("channels_last", rank) for rank in (6, 5, 4)] + [StaticWindows("channels_first", rank) for rank in (5, 4)]
EACH_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
SCALE, COINCIDE, BATCH = FoldAttentionScale(), MergeCoincidentWindows(), BatchWindowPartitions()
SOFTMAX = torch.ops.aten.softmax.int
EACH_SWITCH = pytest.mark.parametrize(
    ("rule", "size"),
    [(SCALE, (6, 9)), (SCALE, (5, 7)), (COINCIDE, (3, 3)), (COINCIDE, (2, 3)), (BATCH, (6, 9)), (BATCH, (5, 7))],
    ids=lambda value: getattr(value, "name", None),
)


def static(form, size, dtype=torch.float32):
    """Attention in windows of 3, two heads, already static; and an image for it."""
    x = noise(1, 6, *size, dtype=dtype)
    module, report = rewrite_one_module(form, filled(SpanningAttention(6, 12, head_dim=3, window=3), dtype), x)
    assert report.sites == ("",)
    return module, x


@EACH_FORM
@EACH_SWITCH
@PRECISIONS
def test_same_numbers(form, rule, size, dtype, tolerance):
    before, x = static(form, size, dtype)
    after, report = rewrite_one_module(rule, before, x)
    assert report.sites == ("",)
    assert report.skips == ()
    assert report.max_error <= tolerance
    other = noise(*x.shape, dtype=dtype, seed=1)
    with torch.no_grad():
        assert relative_error(before(other), after(other)) <= tolerance


@EACH_FORM
@EACH_SWITCH
def test_second_run_changes_nothing(form, rule, size):
    before, x = static(form, size)
    after, _ = rewrite_one_module(rule, before, x)
    again, report = rewrite_one_module(rule, after, x)
    assert report.sites == ()
    assert again.plan == after.plan != before.plan


@EACH_SWITCH
def test_the_original_and_its_weights_stay(rule, size):
    before, x = static(FORMS[0], size)
    plan, weights = before.plan, {name: value.clone() for name, value in before.state_dict().items()}
    rewrite_one_module(rule, before, x)
    assert before.plan == plan
    assert all(torch.equal(value, weights[name]) for name, value in before.state_dict().items())


@EACH_SWITCH
@pytest.mark.parametrize("form", [FORMS[2], FORMS[-1]], ids=lambda form: form.name)
def test_shape_dtype_and_rank_unchanged(form, rule, size):
    before, x = static(form, size)
    after, _ = rewrite_one_module(rule, before, x)
    program = capture("after", after, (x,))
    assert program.module()(x).shape == before(x).shape == (1, 12, *size)
    assert program.module()(x).dtype == torch.float32
    assert max(ranks(program)) <= form.max_rank


@pytest.mark.parametrize(
    ("rule", "size", "before", "after"),
    # Products, softmaxes, scalings.
    [(SCALE, (6, 9), (4, 2, 2), (4, 2, 0)), (COINCIDE, (3, 3), (4, 2, 2), (2, 1, 2)), (BATCH, (6, 9), (4, 2, 2), (2, 1, 1))],
    ids=["scale", "coincident", "batched"],
)
@pytest.mark.parametrize("form", [FORMS[0], FORMS[3]], ids=lambda form: form.name)
def test_operations_in_the_graph(form, rule, size, before, after):
    module, x = static(form, size)
    changed, _ = rewrite_one_module(rule, module, x)
    for part, expected in ((module, before), (changed, after)):
        program = capture("attention", part, (x,))
        assert tuple(count(program, op) for op in (BMM, SOFTMAX, MUL)) == expected
        assert count(program, CONV) + count(program, LINEAR) == 3


@pytest.mark.parametrize("rule", [SCALE, COINCIDE, BATCH], ids=lambda rule: rule.name)
def test_leaves_others_alone(rule):
    model = nn.Sequential(SpanningAttention(6, 6, head_dim=3, window=3), nn.Conv2d(6, 6, 1))
    after, report = rewrite_one_module(rule, filled(model), noise(1, 6, 3, 3))
    assert report.sites == report.skips == ()
    assert type(after[0]) is SpanningAttention


def test_several_windows_do_not_coincide():
    module, x = static(FORMS[0], (6, 9))
    _, report = rewrite_one_module(COINCIDE, module, x)
    assert report.sites == ()
    (skip,) = report.skips
    assert "6 windows" in skip.reason
    assert "different tokens" in skip.reason


def test_a_row_of_windows_does_not_coincide():
    # One window high, two wide: neighbour and distant columns differ.
    module, x = static(FORMS[0], (3, 6))
    _, report = rewrite_one_module(COINCIDE, module, x)
    assert "2 windows" in report.skips[0].reason


def test_nothing_to_batch_where_windows_coincide():
    module, x = static(FORMS[0], (3, 3))
    coincident, _ = rewrite_one_module(COINCIDE, module, x)
    _, report = rewrite_one_module(BATCH, coincident, x)
    assert report.sites == ()
    assert "coincide" in report.skips[0].reason
    assert "once already" in report.skips[0].reason


class Network(nn.Module):
    """One map of four windows, then one that a single window covers."""

    def __init__(self):
        super().__init__()
        self.wide, self.pool = SpanningAttention(6, 6, head_dim=3, window=3), nn.AvgPool2d(2)
        self.narrow = SpanningAttention(6, 6, head_dim=3, window=3)

    def forward(self, x):
        return self.narrow(self.pool(self.wide(x)))


@EACH_FORM
def test_all_switches_together_in_their_order(form):
    eager, x = filled(Network()), noise(1, 6, 6, 6)
    after, reports = rewrite_modules(eager, MODULE_REWRITES, wanting(form.name, SCALE.name, COINCIDE.name, BATCH.name), (x,))
    sites = {report.name: report.sites for report in reports}
    assert sites == {form.name: ("wide", "narrow"), SCALE.name: ("wide", "narrow"), COINCIDE.name: ("narrow",), BATCH.name: ("wide",)}
    skips = {report.name: [skip.site for skip in report.skips] for report in reports}
    assert skips == {form.name: [], SCALE.name: [], COINCIDE.name: ["wide"], BATCH.name: ["narrow"]}
    with torch.no_grad():
        assert relative_error(eager(x), after(x)) <= 1e-5
