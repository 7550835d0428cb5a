"""Scores of tokens: whether a region takes another pass (``RegionSelectors``), or how many it takes (``DepthRouter``).

Both give log-odds, and ``s = sigmoid(log-odds)`` is the score: what keeps scores from saturating must see them before the sigmoid.

| kind | pass p | parameters a pass |
| --- | --- | --- |
| mlp | ``w_p . GELU(phi_p h)`` | phi_p ``(E, C)``, w_p ``(1, E)``, no biases |
| shared_phi | ``w_p . GELU(phi h)`` | one phi for all passes, w_p ``(1, E)``, no biases |
| linear | ``w_p . h + b_p`` | w_p ``(1, C)``, b_p |

Source: IMC-Net, arXiv 2507.21761, scores ``s = sigmoid(w_p . phi(h))``. Choice: what phi is.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.ops.transformer_block import Gelu

SelectorKind = Literal["mlp", "linear", "shared_phi"]


class Scores(nn.Sigmoid):
    """From log-odds to scores, in full precision: half precision has a single score, 1, for all log-odds from 8.4 up."""

    full_precision = True


class RegionSelectors(nn.Module):
    """The selectors of all passes: log-odds that a token takes part in a pass. In full precision."""

    full_precision = True

    def __init__(self, channels: int, *, passes: int, kind: SelectorKind, hidden: int, gelu: Gelu = "none") -> None:
        super().__init__()
        phis = {"mlp": passes, "shared_phi": 1, "linear": 0}[kind]
        self.phi = nn.ModuleList(nn.Linear(channels, hidden, bias=False) for _ in range(phis))
        self.w = nn.ModuleList(nn.Linear(hidden if phis else channels, 1, bias=not phis) for _ in range(passes))
        self.gelu: Gelu = gelu

    def forward(self, tokens: Tensor, index: int) -> Tensor:
        """Map tokens ``(..., channels)`` to their log-odds in pass ``index`` (from 0), ``(...)``."""
        features = F.gelu(self.phi[min(index, len(self.phi) - 1)](tokens), approximate=self.gelu) if len(self.phi) else tokens
        return self.w[index](features).squeeze(-1)


class Budget(NamedTuple):
    """What a :class:`DepthRouter` assigns.

    ``depths``: passes of each region, ``(B, N)``, from 1. ``log_odds``: of each token having the depth it has, the class token
    first, ``(B, 1 + N)``; their sigmoid is the router's softmax at that depth.
    """

    depths: Tensor
    log_odds: Tensor


class DepthRouter(nn.Module):
    """Assign every region, once, how many passes it takes: the depth of the highest logit, the smaller of two equal ones.

    ``passes`` is the number of depths, at least 2. The class token takes them all.
    """

    def __init__(self, channels: int, *, passes: int, kind: SelectorKind, hidden: int, gelu: Gelu = "none") -> None:
        super().__init__()
        linear = kind == "linear"
        self.phi = nn.Identity() if linear else nn.Linear(channels, hidden, bias=False)
        self.w = nn.Linear(channels if linear else hidden, passes, bias=linear)
        self.gelu: Gelu = gelu

    def forward(self, tokens: Tensor) -> Budget:
        """Map tokens ``(B, 1 + N, channels)``, the class token first, to their budget."""
        features = self.phi(tokens)
        logits = self.w(features if isinstance(self.phi, nn.Identity) else F.gelu(features, approximate=self.gelu))
        depths = logits.argmax(dim=-1)
        depths = torch.cat([torch.full_like(depths[:, :1], logits.shape[-1] - 1), depths[:, 1:]], dim=1)
        chosen = depths[..., None]
        others = logits.scatter(-1, chosen, float("-inf")).logsumexp(dim=-1)
        return Budget(depths=depths[:, 1:] + 1, log_odds=logits.gather(-1, chosen).squeeze(-1) - others)
