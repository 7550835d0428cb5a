"""Passes over the regions above a percentile: the same with static shapes, in four forms."""

import pytest
import torch
from passes import ALL_FORMS, CHANNELS, COMPARED, DENSE, GATHER, ONE_HOT, Keeps, forced, kept, passes, static, with_scores
from rewriting import PRECISIONS, count, filled, noise, relative_error, rewrite_one_module, wanting
from torch import nn

from edgekit.capture import capture
from edgekit.errors import RewriteError
from edgekit.ops.percentile_selection import PercentileSelection
from edgekit.ops.region_scores import DepthRouter, RegionSelectors
from edgekit.ops.selective_passes import BudgetedPasses, HierarchicalPasses
from edgekit.ops.static_passes import FixedCountPasses, MaskedPasses
from edgekit.ops.transformer_block import TransformerBlock
from edgekit.rewrites.apply import rewrite_modules
from edgekit.rewrites.static_router import StaticRouter

EACH_FORM = pytest.mark.parametrize("rule", ALL_FORMS, ids=lambda rule: rule.name)
FIXED = pytest.mark.parametrize("rule", [GATHER, ONE_HOT, COMPARED], ids=lambda rule: rule.name)
BETAS = pytest.mark.parametrize(
    "betas", [(0.0, 0.25, 1 / 3, 0.5), (0.6,), (0.0,), (0.3, 0.3), (1.0,), (0.0, 1.0)], ids=lambda betas: "-".join(f"{beta:.2g}" for beta in betas)
)
TOPK, QUANTILE, NONZERO, SORT = (
    torch.ops.aten.topk.default,
    torch.ops.aten.quantile.scalar,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.sort.default,
)


@EACH_FORM
@BETAS
@PRECISIONS
def test_same_tokens_regions_and_scores(rule, betas, dtype, tolerance):
    eager = passes(*betas, dtype=dtype)
    after = static(rule, eager, noise(1, 1 + 17, CHANNELS, dtype=dtype))
    for seed in range(1, 6):
        x = noise(1, 1 + 17, CHANNELS, dtype=dtype, seed=seed)
        with torch.no_grad():
            expected, actual = eager(x), after(x)
        assert relative_error(expected.tokens, actual.tokens) <= tolerance
        for ours, theirs in zip(expected.regions, actual.regions, strict=True):
            assert torch.equal(ours, theirs)
        for ours, theirs in zip(expected.log_odds, actual.log_odds, strict=True):
            assert (ours - theirs).abs().max() <= tolerance * 10


@EACH_FORM
@pytest.mark.parametrize("kind", ["linear", "shared_phi"])
def test_every_kind_of_selector(rule, kind):
    eager = passes(0.0, 0.5, kind=kind)
    x = noise(1, 10, CHANNELS, seed=3)
    with torch.no_grad():
        assert relative_error(eager(x).tokens, static(rule, eager, noise(1, 10, CHANNELS))(x).tokens) <= 1e-5


@EACH_FORM
def test_one_region_is_its_own_percentile(rule):
    eager = passes(0.0, 0.5)
    x = noise(1, 2, CHANNELS)
    after = static(rule, eager, x)
    assert kept(after, x) == kept(eager, x) == [[0], []]


@EACH_FORM
def test_is_static_and_sorts_nothing(rule):
    x = noise(1, 10, CHANNELS)
    program = capture("static", static(rule, passes(0.0, 0.5), x), (x,))
    shapes = [node.meta["val"].shape for node in program.graph.nodes if isinstance(node.meta.get("val"), torch.Tensor)]
    assert all(isinstance(size, int) for shape in shapes for size in shape)
    assert [count(program, op) for op in (QUANTILE, NONZERO, SORT)] == [0, 0, 0]
    assert count(program, TOPK) == (rule is GATHER)


@EACH_FORM
def test_fires_once_on_each_and_leaves_the_rest_and_the_original_alone(rule):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = passes(0.5)
            self.block = TransformerBlock(CHANNELS, 2, 24, eps=1e-6)
            self.second = passes(0.0, 0.25)

        def forward(self, x):
            return self.second(self.block(self.first(x).tokens)).tokens

    eager, x = filled(Network()), noise(1, 10, CHANNELS)
    after, report = rewrite_one_module(rule, eager, x)
    assert report.sites == ("first", "second")
    assert report.max_error <= 1e-5
    assert type(eager.first) is HierarchicalPasses
    assert type(after.block) is TransformerBlock
    again, second = rewrite_one_module(rule, after, x)
    assert second.sites == second.skips == ()
    assert type(again.first) is type(after.first)


@EACH_FORM
def test_leaves_attention_and_selection_elsewhere_alone(rule):
    model = nn.Sequential(TransformerBlock(CHANNELS, 2, 24, eps=1e-6), nn.Linear(CHANNELS, 2))
    _, report = rewrite_one_module(rule, filled(model), noise(1, 5, CHANNELS))
    assert report.sites == report.skips == ()


@EACH_FORM
def test_a_batch_is_refused(rule):
    _, report = rewrite_one_module(rule, passes(0.5), noise(2, 10, CHANNELS))
    (skip,) = report.skips
    assert skip.reason == "each image of a batch keeps regions of its own; a static form takes one image, not 2"


@EACH_FORM
def test_a_percentile_that_falls_beside_a_score_is_refused(rule):
    _, report = rewrite_one_module(rule, passes(0.29), noise(1, 1 + 101, CHANNELS))
    (skip,) = report.skips
    assert skip.reason.startswith("how many of 101 regions lie above the percentile 0.29 depends on rounding")


class Mixer(nn.Module):
    """A core block of somebody else's: mixes tokens by their mean, takes no mask."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS)
        self.mix = nn.Linear(2 * CHANNELS, CHANNELS)

    def forward(self, x):
        y = self.norm(x)
        return x + self.mix(torch.cat([y, y.mean(1, keepdim=True).expand_as(y)], -1))


def mixing():
    selectors = RegionSelectors(CHANNELS, passes=2, kind="linear", hidden=0)
    return filled(HierarchicalPasses(Mixer(), selectors, map(PercentileSelection, (0.25, 0.5)), alpha=0.3))


@FIXED
def test_any_core_block_goes_with_a_fixed_count(rule):
    eager, x = mixing(), noise(1, 14, CHANNELS, seed=4)
    with torch.no_grad():
        assert relative_error(eager(x).tokens, static(rule, eager, noise(1, 14, CHANNELS))(x).tokens) <= 1e-5


def test_a_core_block_without_a_mask_is_refused_by_the_dense_form():
    _, report = rewrite_one_module(DENSE, mixing(), noise(1, 14, CHANNELS))
    (skip,) = report.skips
    assert skip.reason == "its core block Mixer takes no mask, so attention would see the regions that are out"


def test_the_first_form_a_target_wants_is_the_one_it_gets():
    x = noise(1, 10, CHANNELS)
    after, reports = rewrite_modules(passes(0.5), ALL_FORMS, wanting(ONE_HOT.name, DENSE.name), (x,))
    assert [(report.name, len(report.sites)) for report in reports] == [(ONE_HOT.name, 1), (DENSE.name, 0)]
    assert isinstance(after, FixedCountPasses)
    after, _ = rewrite_modules(mixing(), ALL_FORMS, wanting(DENSE.name, GATHER.name), (x,))
    assert isinstance(after, FixedCountPasses)
    after, _ = rewrite_modules(passes(0.5), ALL_FORMS, wanting(DENSE.name), (x,))
    assert isinstance(after, MaskedPasses)


# Ties. Of five regions and beta 1/2 the median is the threshold, so two are kept.
TIED_AT_THE_THRESHOLD = [0.1, 0.3, 0.3, 0.3, 0.9]
TIED_ELSEWHERE = [0.9, 0.1, 0.9, 0.2, 0.1]


@EACH_FORM
def test_ties_away_from_the_threshold_change_nothing(rule):
    module, tokens = with_scores(TIED_ELSEWHERE, 0.5)
    assert kept(static(rule, module, tokens), tokens) == kept(module, tokens) == [[0, 2]]


def test_tied_at_the_threshold_eager_and_the_dense_form_keep_fewer():
    module, tokens = with_scores(TIED_AT_THE_THRESHOLD, 0.5)
    assert kept(module, tokens) == kept(static(DENSE, module, tokens), tokens) == [[4]]


@pytest.mark.parametrize("rule", [ONE_HOT, COMPARED], ids=lambda rule: rule.name)
def test_tied_at_the_threshold_one_hot_keeps_the_first(rule):
    module, tokens = with_scores(TIED_AT_THE_THRESHOLD, 0.5)
    assert kept(forced(rule, module, tokens), tokens) == [[1, 4]]


def test_tied_at_the_threshold_gather_keeps_as_many():
    module, tokens = with_scores(TIED_AT_THE_THRESHOLD, 0.5)
    ((*regions,),) = kept(forced(GATHER, module, tokens), tokens)
    assert len(regions) == 2
    assert 4 in regions
    assert set(regions) <= {1, 2, 3, 4}


@FIXED
def test_a_tie_at_the_threshold_does_not_go_unnoticed(rule):
    module, tokens = with_scores(TIED_AT_THE_THRESHOLD, 0.5)
    with pytest.raises(RewriteError, match=f"rewrite {rule.name} changed what"):
        rewrite_one_module(rule, module, tokens)


@EACH_FORM
def test_all_scores_equal(rule):
    module, tokens = with_scores([0.5] * 5, 0.5)
    assert kept(module, tokens) == [[]]
    assert len(kept(forced(rule, module, tokens), tokens)[0]) == (0 if rule is DENSE else 2)


@EACH_FORM
@pytest.mark.parametrize("log_odds", [[40.0, 0.0, -40.0, -3.0, 5.0], [1e-6, 0.0, 2e-6, -1e-6, 3e-6]], ids=["saturated", "close"])
def test_scores_at_the_ends_and_next_to_each_other(rule, log_odds):
    module, tokens = with_scores(log_odds, 0.5)
    assert kept(static(rule, module, tokens), tokens) == kept(module, tokens)


@EACH_FORM
def test_beta_0_keeps_all_and_beta_1_the_class_token_alone(rule):
    module, tokens = with_scores([0.3, 0.1, 0.2], 0.0, 1.0)
    assert kept(static(rule, module, tokens), tokens) == kept(module, tokens) == [[0, 1, 2], []]


def test_a_nan_score():
    module, tokens = with_scores([0.1, 0.2, float("nan"), 0.3, 0.9], 0.5)
    assert kept(module, tokens) == [[]]
    assert 2 in kept(forced(GATHER, module, tokens), tokens)[0]
    with torch.no_grad():
        for rule in (ONE_HOT, DENSE):
            assert forced(rule, module, tokens)(tokens).tokens[:, 1:].isnan().any(dim=-1).all()


@EACH_FORM
def test_a_region_that_is_out_is_not_seen(rule):
    """The number of tokens that the core block counts."""
    module, tokens = with_scores([0.1, 0.2, 0.3, 0.4, 0.5], 0.5)
    with torch.no_grad():
        expected, actual = module(tokens).tokens, static(rule, module, tokens)(tokens).tokens
    assert torch.allclose(expected, actual, atol=1e-6)
    assert isinstance(module.core, Keeps)


class Budgeted(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.router = DepthRouter(CHANNELS, passes=3, kind=kind, hidden=16)
        self.middle = BudgetedPasses(TransformerBlock(CHANNELS, 2, 24, eps=1e-6), passes=3, alpha=0.5)

    def forward(self, x):
        return self.middle(x, self.router(x)).tokens


@pytest.mark.parametrize("kind", ["mlp", "linear"])
@PRECISIONS
def test_a_budget(kind, dtype, tolerance):
    eager, x = filled(Budgeted(kind), dtype), noise(1, 14, CHANNELS, dtype=dtype)
    after, (dense, router) = rewrite_modules(eager, [DENSE, StaticRouter()], wanting(DENSE.name, "static_router"), (x,))
    assert (dense.sites, router.sites) == (("middle",), ("router",))
    with torch.no_grad():
        for seed in range(1, 5):
            other = noise(1, 14, CHANNELS, dtype=dtype, seed=seed)
            assert relative_error(eager(other), after(other)) <= tolerance
            assert torch.equal(eager.router(other).depths, after.router(other).depths)
    program = capture("budget", after, (x,))
    assert count(program, torch.ops.aten.argmax.default) == count(program, torch.ops.aten.scatter.value) == 0


def test_a_routers_ties_go_to_the_lower_depth():
    router = DepthRouter(2, passes=3, kind="linear", hidden=0).eval()
    with torch.no_grad():
        router.w.weight.zero_()
        router.w.bias.copy_(torch.tensor([1.0, 2.0, 2.0]))
        after = StaticRouter().replace(router, StaticRouter().check(router, torch.zeros(1, 4, 2), wanting("static_router")))
        expected, actual = router(torch.zeros(1, 4, 2)), after(torch.zeros(1, 4, 2))
    assert expected.depths.tolist() == actual.depths.tolist() == [[2, 2, 2]]
    assert torch.allclose(expected.log_odds, actual.log_odds, atol=1e-6)


def test_a_router_refuses_batches():
    _, report = rewrite_one_module(StaticRouter(), filled(DepthRouter(CHANNELS, passes=3, kind="mlp", hidden=16)), noise(2, 5, CHANNELS))
    assert [skip.reason for skip in report.skips] == ["its form spends the batch axis; it takes one image, not 2"]
