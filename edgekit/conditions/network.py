"""What a model with conditions is exported as: a network with exits, or one without conditions.

model           cond(p1, exit 1, cond(p2, exit 2, exit 3))          cond(p, expert 1, expert 2)
in its place    stages 1, 2, 3 with thresholds of their own         where(p, expert 1, expert 2)
"""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx import traceback as fx_traceback
from torch.utils import _pytree as pytree

from edgekit.conditions.cut import Part
from edgekit.ops.confidence import Confidence
from edgekit.ops.early_exit import Features


def run(module: fx.GraphModule, *inputs: Tensor) -> Any:
    """Run a graph so that what captures it again keeps the source lines, the modules and the precision of its nodes."""
    with fx_traceback.preserve_node_meta():
        return fx.Interpreter(module).run(*inputs)


class SplitStage(nn.Module):
    """One stage of a model that was cut at its conditions; a :class:`~edgekit.ops.early_exit.DecidingStage`."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part.module
        self.answers = part.answers
        self.confidence = Confidence("max_softmax")

    def forward(self, features: Features) -> tuple[Tensor, Features]:
        """Return logits ``(1, classes)`` and the features for the next stage."""
        logits, _, live = self.decided(features)
        return logits, live

    def decided(self, features: Features) -> tuple[Tensor, Tensor, Features]:
        """Return the confidence ``(1,)`` float32, too; the last stage, which decides nothing, gives that of its logits."""
        outputs = run(self.part, *features)
        logits, live = outputs[0], tuple(outputs[self.answers :])
        return logits, outputs[1] if self.answers > 1 else self.confidence(logits), live


class SplitNetwork(nn.Module):
    """A model cut at its exits: a :class:`~edgekit.ops.early_exit.DecidingNetwork`.

    :param thresholds: the model's own, one for every exit but the last: leave where ``confidence >= threshold``, both float32.
    :param confidence: the kind that all confidences are, a name in ``edgekit.ops.confidence``; ``None``: others.
    :param position: of the logits among what the model returns.
    """

    def __init__(self, parts: tuple[Part, ...], thresholds: tuple[float, ...], confidence: str | None, position: int) -> None:
        super().__init__()
        self.position = position
        self.stages = nn.ModuleList(SplitStage(part) for part in parts)
        self.own_thresholds = thresholds
        self.own_confidence = confidence

    def exit_stages(self) -> tuple[SplitStage, ...]:
        """Return the stages, first exit first."""
        return tuple(stage for stage in self.stages if isinstance(stage, SplitStage))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits ``(1, classes)`` of the exit that the model's own thresholds choose, for one image ``(1, 3, R, R)``."""
        features: Features = (image,)
        for stage, threshold in zip(self.exit_stages(), (*self.own_thresholds, -torch.inf), strict=True):
            logits, confidence, features = stage.decided(features)
            if bool(confidence >= threshold):
                break
        return logits


class SelectedNetwork(nn.Module):
    """A model whose conditions are selections: both branches are computed."""

    def __init__(self, part: Part, structure: pytree.TreeSpec) -> None:
        super().__init__()
        self.part = part.module
        self.structure = structure

    def forward(self, image: Tensor) -> Any:
        """Return what the model returns, for one image ``(1, 3, R, R)``."""
        return pytree.tree_unflatten(run(self.part, image), self.structure)
