"""How a quantized artifact answers, beside eager, on pictures that it was not calibrated on.

Rounded to 8 bits and less, an artifact is never as close to eager as a comparison of values asks; what counts is whether it answers alike. So
it is run as an app runs it, each exit on what the artifact's own method before it gave, and judged by

    agreement      share of pictures with the same class          chance is 1 / classes: a graph that is broken does not pass
    SQNR           of the logits of all pictures together, dB
    wins, losses   with labels: pictures that only the artifact, or only eager, has right
    drop           (losses - wins) / pictures, in points

A budget of points is exceeded where even the lower end of the drop's interval is above it: a few hundred pictures resolve a point or two.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from edgekit.interface import CONFIDENCE, EXIT, LOGITS, MethodSpec
from edgekit.manifest import native_method
from edgekit.methods import handed_on
from edgekit.policy.confidences import to_micro
from edgekit.policy.replay import leave_by_thresholds
from edgekit.targets.base import Executable
from edgekit.verification.cases import Case
from edgekit.verification.exits import answers_of, compare_exits
from edgekit.verification.feeding import run_method
from edgekit.verification.parity import sqnr_db
from edgekit.verification.samples import Sample
from edgekit.verification.tolerances import Tolerance

Array = np.ndarray
Outputs = Mapping[str, Sequence[Array]]
"""By name, one array a sample."""

_ONE_SIDED = 1.645
"""Standard errors below the measured drop that the lower end of its interval lies: 95% on one side."""

_BEYOND = float(np.finfo(np.float32).max)
"""Stands for an error that is no number: JSON has none for it."""


@frozen(kw_only=True)
class Answer:
    """One output that answers, of the artifact and of eager, over all pictures.

    :param agreement: ``None`` for an output that names no class. :param sqnr_db: over all pictures; ``worst_sample`` has the lowest of its own.
    :param wins: with labels, as ``losses`` and the two accuracies, 0 to 1.
    """

    name: str
    agreement: float | None
    sqnr_db: float
    worst_sample: str
    worst_sqnr_db: float
    max_abs_error: float
    wins: int | None = None
    losses: int | None = None
    accuracy: float | None = None
    eager_accuracy: float | None = None


@frozen(kw_only=True)
class Judgement:
    """One artifact on all pictures.

    :param exits: of a network with exits: how many pictures leave at another one under one policy, and how many stay.
    :param reasons: why it does not pass; empty: it does.
    """

    samples: int
    answers: tuple[Answer, ...]
    exits: Mapping[str, Any] | None = None
    reasons: tuple[str, ...] = ()

    @property
    def agreement(self) -> float | None:
        """The lowest of all answers."""
        return min((row.agreement for row in self.answers if row.agreement is not None), default=None)

    @property
    def worst(self) -> Answer:
        """The answer with the lowest SQNR."""
        return min(self.answers, key=lambda row: row.sqnr_db)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return attrs.asdict(self)


def run_as_apps_do(executable: Executable, methods: Sequence[MethodSpec], cases: Mapping[str, Case], samples: Sequence[Sample]) -> dict[str, Outputs]:
    """Run all methods on every sample, each on what the artifact's own method before it gave, where it has that method."""
    own = {method.name: native_method(executable.methods, method) for method in methods}
    collected: dict[str, list[dict[str, Array]]] = {method.name: [] for method in methods}
    for index, sample in enumerate(samples):
        for method in methods:
            before = cases[method.name].after
            given = handed_on(collected[before][index]) if before in collected else cases[method.name].inputs[index]
            collected[method.name].append(run_method(executable, method, own[method.name], given, sample))
    return {name: {output: [row[output] for row in rows] for output in rows[0]} for name, rows in collected.items()}


def judge(
    actual: Mapping[str, Outputs], cases: Mapping[str, Case], samples: Sequence[Sample], labels: Array | None, tolerance: Tolerance
) -> Judgement:
    """Compare what :func:`run_as_apps_do` gave with eager's outputs.

    :param labels: int64 ``(N,)``.
    """
    names = [sample.name for sample in samples]
    answers = []
    for method, case in cases.items():
        for output in answering(case.outputs):
            name = method if len(answering(case.outputs)) == 1 else f"{method} {output}"
            answers.append(_answer(name, case.outputs[output], actual[method][output], names, labels))
    exits = _exits(actual, cases, names, tolerance)
    return Judgement(samples=len(samples), answers=tuple(answers), exits=exits, reasons=_reasons(answers, len(samples), tolerance))


def answering(outputs: Mapping[str, Any]) -> list[str]:
    """Return the names of the outputs that answer: the logits, or where nothing is called so the first output."""
    found = [name for name in outputs if name == LOGITS or name.startswith(f"{LOGITS}_")]
    return found or [next(name for name in outputs if name not in (CONFIDENCE, EXIT))]


def _answer(name: str, want: Sequence[Array], got: Sequence[Array], names: Sequence[str], labels: Array | None) -> Answer:
    expected, actual = np.concatenate(want).astype(np.float64), np.concatenate(got).astype(np.float64)
    single = [sqnr_db(*pair) if np.isfinite(pair[1]).all() else -np.inf for pair in zip(want, got, strict=True)]
    worst = int(np.argmin(single))
    broken = not np.isfinite(actual).all()
    row = Answer(
        name=name,
        agreement=None,
        sqnr_db=-200.0 if broken else sqnr_db(expected, actual),
        worst_sample=names[worst],
        worst_sqnr_db=max(-200.0, float(single[worst])),
        max_abs_error=float(np.nan_to_num(np.abs(actual - expected), nan=_BEYOND, posinf=_BEYOND).max(initial=0.0)),
    )
    if expected.ndim != 2 or len(expected) != len(want) or expected.shape[1] < 2:
        return row
    ours, theirs = expected.argmax(-1), actual.argmax(-1)
    row = attrs.evolve(row, agreement=float((ours == theirs).mean()))
    if labels is None:
        return row
    right, was_right = theirs == labels, ours == labels
    return attrs.evolve(
        row,
        wins=int((right & ~was_right).sum()),
        losses=int((was_right & ~right).sum()),
        accuracy=float(right.mean()),
        eager_accuracy=float(was_right.mean()),
    )


def _reasons(answers: Sequence[Answer], samples: int, tolerance: Tolerance) -> tuple[str, ...]:
    reasons = []
    for row in answers:
        place = "" if len(answers) == 1 else f"{row.name}: "
        if tolerance.min_sqnr_db is not None and not row.sqnr_db >= tolerance.min_sqnr_db:
            reasons.append(f"{place}SQNR {row.sqnr_db:.1f} dB is under {tolerance.min_sqnr_db:g} dB")
        least = tolerance.min_top1_agreement
        if least is not None and row.agreement is not None and row.agreement < least:
            reasons.append(f"{place}top-1 agrees with eager on {row.agreement:.1%} of {samples} pictures, less than {least:.1%}")
        drop = least_drop(row, samples)
        if tolerance.max_drop_points is not None and drop is not None and drop > tolerance.max_drop_points:
            reasons.append(f"{place}{row.losses} of {samples} pictures lost and {row.wins} won: over {tolerance.max_drop_points:g} points")
    return tuple(reasons)


def least_drop(row: Answer, samples: int) -> float | None:
    """Return the lower end of the interval of the drop, in points; ``None`` without labels."""
    if row.wins is None or row.losses is None:
        return None
    return 100 * (row.losses - row.wins - _ONE_SIDED * float(np.sqrt(row.losses + row.wins))) / samples


def _exits(actual: Mapping[str, Outputs], cases: Mapping[str, Case], names: Sequence[str], tolerance: Tolerance) -> dict[str, Any] | None:
    """Let every picture leave both under one policy, and count those that leave at the same exit.

    Under eager's thresholds, and under thresholds that are fitted again: of the artifact's own confidences, so that as many pictures leave at each
    exit as leave eager's.
    """
    eager, ours = answers_of({name: case.outputs for name, case in cases.items()}), answers_of(actual)
    if eager is None or ours is None or len(eager.logits) != len(ours.logits):
        return None
    found = compare_exits(eager, ours, names, attrs.evolve(tolerance, exit_tie=None))
    again = _refitted(ours.confidence, found.counts)
    expected = leave_by_thresholds(to_micro(eager.confidence), found.thresholds_micro)
    return {
        "thresholds_micro": list(found.thresholds_micro),
        "eager_counts": list(found.counts),
        "same_exit": len(names) - len(found.differing),
        "other_class_at_same_exit": len(found.other_class),
        "refitted_thresholds_micro": list(again),
        "same_exit_refitted": int((leave_by_thresholds(to_micro(ours.confidence), again) == expected).sum()),
    }


def _refitted(confidence: Array, counts: Sequence[int]) -> tuple[int | None, ...]:
    """Return micro-units for every exit but the last, with which so many leave; ``None``: nobody does.

    :param confidence: ``(K, N)`` float32. :param counts: by exit.
    """
    inside = np.arange(confidence.shape[1])
    found: list[int | None] = []
    for values, count in zip(confidence[:-1], counts, strict=False):
        micro = to_micro(values[inside])
        order = np.argsort(-micro, kind="stable")
        found.append(int(micro[order[count - 1]]) if 0 < count <= len(order) else None)
        if found[-1] is not None:
            inside = inside[micro < found[-1]]
    return tuple(found)
