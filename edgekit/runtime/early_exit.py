"""Runs an artifact of a network with exits until a policy lets the picture go.

methods   exit_1(image) -> logits, confidence, features -> exit_2(features) -> ...     what is behind the exit is not called
select    forward(image, thresholds) -> logits, confidence, exit                       all of it is computed, and the graph chooses
all       forward(image) -> logits_1, confidence_1, ..., logits_K, confidence_K        all of it is computed, the same answer is taken
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edgekit.errors import BadInputError, PolicyError
from edgekit.interface import CONFIDENCE, EXIT, LOGITS, THRESHOLDS, MethodSpec
from edgekit.methods import handed_on
from edgekit.policy.decide import decide, decide_by_confidence
from edgekit.policy.graph_thresholds import graph_thresholds
from edgekit.policy.own_thresholds import OwnThresholds
from edgekit.policy.policy import Policy
from edgekit.policy.section import reads

Array = np.ndarray
Run = Callable[[str, Mapping[str, Array]], dict[str, Array]]


class EarlyExit(NamedTuple):
    """``logits`` ``(B, classes)`` float32 and ``exit`` ``(B,)`` int64, from 1, at which each picture left."""

    logits: Array
    exit: Array


def run_early_exit(
    run: Run, methods: tuple[MethodSpec, ...], images: Array, rule: Policy | OwnThresholds, *, model: str | None, confidence: str | None
) -> EarlyExit:
    """Run pictures one by one, as artifacts take them; what is behind a picture's exit is not called for it.

    :param run: calls a method of the artifact on arrays by name.
    :param images: ``(B, ...)``, each as the first method takes it. :param rule: a policy, or the network's own thresholds.
    :param model: the artifact's, where known.
    :param confidence: the kind that the graph computes; ``None``: not known, so everything is decided from the logits.
    :raises PolicyError: the policy is for another model, another number of exits or classes.
    :raises BadInputError: the artifact has no exits, or the pictures are not of the shape it takes.
    """
    check_rule(rule, methods, model)
    (taken,) = (tensor for tensor in methods[0].inputs if tensor.name != THRESHOLDS)
    if not isinstance(images, np.ndarray) or images.ndim != len(taken.shape):
        what = f"images of shape {images.shape}" if isinstance(images, np.ndarray) else f"images are a {type(images).__name__}"
        raise BadInputError(what, what=f"expected an array (B, {', '.join(map(str, taken.shape[1:]))})")
    if not len(images):
        raise BadInputError("no images")
    given = ({taken.name: images[index : index + 1]} for index in range(len(images)))
    if _chooses(methods):
        thresholds = np.array(rule.values, np.float32) if isinstance(rule, OwnThresholds) else graph_thresholds(rule, confidence)
        chosen = [run(methods[0].name, {**image, THRESHOLDS: thresholds}) for image in given]
        return EarlyExit(np.concatenate([row[LOGITS] for row in chosen]), np.concatenate([row[EXIT] for row in chosen]).astype(np.int64))
    leaves = _by_thresholds(rule) if isinstance(rule, OwnThresholds) else _by_policy(rule, confidence)
    answers = [_leave(_answers(run, methods, image), leaves) for image in given]
    return EarlyExit(np.concatenate([logits for logits, _ in answers]), np.array([exit_number for _, exit_number in answers], dtype=np.int64))


def check_exits(methods: Sequence[MethodSpec]) -> tuple[int, tuple[int, ...]]:
    """Return how many exits an artifact has, and the widths of their logits, each once.

    :raises BadInputError: it has none, or none to choose from.
    """
    if _chooses(methods):
        (count,) = next(tensor.shape for tensor in methods[0].inputs if tensor.name == THRESHOLDS)
        return count + 1, tuple({tensor.shape[-1] for tensor in methods[0].outputs if tensor.name == LOGITS})
    stages = _stages(methods)
    name = LOGITS if stages else f"{LOGITS}_"
    found = [output for method in stages or methods for output in method.outputs if output.name.startswith(name)]
    if len(found) < 2 or (stages and len(found) != len(stages)):
        raise BadInputError(
            "the artifact has no exits to choose from",
            what=f"methods: {', '.join(method.name for method in methods)}",
            hint="export a network with exits, with --early-exit methods, select or all",
        )
    return len(found), tuple(sorted({output.shape[-1] for output in found}))


def check_rule(rule: Policy | OwnThresholds, methods: Sequence[MethodSpec], model: str | None) -> None:
    """Refuse what was made for something else than an artifact's exits.

    :raises PolicyError: it was. :raises BadInputError: the artifact has no exits.
    """
    if isinstance(rule, Policy):
        check_policy(rule, methods, model)
        return
    exits, _ = check_exits(methods)
    if rule.exits != exits:
        raise PolicyError("the thresholds are for another network", what=f"{rule.exits} exits", why=f"the artifact has {exits} exits")


def check_policy(policy: Policy, methods: Sequence[MethodSpec], model: str | None) -> None:
    """Refuse a policy that was made for something else than an artifact's exits.

    :raises PolicyError: it was. :raises BadInputError: the artifact has no exits.
    """
    exits, classes = check_exits(methods)
    if policy.exits != exits or classes != (policy.classes,):
        raise PolicyError(
            "the policy is for another network",
            what=f"{policy.exits} exits, {policy.classes} classes",
            why=f"the artifact has {exits} exits and {', '.join(map(str, classes))} classes",
        )
    if policy.model is not None and model is not None and policy.model != model:
        raise PolicyError("the policy is for another network", what=policy.model, why=f"the artifact is of {model}")


def check_carried_out(policy: Policy, methods: Sequence[MethodSpec], confidence: str | None) -> None:
    """Refuse a policy that a graph which chooses itself does not follow; all other artifacts leave the choice to the runtime.

    :param confidence: the kind that the graph computes.
    :raises PolicyError: it decides by something else.
    """
    if _chooses(methods):
        graph_thresholds(policy, confidence)


def _chooses(methods: Sequence[MethodSpec]) -> bool:
    """Whether the only way to an answer is a graph that chooses an exit itself; where the exits are methods, too, they are taken."""
    return not _stages(methods) and bool(methods) and any(tensor.name == THRESHOLDS for tensor in methods[0].inputs)


def _stages(methods: Sequence[MethodSpec]) -> list[MethodSpec]:
    """Return the methods that are exits, first exit first."""
    return [method for method in methods if method.name.startswith("exit_")]


def _answers(run: Run, methods: Sequence[MethodSpec], given: Mapping[str, Array]) -> Iterator[tuple[Array, Array]]:
    """Give each exit's logits ``(1, classes)`` and confidence ``(1,)``, computed when it is asked for."""
    stages = _stages(methods)
    for method in stages:
        outputs = run(method.name, given)
        yield outputs[LOGITS], outputs[CONFIDENCE]
        given = handed_on(outputs)
    if not stages:
        outputs = run(methods[0].name, given)
        for number in range(1, check_exits(methods)[0] + 1):
            yield outputs[f"{LOGITS}_{number}"], outputs[f"{CONFIDENCE}_{number}"]


_Leaves = Callable[[list[Array], Array], bool]
"""Takes the logits ``(1, classes)`` of the exits so far and the last one's confidence ``(1,)``."""


def _by_policy(policy: Policy, confidence: str | None) -> _Leaves:
    if reads(policy, confidence) == CONFIDENCE:
        return lambda history, sure: bool(decide_by_confidence(policy, len(history), sure.astype(np.float32)).all())
    return lambda history, _: bool(decide(policy, history).all())


def _by_thresholds(own: OwnThresholds) -> _Leaves:
    thresholds = np.array([*own.values, -np.inf], np.float32)
    return lambda history, sure: len(history) == own.exits or bool((sure.astype(np.float32) >= thresholds[len(history) - 1]).all())


def _leave(answers: Iterator[tuple[Array, Array]], leaves: _Leaves) -> tuple[Array, int]:
    """Return the logits and the exit that is taken; no answer behind it is asked for."""
    history: list[Array] = []
    for logits, confidence in answers:
        history.append(logits)
        if leaves(history, confidence):
            break
    return history[-1], len(history)
