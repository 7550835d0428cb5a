"""Runs an artifact whose methods are exits, one after the other, until a policy lets the picture go."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from edgekit.errors import BadInputError, PolicyError
from edgekit.interface import CONFIDENCE, LOGITS, MethodSpec
from edgekit.methods import handed_on
from edgekit.policy.decide import decide, decide_by_confidence
from edgekit.policy.policy import Policy

Array = np.ndarray
Run = Callable[[str, Mapping[str, Array]], dict[str, Array]]

GRAPH_CONFIDENCE = "max_softmax"
"""What the methods compute beside the logits."""


class EarlyExit(NamedTuple):
    """``logits`` ``(B, classes)`` float32 and ``exit`` ``(B,)`` int64, from 1, at which each picture left."""

    logits: Array
    exit: Array


def run_early_exit(run: Run, methods: tuple[MethodSpec, ...], images: Array, policy: Policy, *, model: str | None) -> EarlyExit:
    """Run pictures one by one; the methods behind a picture's exit are not called for it.

    :param run: calls a method of the artifact on arrays by name.
    :param images: ``(B, ...)``, each as the first method takes it.
    :param model: the artifact's, where known.
    :raises PolicyError: the policy is for another model, another number of exits or classes.
    :raises BadInputError: the artifact's methods are no exits, or the pictures are not of the first one's shape.
    """
    check_policy(policy, methods, model)
    (taken,) = methods[0].inputs
    if images.ndim != len(taken.shape):
        raise BadInputError(f"images of shape {images.shape}", what=f"expected (B, {', '.join(map(str, taken.shape[1:]))})")
    answers = [_run_one(run, methods, {taken.name: images[index : index + 1]}, policy) for index in range(len(images))]
    if not answers:
        raise BadInputError("no images")
    return EarlyExit(np.concatenate([logits for logits, _ in answers]), np.array([exit_number for _, exit_number in answers], dtype=np.int64))


def check_policy(policy: Policy, methods: tuple[MethodSpec, ...], model: str | None) -> None:
    """Refuse a policy that was made for something else than an artifact's exits.

    :raises PolicyError: it was. :raises BadInputError: the artifact has no exits.
    """
    logits = [next((tensor for tensor in method.outputs if tensor.name == LOGITS), None) for method in methods]
    if not methods or not methods[0].name.startswith("exit_") or None in logits:
        raise BadInputError(
            "the artifact's methods are no exits", what=", ".join(method.name for method in methods), hint="export it with --early-exit"
        )
    classes = {tensor.shape[-1] for tensor in logits if tensor is not None}
    if policy.exits != len(methods) or classes != {policy.classes}:
        raise PolicyError(
            "the policy is for another network",
            what=f"{policy.exits} exits, {policy.classes} classes",
            why=f"the artifact has {len(methods)} exits and {', '.join(map(str, sorted(classes)))} classes",
        )
    if policy.model is not None and model is not None and policy.model != model:
        raise PolicyError("the policy is for another network", what=policy.model, why=f"the artifact is of {model}")


def _run_one(run: Run, methods: tuple[MethodSpec, ...], given: Mapping[str, Array], policy: Policy) -> tuple[Array, int]:
    history: list[Array] = []
    for number, method in enumerate(methods, start=1):
        outputs = run(method.name, given)
        history.append(outputs[LOGITS])
        if number == len(methods) or _leaves(policy, number, history, outputs):
            break
        given = handed_on(outputs)
    return history[-1], len(history)


def _leaves(policy: Policy, number: int, history: list[Array], outputs: Mapping[str, Array]) -> bool:
    """Decide by the graph's own confidence where the policy asks for that: a phone does the same."""
    if policy.kind == GRAPH_CONFIDENCE and policy.temperatures is None and CONFIDENCE in outputs:
        return bool(decide_by_confidence(policy, number, outputs[CONFIDENCE].astype(np.float32))[0])
    return bool(decide(policy, history)[0])
