"""What a graph that chooses an exit itself is given for a policy: its ``thresholds`` input.

Such a graph compares its own confidence, in float32, with each number; other runtimes compare ``floor(1e6 * confidence)``, an integer.
The numbers given here are those that the same confidences reach.
"""

import math

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import PolicyError
from edgekit.policy.decide import eager_threshold
from edgekit.policy.policy import Policy
from edgekit.policy.section import reads


def graph_thresholds(policy: Policy, confidence: str | None) -> NDArray[np.float32]:
    """Return ``(K - 1,)`` float32: one for every exit but the last, infinity where nobody leaves.

    :param confidence: the kind that the graph computes; ``None``: not known.
    :raises PolicyError: the policy decides by something that the graph does not compute.
    """
    by = reads(policy, confidence)
    if by == "logits":
        raise PolicyError(
            f"the graph chooses an exit itself, and not as a policy of kind {policy.kind} does",
            what=f"it computes {confidence or 'a confidence of a kind that is not known'}, uncalibrated",
            hint="export with --early-exit methods or all, which let the app decide",
        )
    if by == "nothing":
        last = policy.exit or policy.exits
        return np.array([-math.inf if number >= last else math.inf for number in range(1, policy.exits)], np.float32)
    return np.array([eager_threshold(value) for value in policy.thresholds or ()], np.float32)
