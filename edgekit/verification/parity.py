"""How close an artifact's outputs are to the eager model's, and whether that is close enough."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
import numpy as np
from attrs import field, frozen

from edgekit.verification.tolerances import Tolerance

Array = np.ndarray
Verdict = Literal["pass", "fail", "not_executed"]

_EQUAL_SQNR_DB = 200.0
"""Reported for outputs without any difference: JSON has no infinity, and float32 ends near 150 dB."""


@frozen(kw_only=True)
class Parity:
    """The comparison of one artifact with eager over all samples and outputs.

    :param max_abs_error: largest absolute difference.
    :param max_rel_error: the same, relative to the largest absolute reference value of its output.
    :param sqnr_db: 10 log10(signal power / error power), the lowest over samples and outputs.
    :param top1_agreement: share of samples whose largest logit is the same class.
    :param worst_sample: the name of the sample with the lowest SQNR.
    :param reason: why nothing was executed, or what is out of tolerance.
    """

    verdict: Verdict
    executed_by: str | None
    samples: int = 0
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    sqnr_db: float | None = None
    top1_agreement: float | None = None
    worst_sample: str | None = None
    tolerance: Tolerance | None = None
    reason: str | None = field(default=None)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return attrs.asdict(self) | {"tolerance": {} if self.tolerance is None else self.tolerance.to_json()}


def compare(
    reference: Mapping[str, Sequence[Array]], actual: Mapping[str, Sequence[Array]], names: Sequence[str], tolerance: Tolerance, executed_by: str
) -> Parity:
    """Compare outputs by name; each entry holds one array per sample, the first axis being the batch of one.

    :param reference: eager outputs; its first output is taken as the logits for top-1.
    :param names: one name per sample.
    """
    if missing := reference.keys() - actual.keys():
        return Parity(verdict="fail", executed_by=executed_by, tolerance=tolerance, reason=f"outputs are missing: {', '.join(sorted(missing))}")
    worst_abs, worst_rel, worst_sqnr, worst_sample = 0.0, 0.0, _EQUAL_SQNR_DB, names[0]
    for output, expected in reference.items():
        for name, want, got in zip(names, expected, actual[output], strict=True):
            if got.shape != want.shape:
                reason = f"output {output} has shape {got.shape}, eager gives {want.shape}"
                return Parity(verdict="fail", executed_by=executed_by, tolerance=tolerance, reason=reason)
            if not (np.isfinite(want).all() and np.isfinite(got).all()):
                reason = f"output {output} is not finite on sample {name}" + ("" if np.isfinite(want).all() else ", of the eager model neither")
                return Parity(verdict="fail", executed_by=executed_by, samples=len(names), tolerance=tolerance, worst_sample=name, reason=reason)
            absolute = float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max(initial=0.0))
            scale = float(np.abs(want.astype(np.float64)).max(initial=0.0)) or 1.0
            sqnr = sqnr_db(want, got)
            worst_abs, worst_rel = max(worst_abs, absolute), max(worst_rel, absolute / scale)
            if sqnr < worst_sqnr:
                worst_sqnr, worst_sample = sqnr, name
    logits = next(iter(reference))
    agreement = _top1_agreement(reference[logits], actual[logits])
    measured = Parity(
        verdict="pass",
        executed_by=executed_by,
        samples=len(names),
        max_abs_error=worst_abs,
        max_rel_error=worst_rel,
        sqnr_db=worst_sqnr,
        top1_agreement=agreement,
        worst_sample=worst_sample,
        tolerance=tolerance,
    )
    reasons = tolerance.exceeded_by(max_abs_error=worst_abs, max_rel_error=worst_rel, sqnr_db=worst_sqnr, top1_agreement=agreement)
    return attrs.evolve(measured, verdict="fail", reason="; ".join(reasons)) if reasons else measured


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


def _top1_agreement(reference: Sequence[Array], actual: Sequence[Array]) -> float:
    """Share of samples whose largest logit is the same class, or one that is equally large in the reference.

    An output that is not ``(batch, classes)`` has no class axis: it agrees, and its error alone decides.
    """
    same = [want.ndim != 2 or _same_winner(want, got) for want, got in zip(reference, actual, strict=True)]
    return sum(same) / len(same)


def _same_winner(want: Array, got: Array) -> bool:
    if want.size == 0:
        return True
    chosen = np.take_along_axis(want, got.argmax(-1, keepdims=True), axis=-1)
    return bool((chosen == want.max(-1, keepdims=True)).all())
