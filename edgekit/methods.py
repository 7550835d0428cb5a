"""Which methods an artifact of a model gets, each as an eager module: one for most models, one an exit for early-exit networks.

    form        methods           what each computes
    (none)      forward           the model
    methods     exit_1 .. exit_K  from the live features left by the one before: logits, confidence, the next features
                forward           where a file holds one graph: that graph, which stops by itself; the exits can be cut out of it
    method=K    exit_K            one of them, in a file of its own
    select      forward           every exit; from an image and thresholds the logits, confidence and number of the exit that is taken
    all         forward           every exit's logits and confidence
    last        forward           the last exit's logits; the earlier classifiers are gone
    exit=K      forward           the same for a network cut at exit K

In ``methods`` nothing is computed twice and every weight belongs to one method. Confidence is part of the graph, in
float32, so that every platform decides alike.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from attrs import evolve, frozen
from torch import Tensor, nn

from edgekit.errors import UsageError
from edgekit.interface import CONFIDENCE, FORWARD, LOGITS
from edgekit.ops.confidence import Confidence, ConfidenceName
from edgekit.ops.early_exit import EarlyExitNetwork, Features, answer_of, stages_of
from edgekit.ops.exit_selection import SelectedExit
from edgekit.recipe import EARLY_EXIT_FORMS, check_early_exit

_FEATURE = "features_"
T = TypeVar("T")


@frozen(kw_only=True)
class MethodSource:
    """One method, eager: ``module`` takes the image, or what the method ``after`` hands on, and returns a tensor or named tensors.

    ``joins``: it is put together from all the others, and not lowered by itself. ``in_file``: otherwise it only tells what another
    method is given.
    """

    name: str
    module: nn.Module
    after: str | None = None
    joins: bool = False
    in_file: bool = True


def has_exits(model: nn.Module) -> bool:
    """Whether a model can stop early, so that its form is a choice."""
    return isinstance(model, EarlyExitNetwork)


def method_sources(
    model: nn.Module, form: str | None, confidence: ConfidenceName = "max_softmax", *, one_graph: bool = False
) -> tuple[MethodSource, ...]:
    """Return the methods of a model.

    :param form: of a network with exits; ``None``: ``methods``.
    :param confidence: what the graph computes beside the logits, where a stage does not decide by something else.
    :param one_graph: the file cannot hold several methods; ``methods`` are joined.
    :raises UsageError: a form for a model that declares no exits, or an exit it does not have.
    :raises ModelSourceError: it declares something that is no stages.
    """
    if not has_exits(model):
        if form is not None:
            raise UsageError(
                "the model declares no exits",
                what=f"--early-exit {form}",
                hint="leave it out; or write exits as torch.cond, or give the model exit_stages()",
            )
        return (MethodSource(name=FORWARD, module=model),)
    stages = stages_of(model)
    form = form or EARLY_EXIT_FORMS[0]
    check_early_exit(form)
    if form == "all":
        return (MethodSource(name=FORWARD, module=AllExits(stages, confidence)),)
    if form == "select":
        return (MethodSource(name=FORWARD, module=SelectedExit(stages, confidence)),)
    if form == "methods":
        joined = MethodSource(name=FORWARD, module=SelectedExit(stages, confidence), joins=True) if one_graph and len(stages) > 1 else None
        return (*_exit_methods(stages, confidence), *([] if joined is None else [joined]))
    number = _exit_of(form, len(stages))
    if form.startswith("method="):
        before_and_it = _exit_methods(stages[:number], confidence)
        return (*(evolve(method, in_file=False) for method in before_and_it[:-1]), before_and_it[-1])
    return (MethodSource(name=FORWARD, module=OneExit(stages[:number])),)


def _exit_methods(stages: Sequence[nn.Module], confidence: ConfidenceName) -> tuple[MethodSource, ...]:
    names = [f"exit_{number}" for number in range(1, len(stages) + 1)]
    return tuple(
        MethodSource(name=name, module=ExitMethod(stage, number, confidence), after=before)
        for number, (name, before, stage) in enumerate(zip(names, [None, *names], stages, strict=False), start=1)
    )


def _exit_of(form: str, exits: int) -> int:
    number = exits if form == "last" else int(form.partition("=")[2])
    if number > exits:
        raise UsageError(f"there is no exit {number}", what=f"the network has {exits}")
    return number


def handed_on(outputs: Mapping[str, T]) -> dict[str, T]:
    """Return those of a method's named outputs that the next method takes, in order; no method has a name on both sides."""
    return {name: value for name, value in outputs.items() if name.startswith(_FEATURE)}


class ExitMethod(nn.Module):
    """A stage as a method: features one by one in, named tensors out."""

    def __init__(self, stage: nn.Module, number: int, confidence: ConfidenceName) -> None:
        super().__init__()
        self.stage = stage
        self.number = number
        self.confidence = Confidence(confidence)

    def forward(self, *features: Tensor) -> dict[str, Tensor]:
        """Return ``logits`` ``(B, classes)``, ``confidence`` ``(B,)`` float32 and the features for the next method."""
        logits, confidence, live = answer_of(self.stage, features, self.confidence)
        named = {f"{_FEATURE}{self.number}_{position}": feature for position, feature in enumerate(live)}
        return {LOGITS: logits, CONFIDENCE: confidence, **named}


class AllExits(nn.Module):
    """Every stage in one graph."""

    def __init__(self, stages: Sequence[nn.Module], confidence: ConfidenceName) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.confidence = Confidence(confidence)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return ``logits_k`` ``(B, classes)`` and ``confidence_k`` ``(B,)`` of every exit; the last exit's first."""
        features: Features = (image,)
        found: dict[str, Tensor] = {}
        for number, stage in enumerate(self.stages, start=1):
            logits, confidence, features = answer_of(stage, features, self.confidence)
            found = {f"logits_{number}": logits, **found, f"confidence_{number}": confidence}
        return found


class OneExit(nn.Module):
    """A network cut at one exit: static, without the classifiers before it."""

    def __init__(self, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> Tensor:
        """Return the last stage's logits, ``(B, classes)``."""
        features: Features = (image,)
        for stage in self.stages:
            logits, features = stage(features)
        return logits
