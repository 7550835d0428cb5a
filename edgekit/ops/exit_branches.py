"""Early exits as ``torch.cond``: the spelling that ``torch.export`` can capture, one condition an exit, nested.

logits_1, features_1 = stage_1(image)
cond(confidence(logits_1) >= T_1,   (logits_1, 1),
     logits_2, features_2 = stage_2(features_1)
     cond(confidence(logits_2) >= T_2,   (logits_2, 2),   ... (logits_K, K)))
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekit.ops.early_exit import Exited, Features
from edgekit.ops.exit_policy import ThresholdPolicy


class ExitBranches(nn.Module):
    """A network's stages and a policy's thresholds as one graph with conditions, for a batch of one.

    The policy has to decide from the exit's own logits: thresholds become constants of the graph. Computes what the
    network's own Python does with the same policy. State-dict names are ``stages.0...`` to ``stages.K-1...``.

    :raises BadInputError: the policy is for another number of exits.
    """

    def __init__(self, stages: Sequence[nn.Module], policy: ThresholdPolicy) -> None:
        super().__init__()
        policy.check(len(stages))
        self.stages = nn.ModuleList(stages)
        self.policy = policy

    def forward(self, image: Tensor) -> Exited:
        """Return logits ``(1, classes)`` and exit ``(1,)`` int64, 1 for the first, of an image ``(1, 3, R, R)``."""
        logits, exit_number = self._from(1, image)
        return Exited(logits, exit_number)

    def _from(self, k: int, *features: Tensor) -> tuple[Tensor, Tensor]:
        """Run stage ``k`` (from 1) and decide there."""
        logits: Tensor
        handed_on: Features
        logits, handed_on = self.stages[k - 1](features)
        if k == len(self.stages):
            return logits, torch.full((1,), k)

        def stop(logits: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
            return logits.clone(), torch.full((1,), k)  # a branch may not hand back its operand itself

        def go_on(_: Tensor, *features: Tensor) -> tuple[Tensor, Tensor]:
            return self._from(k + 1, *features)

        return torch.cond(self.policy.is_sure(k, logits), stop, go_on, (logits, *handed_on))
