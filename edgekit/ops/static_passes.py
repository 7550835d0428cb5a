"""The passes of IMC-Net for one image with shapes that do not depend on it: as many regions a pass as the percentiles leave.

    fixed count   pass p:  taken = the 1 + k_p highest of those active    h = taken    h' = alpha * s * F(h) + h
                  end:     the last pass's tokens are put back among those of the pass before, and so on: each goes home once
    masked        pass p:  all tokens    h' = alpha * s * m * F(h, keys m) + h    m: 1 for a region that takes part, else 0

See ``selective_passes.py`` for what they are equal to, and ``rewrites/fixed_count_passes.py`` and ``rewrites/dense_mask_passes.py``
for when.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.ops.region_moves import IndexMoves, OneHotMoves
from edgekit.ops.region_order import HighestRegions, at_least_one
from edgekit.ops.region_scores import Budget, Scores
from edgekit.ops.selective_passes import PassesOutput

KEY_OUT = -40000.0
"""Added to the products of a key that takes no part; infinity, which the softmax of some accelerators cannot take, is nothing else in
float32: exp(-40000 + x) is 0 for any x below 39896, and half precision holds it."""


# The factor is a tensor, so that what stores it in half precision treats it as it does weights.
class FixedCountPasses(nn.Module):
    """``HierarchicalPasses`` for one image, with ``counts[p]`` regions in pass p.

    :param moves: for each pass how its regions are taken out; None where it has as many as the pass before.
    """

    alpha: Tensor

    def __init__(self, core: nn.Module, selectors: nn.Module, moves: Sequence[IndexMoves | OneHotMoves | None], *, alpha: float) -> None:
        super().__init__()
        self.core = core
        self.selectors = selectors
        self.scores = Scores()
        self.moves = nn.ModuleList(nn.Identity() if move is None else move for move in moves)
        self.register_buffer("alpha", torch.tensor(alpha), persistent=False)

    def forward(self, tokens: Tensor) -> PassesOutput:
        """Map tokens ``(1, 1 + N, C)``, the class token first, to what the passes make of them."""
        way: list[tuple[Any, Any, Tensor]] = []  # how tokens were taken, from where, and from which tokens
        regions, asked = [], []
        active = tokens
        move: Any
        for index, move in enumerate(self.moves):
            log_odds = self.selectors(active, index).unsqueeze(-1)
            asked.append(_home(way, log_odds)[:, 1:, 0])
            scores = self.scores(log_odds)
            if not isinstance(move, nn.Identity):
                places = move(scores[:, 1:].reshape(1, -1))
                way.append((move, places, active))
                active, scores = move.take(places, active), move.take(places, scores)
            regions.append(_home(way, torch.ones_like(scores))[:, 1:, 0] > 0)
            active = self.alpha.to(scores.dtype) * scores * self.core(active) + active
        for move, places, before in reversed(way):
            active = move.put_back(places, before, active)
        return PassesOutput(active, tuple(regions), tuple(asked))


def _home(way: list[tuple[Any, Any, Tensor]], values: Tensor) -> Tensor:
    """Spread values of the active tokens, ``(1, 1 + n, 1)``, over all tokens; 0 where a token is not active."""
    for move, places, _ in reversed(way):
        values = move.spread(places, values)
    return values


class MaskedPasses(nn.Module):
    """``HierarchicalPasses`` for one image, all of its tokens computed in every pass.

    :param highest: for each pass the mask of its regions among all N; None where it has as many as the pass before.
    """

    alpha: Tensor

    def __init__(self, core: nn.Module, selectors: nn.Module, highest: Sequence[HighestRegions | None], *, alpha: float) -> None:
        super().__init__()
        self.core = core
        self.selectors = selectors
        self.scores = Scores()
        self.highest = nn.ModuleList(nn.Identity() if one is None else one for one in highest)
        self.register_buffer("alpha", torch.tensor(alpha), persistent=False)

    def forward(self, tokens: Tensor) -> PassesOutput:
        """Map tokens ``(1, 1 + N, C)``, the class token first, to what the passes make of them."""
        part = torch.ones(1, tokens.shape[1] - 1, dtype=tokens.dtype, device=tokens.device)  # Core ML has no new_ones
        narrowed = False
        regions, asked = [], []
        for index, highest in enumerate(self.highest):
            log_odds = self.selectors(tokens, index)
            asked.append(log_odds[:, 1:] * part)
            scores = self.scores(log_odds)
            if not isinstance(highest, nn.Identity):
                part = highest(scores[:, 1:], part if narrowed else None)
                narrowed = True
            regions.append(part > 0.5)
            tokens = masked_pass(self.core, tokens, scores, part if narrowed else None, self.alpha)
        return PassesOutput(tokens, tuple(regions), tuple(asked))


class MaskedBudgetedPasses(nn.Module):
    """``BudgetedPasses`` for one image, all of its tokens computed in every pass."""

    alpha: Tensor

    def __init__(self, core: nn.Module, *, passes: int, alpha: float) -> None:
        super().__init__()
        self.core = core
        self.passes = passes
        self.register_buffer("alpha", torch.tensor(alpha), persistent=False)

    def forward(self, tokens: Tensor, budget: Budget) -> PassesOutput:
        """Map tokens ``(1, 1 + N, C)``, the class token first, and their budget to what the passes make of them."""
        depths, log_odds = budget
        depths, scores = depths.to(tokens.dtype), log_odds.sigmoid()
        part = torch.ones_like(depths)  # every region takes one pass
        regions, asked = [], []
        for index in range(self.passes):
            asked.append(log_odds[:, 1:] * part)
            part = at_least_one(depths - float(index))
            regions.append(part > 0.5)
            tokens = masked_pass(self.core, tokens, scores, part if index else None, self.alpha)
        return PassesOutput(tokens, tuple(regions), tuple(asked))


def masked_pass(core: nn.Module, tokens: Tensor, scores: Tensor, part: Tensor | None, alpha: Tensor) -> Tensor:
    """Apply the core block to all tokens ``(1, 1 + N, C)`` and gate it by ``scores``, ``(1, 1 + N)``; ``part``: which regions, ``(1, N)``."""
    if part is None:
        return alpha.to(scores.dtype) * scores.unsqueeze(-1) * core(tokens) + tokens
    whole = F.pad(part, (1, 0), value=1.0)
    keys = ((1.0 - whole) * KEY_OUT).reshape(1, 1, 1, -1)
    return alpha.to(scores.dtype) * (scores * whole).unsqueeze(-1) * core(tokens, mask=keys) + tokens
