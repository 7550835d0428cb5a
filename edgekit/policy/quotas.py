"""The budgeted-batch rule: from one number q to the thresholds of all exits.

    share of exit k  ~  q^k,  k = 1..K        q -> 0: all leave at exit 1;  q = 1: alike;  q -> inf: all go to the end

For k = 1..K-1 the samples that have not left are walked by descending confidence, and T_k is the confidence where the exit's
quota is met; who reaches it leaves. The last exit takes the rest.

Source: the budgeted batch classification of MSDNet (arXiv 1703.09844, section 4.2 and appendix; facts from adaptive_inference in
kalviny/MSDNet-PyTorch). Settled here:

- **Quotas are cumulative.** By exit k, ``floor(N (q + .. + q^k) / (q + .. + q^K))`` samples should have left; the quota of exit k is what is missing.
  Rounding each share alone, as MSDNet does, loses up to K-1 samples to the last exit, and the cost then moves both ways with
  q. What ties took too many is made up for by the exits behind.
- **Nobody leaves here**: a quota of zero, or more than there are samples with a confidence left. The threshold is ``None``.
- **Ties.** Samples of equal micro-units leave together or not at all, as ``confidence >= T`` cannot tell them apart. The group in
  which the quota is met leaves whole: never later, so never dearer, than the quota asked for.
- **Room below.** Where nobody waits one micro-unit below the sample that meets the quota, T is that one lower: the sample does
  not hang on the last bit of a runtime's softmax (torch's is off by 6.6e-7 at 1000 classes).

**Monotonicity.** The share that should have left by exit k is 1 / (1 + r_k), r_k = (q^(k+1) + .. + q^K) / (q + .. + q^k). Every q^j / q^i with
j > i grows with q, so r_k grows and the targets fall. The mean cost is ``cost_K - sum_k (cost_k+1 - cost_k) left_k / N``: it grows
with q as long as ``left_k`` is the target. Ties and samples without a confidence can break that by the size of their groups; the
search does not rely on it.
"""

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

_ROUNDING = 1e-9  # 10 * 0.3 is 3


def targets(samples: int, exits: int, q: float) -> tuple[int, ...]:
    """Return how many of ``samples`` should have left by each exit but the last, for ``q`` in (0, inf)."""
    logs = math.log(q) * np.arange(1, exits + 1)
    shares = np.exp(logs - logs.max())
    cumulative = np.cumsum(shares)[:-1] / shares.sum()
    return tuple(int(value) for value in np.floor(samples * cumulative + _ROUNDING))


def extremes(samples: int) -> tuple[float, float]:
    """Return a q so small that all samples should leave at exit 1, and one so large that none should before the last."""
    return 1e-10 / samples, 2.0 * samples


@frozen(kw_only=True)
class Ranking:
    """Samples by descending confidence at every exit but the last, sorted once for all q.

    :param micro: ``(K, N)`` micro-units.
    :param orders: for each exit but the last, the places of the samples that have a confidence, surest first.
    """

    micro: NDArray[np.int32]
    orders: tuple[NDArray[np.intp], ...]

    def thresholds(self, quotas: Sequence[int]) -> tuple[tuple[int | None, ...], NDArray[np.int32]]:
        """Return the thresholds in micro-units and where each sample leaves.

        :param quotas: how many should have left by each exit but the last, from :func:`targets`.
        :return: K-1 thresholds, ``None`` for nobody; exits ``(N,)`` counted from 0.
        """
        samples = self.micro.shape[1]
        exits = np.full(samples, len(quotas), dtype=np.int32)
        waits = np.ones(samples, dtype=np.bool_)
        found: list[int | None] = []
        left = 0
        for k, (quota, order) in enumerate(zip(quotas, self.orders, strict=True)):
            missing = quota - left
            waiting = order[waits[order]] if missing > 0 and left else order
            if missing <= 0 or missing > len(waiting):
                found.append(None)
                continue
            values = self.micro[k, waiting]
            at = int(values[missing - 1])
            count = int(np.searchsorted(-values, -at, side="right"))
            below = int(values[count]) if count < len(values) else -1
            leaving = waiting[:count]
            found.append(max(at - 1, below + 1, 0))
            exits[leaving] = k
            waits[leaving] = False
            left += count
        return tuple(found), exits


def rank(micro: NDArray[np.int32]) -> Ranking:
    """Sort ``(K, N)`` micro-units, -1 where there is no confidence."""
    orders = []
    for values in micro[:-1]:
        order = np.argsort(-values, kind="stable")
        orders.append(order[: int((values >= 0).sum())])
    return Ranking(micro=micro, orders=tuple(orders))
