"""A router's argmax, gather and scatter -> comparisons of the depths' logits among each other.

    before   d = argmax(l)      log-odds = l[d] - logsumexp(l without d)                                  l (1, T, P)
    after    o = 1 where no logit comes before l_d: one is higher, or equal and of a lower depth            (T, P) zeros, one 1
             log-odds = sum(o * l) - logsumexp(l - 40000 * o)

Exact where the logits differ by 2**-100 or more, ties included; a NaN logit makes the token's log-odds NaN (eager's argmax takes it).
"""

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.capabilities import TargetFacts
from edgekit.ops.region_order import BLOW_UP
from edgekit.ops.region_scores import Budget, DepthRouter
from edgekit.ops.static_passes import KEY_OUT
from edgekit.rewrites.base import Refusal


class StaticDepthRouter(nn.Module):
    """``DepthRouter`` for one image, without argmax and indices, in full precision."""

    full_precision = True
    place: Tensor

    def __init__(self, router: DepthRouter) -> None:
        super().__init__()
        self.phi = router.phi
        self.w = router.w
        self.gelu = router.gelu
        place = torch.arange(router.w.out_features, dtype=torch.float32)
        self.register_buffer("place", place, persistent=False)

    def forward(self, tokens: Tensor) -> Budget:
        """Map tokens ``(1, 1 + N, channels)``, the class token first, to their budget."""
        features = self.phi(tokens)
        logits = self.w(features if isinstance(self.phi, nn.Identity) else F.gelu(features, approximate=self.gelu))[0]
        place = self.place.to(logits.dtype)
        lead = (logits.unsqueeze(1) - logits.unsqueeze(2)) * BLOW_UP + place.reshape(1, -1, 1) - place
        before = (lead.clamp(-1.0, 1.0).sum(dim=-1) + float(len(place) - 1)) * 0.5
        highest = F.relu(1.0 - before)
        class_token = F.relu(place - float(len(place) - 2))[None]  # it takes all passes
        chosen = torch.cat([class_token, highest[1:]])
        others = (logits + chosen * KEY_OUT).logsumexp(dim=-1)
        depths = (highest[1:] * (place + 1.0)).sum(dim=-1)
        return Budget(depths=depths.to(torch.int64)[None], log_odds=((chosen * logits).sum(dim=-1) - others)[None])


@frozen
class _NoPlan:
    """There is nothing to know."""


class StaticRouter:
    """Give a depth router a form without indices."""

    name = "static_router"

    def match(self, module: nn.Module) -> bool:
        """A router in its natural form."""
        return isinstance(module, DepthRouter)

    def check(self, module: DepthRouter, x: Tensor, target: TargetFacts) -> _NoPlan | Refusal:
        """Refuse batches."""
        del module, target
        return _NoPlan() if x.shape[0] == 1 else Refusal(f"its form spends the batch axis; it takes one image, not {x.shape[0]}")

    def replace(self, module: DepthRouter, plan: _NoPlan) -> nn.Module:
        """Build the static router with the same layers."""
        del plan
        return StaticDepthRouter(module)
