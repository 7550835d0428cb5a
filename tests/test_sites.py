"""Forms of sites: which are chosen, possible and refused on which target, why, and what they cost, against products written out by hand."""

import itertools

import attrs
import pytest
import torch
from torch import nn

from edgekit.capabilities import TARGETS, Form, target_facts
from edgekit.macs import eager_macs
from edgekit.models.imcnet import CONFIGS, IMCNet
from edgekit.models.untrained import fill_untrained
from edgekit.ops.percentile_selection import PercentileSelection
from edgekit.ops.region_scores import RegionSelectors
from edgekit.ops.selective_passes import HierarchicalPasses
from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.ops.transformer_block import TransformerBlock
from edgekit.programs import rewritten_program
from edgekit.sites import AS_WRITTEN, site_reports
from edgekit.spellings import Spellings


def filled(model):
    fill_untrained(model)
    return model.eval()


def sites(module, x, *targets):
    """The sites of a model of one method, by question."""
    spellings = Spellings("model", {"forward": module}, {"forward": (x,)})
    answers = []
    for facts in targets:
        program, reports = rewritten_program("model", module, facts, (x,))
        answers.append(spellings.answers(facts, ({"forward": program}, reports)))
    found = site_reports(answers, {"forward": eager_macs(module, (x,))})
    return {(report.question, report.sites): report for report in found}


def by_form(report, target):
    return {form.form: form for form in report.targets[target]}


class Tokens(nn.Module):
    """The middle of IMC-Net and nothing else: the tokens that come of it."""

    def __init__(self, middle):
        super().__init__()
        self.middle = middle

    def forward(self, tokens):
        return self.middle(tokens).tokens


def small_passes(*betas):
    selectors = RegionSelectors(12, passes=len(betas), kind="mlp", hidden=16)
    return HierarchicalPasses(TransformerBlock(12, 2, 24, eps=1e-6), selectors, map(PercentileSelection, betas), alpha=0.5)


def block(tokens, channels, hidden):
    """A transformer block on so many tokens."""
    return tokens * (4 * channels**2 + 2 * channels * hidden) + 2 * tokens**2 * channels


def one_hot(counts, channels):
    """What taking and putting back by products adds: ranks, the matrix times tokens and times scores, and its transpose times tokens."""
    return sum(n * n + (1 + k) * (1 + n) * (2 * channels + 1) for n, k in itertools.pairwise(counts) if n != k)


def test_the_passes_of_imcnet_b16_by_formula():
    """By products 2 k n C a pass more, and ranks; by a mask all tokens in every pass. See the rewrites' own docstrings."""
    channels, hidden, counts = 768, 3072, (196, 196, 147, 98, 49)
    middle = filled(Tokens(IMCNet(CONFIGS["b16"]).middle))
    x = torch.randn(1, 197, channels, generator=torch.Generator().manual_seed(0))
    report = sites(middle, x, target_facts("onnx"))["selected regions", ("middle",)]
    scored = [1 + count for count in counts[:-1]]
    adaptive = sum(block(1 + count, channels, hidden) for count in counts[1:]) + sum(scored) * (channels * 2 * channels + 2 * channels)
    everywhere = 4 * block(197, channels, hidden) + 4 * 197 * (channels * 2 * channels + 2 * channels) + 3 * 196**2
    forms = by_form(report, "onnx")
    assert {form: told.macs for form, told in forms.items()} == {
        "fixed_count_gather": adaptive,
        "fixed_count_one_hot": adaptive + one_hot(counts, channels),
        "fixed_count_one_hot_compared": adaptive + one_hot(counts, channels),
        "dense_mask_passes": everywhere,
    }
    assert all(told.site_macs == told.macs == told.methods["forward"] for told in forms.values())
    assert report.eager_macs == adaptive == 4_365_765_120  # of the network's 7.39 billion


def test_each_target_has_its_form_and_the_measurement_that_chose_it():
    x = torch.randn(1, 9, 12, generator=torch.Generator().manual_seed(0))
    found = sites(filled(Tokens(small_passes(0.0, 0.5))), x, *TARGETS)
    report = found["selected regions", ("middle",)]
    assert list(report.targets) == [facts.name for facts in TARGETS]
    for facts in TARGETS:
        told = report.targets[facts.name]
        (chosen,) = [form for form in told if form.status == "chosen"]
        row = next(form for form in facts.forms if form.rewrite.startswith("fixed_count_"))
        assert (chosen.form, chosen.reason) == (row.rewrite, row.measured)
        refused = {form.form for form in told if form.status == "refused"}
        assert refused == ({"fixed_count_gather", "fixed_count_one_hot"} if facts.name == "coreml" else set())
        assert [form.status for form in told].count("possible") == 3 - len(refused)
        assert all(form.reason is None for form in told if form.status == "possible")


class Windows(nn.Module):
    """A map of four windows, then one that a single window covers."""

    def __init__(self):
        super().__init__()
        self.wide, self.pool = SpanningAttention(6, 6, head_dim=3, window=3), nn.AvgPool2d(2)
        self.narrow = SpanningAttention(6, 6, head_dim=3, window=3)

    def forward(self, x):
        return self.narrow(self.pool(self.wide(x)))


def test_a_form_beyond_a_targets_rank_is_refused_in_its_own_sentence():
    x = torch.randn(1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    report = sites(filled(Windows()), x, target_facts("coreml"), target_facts("onnx"))["windows", ("wide", "narrow")]
    rank6 = "static_windows_rank6_channels_last"
    refused, chosen = by_form(report, "coreml")[rank6], by_form(report, "onnx")[rank6]
    assert (refused.status, refused.reason) == ("refused", "coreml holds tensors of rank 5 at most, and this form has rank 6")
    assert (refused.macs, refused.site_macs, refused.methods) == (None, None, {})
    assert chosen.status == "chosen"
    for target in ("coreml", "onnx"):
        told = by_form(report, target)
        assert len(told) == 5
        # Moves are free: the forms multiply alike, but for the coincident windows of ``narrow``, computed once and not twice.
        assert {form.site_macs for form in told.values() if form.status != "refused"} == {report.eager_macs - 2 * 9 * 9 * 6}


class Norms(nn.Module):
    """Two layer norms that a form can take, and one over two axes, that none can."""

    def __init__(self):
        super().__init__()
        self.first, self.linear, self.second = nn.LayerNorm(8), nn.Linear(8, 8), nn.LayerNorm(8)
        self.plane = nn.LayerNorm((4, 8))

    def forward(self, x):
        return self.plane(torch.tanh(self.second(torch.tanh(self.linear(torch.tanh(self.first(x)))))))


def test_sites_with_other_verdicts_are_told_apart_and_what_nothing_takes_stays_as_written():
    x = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    found = sites(filled(Norms()), x, target_facts("executorch"), target_facts("onnx"))
    taken, plane = found["layer norm", ("first", "second")], found["layer norm", ("plane",)]
    as_linears = by_form(taken, "executorch")["layer_norm_as_linears"]
    # Two averages, of x and of its squares, for each of two norms.
    assert (as_linears.status, as_linears.site_macs, as_linears.macs) == ("chosen", 2 * 2 * 4 * 8, 2 * 2 * 4 * 8 + 4 * 8 * 8)
    assert taken.eager_macs == 0
    assert {form.form: form.status for form in taken.targets["onnx"]} == {
        AS_WRITTEN: "chosen",
        "layer_norm_as_linears": "possible",
        "layer_norm_as_arithmetic": "possible",
    }
    for target in ("executorch", "onnx"):
        told = by_form(plane, target)
        assert told[AS_WRITTEN].status == "chosen"
        assert told["layer_norm_as_linears"].reason == "it normalises over 2 axes, not over the last alone"
        assert {form.status for name, form in told.items() if name != AS_WRITTEN} == {"refused"}


class Kept(nn.Module):
    """The rows above the median of their scores, by a boolean mask: written as users write it."""

    def __init__(self):
        super().__init__()
        self.score, self.project = nn.Linear(8, 1), nn.Linear(8, 16)

    def forward(self, x):
        scores = self.score(x)[:, 0]
        return self.project(x[scores > torch.quantile(scores, 0.5)])


def test_a_boolean_mask_is_a_site_and_its_rows_are_counted():
    x = torch.randn(9, 8, generator=torch.Generator().manual_seed(0))
    found = sites(filled(Kept()), x, target_facts("tflite"), target_facts("onnx"))
    ((_, report),) = [(key, report) for key, report in found.items() if key[0] == "boolean mask"]
    told = {target: {form.form: form.status for form in forms} for target, forms in report.targets.items()}
    assert told["tflite"] == {"kept_rows_by_products": "chosen", "kept_places_by_top_k": "possible"}
    assert told["onnx"] == {"kept_rows_by_products": "possible", "kept_places_by_top_k": "chosen"}
    by_top_k, by_products = by_form(report, "onnx")["kept_places_by_top_k"], by_form(report, "onnx")["kept_rows_by_products"]
    assert by_products.macs - by_top_k.macs >= 4 * 9 * 8  # the matrix of 4 rows kept among 9, times their 8 channels


def test_what_a_target_does_not_list_is_tried_all_the_same():
    x = torch.randn(1, 9, 12, generator=torch.Generator().manual_seed(0))
    only = attrs.evolve(target_facts("onnx"), forms=(Form(rewrite="dense_mask_passes", measured="alone"),))
    forms = by_form(sites(filled(Tokens(small_passes(0.0, 0.5))), x, only)["selected regions", ("middle",)], "onnx")
    assert {form: told.status for form, told in forms.items()} == {
        "fixed_count_gather": "possible",
        "fixed_count_one_hot": "possible",
        "fixed_count_one_hot_compared": "possible",
        "dense_mask_passes": "chosen",
    }
    assert forms["dense_mask_passes"].reason == "alone"
    assert forms["fixed_count_gather"].macs < forms["dense_mask_passes"].macs


def test_a_model_that_poses_no_question_has_no_sites():
    assert sites(filled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())), torch.zeros(1, 3, 8, 8), target_facts("onnx")) == {}


@pytest.mark.parametrize("target", ["tflite", "coreai"])
def test_the_eager_model_is_left_as_it_is(target):
    x = torch.randn(1, 9, 12, generator=torch.Generator().manual_seed(0))
    eager = filled(Tokens(small_passes(0.0, 0.5)))
    before, state = eager(x).detach(), {name: value.clone() for name, value in eager.state_dict().items()}
    sites(eager, x, target_facts(target))
    assert type(eager.middle) is HierarchicalPasses
    assert torch.equal(eager(x), before)
    assert all(torch.equal(value, state[name]) for name, value in eager.state_dict().items())
