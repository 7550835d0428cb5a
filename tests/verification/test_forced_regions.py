"""An eager network that is given its regions: the same answer for its own, and every other region named where it was chosen."""

import pytest
import torch
from torch import nn

from edgekit.models.build import build_model
from edgekit.ops.percentile_selection import PercentileSelection
from edgekit.ops.selective_passes import HierarchicalPasses
from edgekit.verification.forced_regions import run_with_regions

SCORES = torch.tensor([0.2, 0.4, 0.5, 0.6, 0.8])


class Given(nn.Module):
    """Log-odds are the tokens themselves."""

    def forward(self, tokens, index):
        del index
        return tokens[..., 0]


class Passes(nn.Module):
    """Three passes over five regions: all of them, the three above 0.45 (of position 1.5), the one above 0.7 (of position 1.5 among three)."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = HierarchicalPasses(nn.Identity(), Given(), map(PercentileSelection, (0.0, 0.375, 0.75)), alpha=0.0)

    def forward(self, scores):
        tokens = torch.cat([torch.zeros(1), scores.logit()]).reshape(1, -1, 1)
        return torch.stack(self.middle(tokens).regions)


def masks(*rows):
    return [torch.tensor([int(one) for one in row], dtype=torch.bool) for row in rows]


def test_its_own_regions_change_nothing():
    model = build_model("imcnet-cifar10")
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        trace = model.trace(image)
    result, other = run_with_regions(model, [image], {"middle": [mask[0] for mask in trace.regions]})
    assert other == ()
    assert torch.equal(result, trace.logits)


def test_other_regions_change_the_answer_and_leave_the_model_as_it_was():
    model = build_model("imcnet-cifar10")
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        trace = model.trace(image)
        given = [mask[0].clone() for mask in trace.regions]
        given[3] = given[2] & ~given[3]  # in the last pass those it would leave: 16 of 32, as many
        result, other = run_with_regions(model, [image], {"middle": given})
        assert len(other) == 32
        assert not torch.allclose(result, trace.logits, atol=1e-3)
        assert torch.equal(model(image), trace.logits)


def test_a_region_is_named_in_the_pass_that_chose_it_with_its_distance():
    """Pass 2 takes 1 instead of 2; pass 3 then chooses among 1, 3 and 4, and takes 4 as ever: position 1.5 of 0.4, 0.6, 0.8 is 0.7."""
    result, other = run_with_regions(Passes(), [SCORES], {"middle": masks("11111", "01011", "00001")})
    assert result[:, 0].int().tolist() == [[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [0, 0, 0, 0, 1]]
    assert [(row.site, row.number, row.region, row.taken) for row in other] == [("middle", 2, 1, True), ("middle", 2, 2, False)]
    # The threshold is at position 4 * 0.375 = 1.5: between 0.4 and 0.5.
    assert [row.gap for row in other] == pytest.approx([0.05 / 0.45, 0.05 / 0.45], rel=1e-4)


def test_each_pass_is_asked_on_the_given_regions():
    _, other = run_with_regions(Passes(), [SCORES], {"middle": masks("11111", "01011", "00010")})
    assert [(row.number, row.region, row.taken) for row in other] == [(2, 1, True), (2, 2, False), (3, 3, True), (3, 4, False)]
    assert [row.gap for row in other[2:]] == pytest.approx([0.1 / 0.7, 0.1 / 0.7], rel=1e-4)


def test_scores_without_a_threshold_have_no_distance():
    _, other = run_with_regions(Passes(), [torch.tensor([0.2, 0.4, torch.nan, 0.6, 0.8])], {"middle": masks("11111", "00111", "00001")})
    assert {(row.number, row.gap) for row in other if row.number == 2} == {(2, None)}


def test_only_passes_with_percentiles_take_regions():
    with pytest.raises(TypeError, match="middle is a Linear, which takes no regions from outside"):
        run_with_regions(nn.ModuleDict({"middle": nn.Linear(1, 1)}), [], {"middle": []})
