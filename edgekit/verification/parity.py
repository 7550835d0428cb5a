"""How close an artifact's outputs are to the eager model's, and whether that is close enough."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs
import numpy as np
from attrs import field, frozen

from edgekit.interface import EXIT
from edgekit.verification.tolerances import Tolerance

Array = np.ndarray
Verdict = Literal["pass", "fail", "not_executed"]

_EQUAL_SQNR_DB = 200.0
"""Reported for outputs without any difference: JSON has no infinity, and float32 ends near 150 dB."""


@frozen(kw_only=True)
class OperatorParity:
    """The comparison of values inside an artifact with those of the program it was lowered from, on one sample.

    :param operators: operators that compute something; ``compared``: those whose value the program has, too.
    :param min_sqnr_db: the lowest over the compared values; ``worst`` tells where.
    :param first_divergence: the first operator out of tolerance, in the order of computation: name, module, source line.
    """

    operators: int
    compared: int
    min_sqnr_db: float | None
    limit_db: float
    worst: str | None
    first_divergence: str | None


@frozen(kw_only=True)
class Parity:
    """The comparison of one artifact with eager over all samples and outputs.

    :param against: what the artifact is compared with.
    :param selections: of a model that selects regions: the comparison of which, as :class:`edgekit.verification.selections.Selections` has it.
    :param regions: there, where the artifact can be looked into: those it takes, as :class:`edgekit.verification.regions.RegionParity` has it.
    :param early_exit: of a network with exits: where samples leave, as :class:`edgekit.verification.exits.ExitParity` has it.
    :param max_abs_error: largest absolute difference.
    :param max_rel_error: the same, relative to the largest absolute reference value of its output.
    :param sqnr_db: 10 log10(signal power / error power), the lowest over samples and outputs.
    :param top1_agreement: share of samples whose largest logit is the same class.
    :param ties: samples whose two best classes eager itself has closer together than the precision's numbers, counted as agreeing with either.
    :param worst_sample: the name of the sample with the lowest SQNR.
    :param sample_sqnr_db: of each sample the lowest over the outputs, to a hundredth, in the samples' order: what an error's histogram is made of.
    :param reason: why nothing was executed, or what is out of tolerance.
    :param numerics: where edgekit computes the artifact itself: the same comparison for each way of computing it.
    :param operators: there, too: operator by operator.
    :param methods: of an artifact with several methods: each of them, on what eager's method before it hands on; the rest is the worst of them.
    :param chained: there, too: each on what the artifact's own method before it gave.
    """

    verdict: Verdict
    executed_by: str | None
    selections: Mapping[str, Any] | None = None
    regions: Mapping[str, Any] | None = None
    early_exit: Mapping[str, Any] | None = None
    samples: int = 0
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    sqnr_db: float | None = None
    top1_agreement: float | None = None
    ties: int | None = None
    worst_sample: str | None = None
    sample_sqnr_db: tuple[float, ...] = ()
    tolerance: Tolerance | None = None
    reason: str | None = field(default=None)
    against: str = "eager"
    numerics: Mapping[str, "Parity"] = field(factory=dict)
    operators: OperatorParity | None = None
    methods: Mapping[str, "Parity"] = field(factory=dict)
    chained: Mapping[str, "Parity"] = field(factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        inner = {key: {name: parity.to_json() for name, parity in getattr(self, key).items()} for key in ("numerics", "methods", "chained")}
        for row in inner["numerics"].values():
            del row["numerics"], row["operators"], row["methods"], row["chained"]
        return attrs.asdict(self) | {"tolerance": {} if self.tolerance is None else self.tolerance.to_json(), **inner}


def parity_from_json(row: Mapping[str, Any]) -> Parity:
    """Read back what :meth:`Parity.to_json` gave."""
    inner = {key: {name: parity_from_json(value) for name, value in row.get(key, {}).items()} for key in ("numerics", "methods", "chained")}
    tolerance, operators = row["tolerance"], row.get("operators")
    read = {
        "tolerance": Tolerance(**tolerance) if tolerance else None,
        "operators": OperatorParity(**operators) if operators else None,
        "sample_sqnr_db": tuple(row["sample_sqnr_db"]),
    }
    return Parity(**{**row, **read, **inner})


def compare(
    reference: Mapping[str, Sequence[Array]], actual: Mapping[str, Sequence[Array]], names: Sequence[str], tolerance: Tolerance, executed_by: str
) -> Parity:
    """Compare outputs by name; each entry holds one array per sample, the first axis being the batch of one.

    The exit that is taken has to be the same: there is no nearly right one.

    :param reference: eager outputs; its first output is taken as the logits for top-1.
    :param names: one name per sample.
    """
    if missing := reference.keys() - actual.keys():
        return Parity(verdict="fail", executed_by=executed_by, tolerance=tolerance, reason=f"outputs are missing: {', '.join(sorted(missing))}")
    worst_abs, worst_rel, worst_sqnr, worst_sample = 0.0, 0.0, _EQUAL_SQNR_DB, names[0]
    by_sample = [_EQUAL_SQNR_DB] * len(names)
    for output, expected in reference.items():
        for number, (name, want, got) in enumerate(zip(names, expected, actual[output], strict=True)):
            if got.shape != want.shape:
                reason = f"output {output} has shape {got.shape}, eager gives {want.shape}"
                return Parity(verdict="fail", executed_by=executed_by, tolerance=tolerance, reason=reason)
            if not (np.isfinite(want).all() and np.isfinite(got).all()):
                reason = f"output {output} is not finite on sample {name}" + ("" if np.isfinite(want).all() else ", of the eager model neither")
                return Parity(verdict="fail", executed_by=executed_by, samples=len(names), tolerance=tolerance, worst_sample=name, reason=reason)
            if output == EXIT and not np.array_equal(want, got):
                reason = f"sample {name} leaves at exit {got.tolist()}, eager at {want.tolist()}"
                return Parity(verdict="fail", executed_by=executed_by, samples=len(names), tolerance=tolerance, worst_sample=name, reason=reason)
            absolute = float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max(initial=0.0))
            scale = float(np.abs(want.astype(np.float64)).max(initial=0.0)) or 1.0
            sqnr = sqnr_db(want, got)
            worst_abs, worst_rel = max(worst_abs, absolute), max(worst_rel, absolute / scale)
            by_sample[number] = min(by_sample[number], sqnr)
            if sqnr < worst_sqnr:
                worst_sqnr, worst_sample = sqnr, name
    logits = next(iter(reference))
    agreement = _top1_agreement(reference[logits], actual[logits], tolerance.tie)
    measured = Parity(
        verdict="pass",
        executed_by=executed_by,
        samples=len(names),
        max_abs_error=worst_abs,
        max_rel_error=worst_rel,
        sqnr_db=worst_sqnr,
        top1_agreement=agreement,
        ties=_ties(reference[logits], tolerance.tie),
        worst_sample=worst_sample,
        sample_sqnr_db=tuple(round(value, 2) for value in by_sample),
        tolerance=tolerance,
    )
    reasons = tolerance.exceeded_by(max_abs_error=worst_abs, max_rel_error=worst_rel, sqnr_db=worst_sqnr, top1_agreement=agreement)
    return attrs.evolve(measured, verdict="fail", reason="; ".join(reasons)) if reasons else measured


def combine(methods: Mapping[str, Parity], chained: Mapping[str, Parity]) -> Parity:
    """Return the worst of several methods' comparisons, by themselves and in a row."""
    rows = dict(methods) | {f"{name}, in a row": parity for name, parity in chained.items()}
    order = {"fail": 0, "not_executed": 1, "pass": 2}
    first = min(rows.values(), key=lambda row: order[row.verdict])
    reasons = [f"{name}: {row.reason}" for name, row in rows.items() if row.verdict == first.verdict and row.reason]
    measured = [row for row in rows.values() if row.sqnr_db is not None]
    worst = min(measured, key=lambda row: row.sqnr_db or 0.0, default=None)
    names = {key for row in methods.values() for key in row.numerics}
    return Parity(
        verdict=first.verdict,
        executed_by=first.executed_by,
        samples=first.samples,
        max_abs_error=_extreme(max, measured, "max_abs_error"),
        max_rel_error=_extreme(max, measured, "max_rel_error"),
        sqnr_db=_extreme(min, measured, "sqnr_db"),
        top1_agreement=_extreme(min, measured, "top1_agreement"),
        ties=_extreme(max, measured, "ties"),
        worst_sample=None if worst is None else worst.worst_sample,
        sample_sqnr_db=_worst_of_each([row.sample_sqnr_db for row in measured]),
        tolerance=first.tolerance,
        reason="; ".join(reasons[:3]) or None,
        numerics={key: combine({name: row.numerics[key] for name, row in methods.items() if key in row.numerics}, {}) for key in sorted(names)},
        operators=_all_operators([row.operators for row in methods.values() if row.operators is not None]),
        methods=methods,
        chained=chained,
    )


def _extreme(choose: Callable[..., Any], rows: Sequence[Parity], name: str) -> Any:
    values = [value for row in rows if (value := getattr(row, name)) is not None]
    return choose(values) if values else None


def _worst_of_each(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the lowest of each sample; nothing where the rows are not over the same samples."""
    return tuple(map(min, zip(*rows, strict=True))) if len({len(row) for row in rows}) == 1 else ()


def _all_operators(rows: Sequence[OperatorParity]) -> OperatorParity | None:
    if not rows:
        return None
    worst = min(rows, key=lambda row: math.inf if row.min_sqnr_db is None else row.min_sqnr_db)
    return attrs.evolve(
        worst,
        operators=sum(row.operators for row in rows),
        compared=sum(row.compared for row in rows),
        first_divergence=next((row.first_divergence for row in rows if row.first_divergence), None),
    )


def sqnr_db(reference: Array, actual: Array) -> float:
    """Return the signal to quantization noise ratio in dB; 200 when there is no difference."""
    want = reference.astype(np.float64)
    noise = float(np.square(actual.astype(np.float64) - want).sum())
    signal = float(np.square(want).sum())
    if noise == 0:
        return _EQUAL_SQNR_DB
    if signal == 0:
        return -_EQUAL_SQNR_DB
    return float(min(_EQUAL_SQNR_DB, 10 * np.log10(signal / noise)))


def _top1_agreement(reference: Sequence[Array], actual: Sequence[Array], tie: float) -> float:
    """Share of samples whose largest logit is the same class, or one that ties with it in the reference.

    An output that is not ``(batch, classes)`` has no class axis: it agrees, and its error alone decides.
    """
    same = [want.ndim != 2 or same_winner(want, got, tie) for want, got in zip(reference, actual, strict=True)]
    return sum(same) / len(same)


def same_winner(want: Array, got: Array, tie: float) -> bool:
    """Whether the largest logit is the same class, or one that ties with it in the reference; logits are ``(batch, classes)``."""
    if want.size == 0:
        return True
    chosen = np.take_along_axis(want, got.argmax(-1, keepdims=True), axis=-1)
    return bool((chosen >= want.max(-1, keepdims=True) - tie * np.abs(want).max(-1, keepdims=True)).all())


def _ties(reference: Sequence[Array], tie: float) -> int:
    """Count the samples whose two best classes tie."""
    best = [np.sort(want, axis=-1)[..., -2:] for want in reference if want.ndim == 2 and want.shape[-1] > 1]
    largest = [np.abs(want).max() for want in reference if want.ndim == 2 and want.shape[-1] > 1]
    return sum(bool((pair[..., 1] - pair[..., 0] <= tie * scale).any()) for pair, scale in zip(best, largest, strict=True))
