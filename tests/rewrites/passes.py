"""What the tests of static passes share: small passes in their natural form, and the forms they are compared with."""

import torch
from rewriting import filled, noise, wanting
from torch import Tensor, nn

from edgekit.ops.percentile_selection import PercentileSelection
from edgekit.ops.region_scores import RegionSelectors
from edgekit.ops.selective_passes import HierarchicalPasses
from edgekit.ops.transformer_block import TransformerBlock
from edgekit.rewrites.apply import rewrite_modules
from edgekit.rewrites.dense_mask_passes import DenseMaskPasses
from edgekit.rewrites.fixed_count_passes import FixedCountPassesForm

GATHER, ONE_HOT, COMPARED = (FixedCountPassesForm(form) for form in ("gather", "one_hot", "one_hot_compared"))
DENSE = DenseMaskPasses()
ALL_FORMS = (GATHER, ONE_HOT, COMPARED, DENSE)
CHANNELS = 12


def passes(*betas: float, kind: str = "mlp", dtype: torch.dtype = torch.float32) -> nn.Module:
    """Hierarchical passes over tokens of 12 channels; a beta a pass, among those active before it."""
    core = TransformerBlock(CHANNELS, 2, 24, eps=1e-6)
    selectors = RegionSelectors(CHANNELS, passes=len(betas), kind=kind, hidden=16)
    return filled(HierarchicalPasses(core, selectors, map(PercentileSelection, betas), alpha=0.5), dtype)


def static(rule, module: nn.Module, x: Tensor) -> nn.Module:
    after, (report,) = rewrite_modules(module, [rule], wanting(rule.name), (x,))
    assert report.sites == ("",), report.skips
    return after


class GivenScores(nn.Module):
    """Selectors whose log-odds are a channel of the tokens, so that a test can choose them."""

    def forward(self, tokens: Tensor, index: int) -> Tensor:
        return tokens[..., index]


class Keeps(nn.Module):
    """A core block that adds 1 to the last channel and the number of tokens to the one before: scores stay, who took part shows."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        weight = torch.ones_like(x[..., :1]) if mask is None else (mask.reshape(1, -1, 1) > -1).to(x.dtype)
        added = torch.zeros_like(x)
        added[..., -1] = 1
        added[..., -2:-1] = weight.sum(dim=1, keepdim=True)
        return added


def with_scores(log_odds: list[float], *betas: float) -> tuple[nn.Module, Tensor]:
    """Passes over regions with these log-odds in every pass, and their tokens."""
    module = HierarchicalPasses(Keeps(), GivenScores(), map(PercentileSelection, betas), alpha=1.0).eval()
    tokens = noise(1, 1 + len(log_odds), len(betas) + 3)
    tokens[0, 1:, : len(betas)] = torch.tensor(log_odds)[:, None]
    tokens[0, 0, : len(betas)] = 0.0
    return module, tokens


def kept(module: nn.Module, tokens: Tensor) -> list[list[int]]:
    """The regions of each pass."""
    with torch.no_grad():
        return [one[0].nonzero().flatten().tolist() for one in module(tokens).regions]


def forced(rule, module: nn.Module, tokens: Tensor) -> nn.Module:
    """The static form without its proof, for inputs on which it is not equal to eager."""
    return rule.replace(module, rule.check(module, tokens, wanting(rule.name))).eval()
