"""What is added to the classification loss so that IMC-Net's scores stay useful while it learns; each is to be made small.

The paper (arXiv 2507.21761) speaks of mild regularisation of the selection scores; its formulas are not used here: each of the three is a
Choice, with the reason beside it. All work on one pass, in float, and take

    log_odds   (B, N)           of :class:`~edgekit.models.imcnet.IMCNetTrace`; a score is their sigmoid
    active     (B, N) boolean   the regions up for selection in that pass

and give a scalar, 0 where no region is active.
"""

import math

from torch import Tensor
from torch.nn import functional as F


def stabiliser_loss(log_odds: Tensor, active: Tensor) -> Tensor:
    """Return the mean squared log-odds of the active regions: 0 where every score is one half.

    Choice, after the router z-loss of ST-MoE (arXiv 2202.08906, equation 5). Scores near 0 or 1 all look alike to a percentile, and
    their sigmoid passes no gradient back; a penalty on the scores themselves would vanish there as well, this one grows.
    """
    return _mean(log_odds.square(), active)


def balance_loss(log_odds: Tensor, active: Tensor, *, beta: float) -> Tensor:
    """Return the squared distance of the mean active score from ``1 - beta``, the share of active regions that is kept.

    Choice. A percentile keeps that share whatever the scores are, so the count has no gradient; held to it in the mean, scores
    use their range in every pass, and none of the passes can close (all scores near 0) or stand open for all.

    :param beta: of the pass, among its active regions (``IMCNetConfig.pass_betas``).
    """
    rate = _mean(log_odds.sigmoid(), active)
    return (rate - (1 - beta)).square() * active.any()


def entropy_loss(log_odds: Tensor, active: Tensor) -> Tensor:
    """Return 1 minus the normalised entropy of how an image's scores are spread over its active regions; mean over the images.

    With ``p_i = s_i / sum(s)`` over ``n`` regions: ``1 - H(p) / log(n)``. It is 0 where all regions score alike and near 1 where one has
    all the score, which is the collapse it is there against. Choice. An image with fewer than two active regions counts as 0.
    """
    several = active.sum(dim=-1) > 1
    log_odds, active = log_odds[several], active[several]
    log_scores = F.logsigmoid(log_odds).masked_fill(~active, -math.inf)
    log_p = log_scores.log_softmax(dim=-1).masked_fill(~active, 0)
    entropy = -(log_p.exp() * log_p).sum(dim=-1)  # where inactive, log p is set to 0: 1 * 0
    return (1 - entropy / active.sum(dim=-1).to(log_odds.dtype).log()).sum() / max(1, len(several))


def _mean(values: Tensor, active: Tensor) -> Tensor:
    """Mean over what is active; 0 where nothing is."""
    return values.masked_fill(~active, 0).sum() / active.sum().clamp(min=1)
