"""Early exits on a batch: samples leave one by one, and the rest goes on as a smaller batch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekit.ops.early_exit import Exited, Features
from edgekit.ops.exit_policy import ExitPolicy


def leave_in_turn(stages: Sequence[nn.Module], images: Tensor, policy: ExitPolicy) -> Exited:
    """Run ``(B, 3, R, R)`` through the stages; after each, the samples that the policy lets go are taken out of the batch.

    Returns the samples in their order. A stage that no sample reaches is not run.
    """
    waiting = torch.arange(images.shape[0], device=images.device)  # places in the batch of those still inside
    features: Features = (images,)
    history: list[Tensor] = []
    left: list[tuple[Tensor, Tensor]] = []  # places, logits
    for k, stage in enumerate(stages, start=1):
        logits, features = stage(features)
        history.append(logits)
        goes = policy.leaves(history) if k < len(stages) else torch.ones_like(waiting, dtype=torch.bool)
        left.append((waiting[goes], logits[goes]))
        if bool(goes.all()):
            break
        if bool(goes.any()):
            stays = ~goes
            waiting = waiting[stays]
            features = tuple(feature[stays] for feature in features)
            history = [seen[stays] for seen in history]
    places = torch.cat([place for place, _ in left])
    exits = torch.cat([torch.full_like(place, k) for k, (place, _) in enumerate(left, start=1)])
    order = places.argsort()
    return Exited(torch.cat([logits for _, logits in left])[order], exits[order])
