"""Networks that may answer before their end: what such a network declares, so that it can be run and cut in stages.

    features_0 = (image,)
    logits_k, features_k = stage_k(features_k-1)          k = 1 .. K;  features_K = ()

A stage holds everything between two exits and the classifier of its own exit. What it hands on are the features that
later stages read and nothing else, so that stopping after any stage wastes nothing and going on recomputes nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from edgekit.errors import ModelSourceError

Features = tuple[Tensor, ...]


@runtime_checkable
class EarlyExitNetwork(Protocol):
    """A network that says where it can stop. Any model may: it needs this one method.

    ``exit_stages`` and not an attribute ``stages``, which many networks without exits have (ConvNeXt in timm).
    """

    def exit_stages(self) -> Sequence[nn.Module]:
        """Return the stages, first exit first; each maps a tuple of features to ``(logits, features)``.

        The first takes ``(image,)``, image ``(B, 3, R, R)``. Logits are ``(B, classes)``, the same classes at every exit.
        Features are tensors with the batch first. The last stage hands on ``()``.
        """
        ...


@runtime_checkable
class DecidingStage(Protocol):
    """A stage of a network that decides by something else than the logits of its exits, such as a gate that was trained for it."""

    def decided(self, features: Features) -> tuple[Tensor, Tensor, Features]:
        """Return logits, confidence ``(B,)`` float32, larger is surer, and the features for the next stage."""
        ...


@runtime_checkable
class DecidingNetwork(EarlyExitNetwork, Protocol):
    """A network that was written with thresholds of its own: it leaves where the confidence of a stage is at least that, both float32."""

    @property
    def own_thresholds(self) -> tuple[float, ...]:
        """One for every exit but the last."""
        ...

    @property
    def own_confidence(self) -> str | None:
        """What all confidences are, a name in :mod:`edgekit.ops.confidence`; ``None``: something else."""
        ...


class Exited(NamedTuple):
    """The answer of a network that stopped: ``logits`` ``(B, classes)`` and ``exit`` ``(B,)`` int64, 1 for the first exit."""

    logits: Tensor
    exit: Tensor


def stages_of(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return what a network declares, checked.

    :raises ModelSourceError: it declares no stages, or something that is no sequence of modules.
    """
    kind = type(network).__name__
    if not isinstance(network, EarlyExitNetwork):
        raise ModelSourceError(f"{kind} declares no exits", hint="give it a method exit_stages() that returns its stages, first exit first")
    stages = tuple(network.exit_stages())
    strange = next((stage for stage in stages if not isinstance(stage, nn.Module)), None)
    if not stages or strange is not None:
        what = "no stage at all" if strange is None else f"a {type(strange).__name__}"
        raise ModelSourceError(f"{kind}.exit_stages() does not return stages", what=what, hint="return one torch.nn.Module an exit")
    return stages


def answer_of(stage: nn.Module, features: Features, confidence: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Features]:
    """Run a stage and return logits, confidence and features; the confidence is the stage's own, or else that of its logits."""
    if isinstance(stage, DecidingStage):
        return stage.decided(features)
    logits, live = stage(features)
    return logits, confidence(logits), live


def all_logits(stages: Sequence[nn.Module], image: Tensor) -> tuple[Tensor, ...]:
    """Run every stage on ``(B, 3, R, R)`` and return the logits of all exits, first exit first, each ``(B, classes)``."""
    features: Features = (image,)
    found = []
    for stage in stages:
        logits, features = stage(features)
        found.append(logits)
    return tuple(found)
