"""Early exits as one static graph: every exit is computed, and what the thresholds choose is selected.

    logits_1, features_1 = stage_1(image)   ...   logits_K, _ = stage_K(features_K-1)
    c_k = confidence(logits_k)
    logits = where(c_1 >= T_1, logits_1, where(c_2 >= T_2, logits_2, ... logits_K))        confidence, exit alike

The thresholds are an input, so a policy may change without the file. Nothing is saved by leaving early; what it is for are
accelerators without control flow. What is selected is bit by bit what that exit computed: no sums, no products with zeros and
ones, which would turn another exit's infinity into a NaN. A confidence or a threshold that is NaN lets nobody leave.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekit.errors import UsageError
from edgekit.interface import CONFIDENCE, EXIT, LOGITS
from edgekit.ops.confidence import Confidence, ConfidenceName
from edgekit.ops.early_exit import Features, answer_of


class Decision(nn.Module):
    """Whether samples leave at one exit, and the confidence and the exit they leave with; in float32 in any artifact.

    ``>=`` is spelled out, because Core AI's runtime (1.0.0b3) has it true where either side is NaN; its ``>`` and ``==`` are not.
    """

    full_precision = True

    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position

    def forward(self, sure: Tensor, thresholds: Tensor, confidence: Tensor, number: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return which samples leave, ``(B,)`` bool, and both of what follows with theirs put in.

        :param sure: confidence at this exit. :param confidence: behind it, as ``number``, the exit: all are ``(B,)``.
        """
        threshold = thresholds[self.position]
        leaves = torch.logical_or(sure > threshold, sure == threshold)  # Core ML Tools knows no `|`
        own = torch.full_like(number, self.position + 1)
        return leaves, torch.where(leaves, sure, confidence), torch.where(leaves, own, number)


class SelectedExit(nn.Module):
    """All stages, and the answer of the first exit that is sure enough.

    :param stages: each maps features to ``(logits, features)``; at least two.
    :raises UsageError: fewer than two stages: nothing to select from.
    """

    def __init__(self, stages: Sequence[nn.Module], confidence: ConfidenceName) -> None:
        super().__init__()
        if len(stages) < 2:
            raise UsageError("a network with one exit has nothing to select from", hint="--early-exit last")
        self.stages = nn.ModuleList(stages)
        self.confidence = Confidence(confidence)
        self.decisions = nn.ModuleList(Decision(position) for position in range(len(stages) - 1))

    def forward(self, image: Tensor, thresholds: Tensor) -> dict[str, Tensor]:
        """Return ``logits`` ``(B, classes)``, ``confidence`` ``(B,)`` float32 and ``exit`` ``(B,)`` int32, 1 for the first.

        :param thresholds: ``(K - 1,)`` float32, one for every exit but the last: leave where ``confidence >= threshold``.
        """
        answers = self.answers(image)
        logits, confidence = answers[-1]
        number = torch.full(confidence.shape, len(answers), dtype=torch.int32)  # every format has 32-bit integers, two have no wider ones
        for position, (earlier, sure) in reversed(list(enumerate(answers[:-1]))):
            leaves, confidence, number = self.decisions[position](sure, thresholds, confidence, number)
            logits = torch.where(leaves.unsqueeze(-1), earlier, logits)
        return {LOGITS: logits, CONFIDENCE: confidence, EXIT: number}

    def answers(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return logits and confidence of every exit, first exit first."""
        features: Features = (image,)
        found = []
        for stage in self.stages:
            logits, confidence, features = answer_of(stage, features, self.confidence)
            found.append((logits, confidence))
        return found


def forcing_thresholds(network: SelectedExit, image: Tensor, number: int, *, refusal: int = 0) -> Tensor:
    """Return thresholds, ``(K - 1,)`` float32, with which an image ``(1, 3, R, R)`` leaves at exit ``number`` (from 1).

    None is near a confidence: half of it lies between, so that no precision's rounding moves one across, and yet it takes a
    comparison of confidences to choose right. Behind the exit they would let the image leave, too: the first has to win.

    :param refusal: how the exits before say no: by a threshold above the confidence, by infinity or by NaN, in turn from here on.
    """
    refusals = (lambda sure, apart: sure + apart, lambda _, __: math.inf, lambda _, __: math.nan)
    thresholds = []
    with torch.no_grad():
        for position, (_, confidence) in enumerate(network.answers(image)[:-1]):
            sure = float(confidence)
            apart = abs(sure) / 2 + 1e-3
            leaves = position + 1 >= number
            thresholds.append(sure - apart if leaves else refusals[(refusal + position) % len(refusals)](sure, apart))
    return torch.tensor(thresholds, dtype=torch.float32)
