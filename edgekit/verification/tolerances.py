"""How far an artifact may be from eager, as rows that cite what was measured."""

from typing import Any

import attrs
from attrs import frozen


@frozen(kw_only=True)
class Tolerance:
    """Limits for one precision; ``None`` does not limit. ``evidence`` is what they rest on.

    ``tie`` is the step of the precision's numbers at the largest logit, relative to it: classes whose eager logits lie
    closer than that are a tie, which an artifact of the precision may break either way. ``exit_tie`` is the same for a confidence and a
    threshold, 0 to 1: a sample that close to one may leave on either side of it; ``None``: samples that leave elsewhere are counted only.
    ``region_tie`` is the same for the score of a region and the threshold of a pass, relative to the threshold.
    ``max_drop_points``: of a quantized artifact, the points of top-1 accuracy that may be lost on labelled pictures.
    """

    max_rel_error: float | None = None
    max_abs_error: float | None = None
    min_sqnr_db: float | None = None
    min_top1_agreement: float | None = None
    tie: float = 0.0
    exit_tie: float | None = None
    region_tie: float | None = None
    max_drop_points: float | None = None
    evidence: str = ""

    def exceeded_by(self, *, max_abs_error: float, max_rel_error: float, sqnr_db: float, top1_agreement: float) -> list[str]:
        """Return a sentence for each limit that is not kept."""
        reasons = []
        if self.max_rel_error is not None and not max_rel_error <= self.max_rel_error:
            reasons.append(f"relative error {max_rel_error:.2e} is over {self.max_rel_error:.0e}")
        if self.max_abs_error is not None and not max_abs_error <= self.max_abs_error:
            reasons.append(f"absolute error {max_abs_error:.2e} is over {self.max_abs_error:.2g}")
        if self.min_sqnr_db is not None and not sqnr_db >= self.min_sqnr_db:
            reasons.append(f"SQNR {sqnr_db:.1f} dB is under {self.min_sqnr_db:.0f} dB")
        if self.min_top1_agreement is not None and not top1_agreement >= self.min_top1_agreement:
            reasons.append(f"top-1 agrees on {top1_agreement:.0%} of the samples, less than {self.min_top1_agreement:.0%}")
        return reasons

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return attrs.asdict(self)


def tolerance_for(precision: str, atol: float | None = None) -> Tolerance:
    """Return the row of a precision; ``atol`` replaces its error limits by one on the absolute error."""
    row = TOLERANCES[precision]
    if atol is None:
        return row
    return Tolerance(
        max_abs_error=atol,
        min_top1_agreement=row.min_top1_agreement,
        tie=row.tie,
        exit_tie=row.exit_tie,
        region_tie=row.region_tie,
        evidence="limit given by the user",
    )


AGREEMENT_A_POINT = 4.0
"""Of a network that loses a point of accuracy by rounding, about four points of answers change: most changes are from wrong to wrong, or win."""


def quantized_tolerance(precision: str, *, accuracy_budget: float | None = None, sqnr: float | None = None, trained: bool | None = True) -> Tolerance:
    """Return what a quantized artifact is held to: the row of its precision, or what was asked for instead.

    The classes of an untrained network are chance, and any rounding tells them apart otherwise: its SQNR is judged alone.

    :param accuracy_budget: points of accuracy; also of agreement, four times as many. :param sqnr: dB.
    """
    row = TOLERANCES[precision]
    if accuracy_budget is not None:
        least = max(0.0, 1 - AGREEMENT_A_POINT * accuracy_budget / 100)
        row = attrs.evolve(row, max_drop_points=accuracy_budget, min_top1_agreement=least, evidence=f"{accuracy_budget:g} points, given by the user")
    if sqnr is not None:
        row = attrs.evolve(row, min_sqnr_db=sqnr, evidence=f"{sqnr:g} dB, given by the user")
    if trained is False:
        row = attrs.evolve(row, min_top1_agreement=None, max_drop_points=None)
    return row


_TRAINED = "emov2-nano, imcnet-nano and chase-nano, trained on CIFAR-10"
_UNTRAINED_WEIGHTS = "weights of emov2-nano, emov2-1m, imcnet-nano, imcnet-cifar10 and chase-tiny, untrained, rounded in eager"

TOLERANCES: dict[str, Tolerance] = {
    "fp32": Tolerance(
        max_rel_error=1e-4,
        min_sqnr_db=90,
        min_top1_agreement=1.0,
        tie=2**-23,
        exit_tie=1e-5,
        region_tie=1e-5,
        evidence="EMOv2 1M at 224 and 320, 5M at 224, on LiteRT, ExecuTorch and onnxruntime (x86-64, AVX-512): relative error up to 2e-6, "
        "SQNR 117 to 124 dB; 1M and 5M at 224 on Core AI's runtime: 9e-7, 123 dB; all five sizes at 224 as Core ML programs in float32, against "
        "the lowered program with the same weights: 4e-6, 108 to 115 dB; confidences of chase-tiny's exits on 64 inputs: 5e-7",
    ),
    "fp16": Tolerance(
        max_rel_error=2e-2,
        min_sqnr_db=45,
        min_top1_agreement=1.0,
        tie=2**-10,
        exit_tie=5e-3,
        region_tie=2**-9,
        evidence="all five sizes of EMOv2 at 224, 5M at 320 and 512, as Core ML programs, every operator rounded: SQNR 53 to 60 dB, relative "
        "error up to 3e-3; 1M and 5M at 224 on Core AI's runtime, which adds up matrix products in half, too: 50.6 dB, 6.0e-3; "
        "confidences of chase-tiny's exits on 64 inputs: 1.0e-3 as a Core ML program, 2.3e-3 on Core AI's runtime; "
        "scores of regions that imcnet-b16, s16, ti16, cifar10 and nano as Core ML programs take or leave otherwise, on 64 inputs each: up to "
        "8.3e-4 from the threshold; the limit is a step of half precision for the score and one for the threshold, which comes from scores, too",
    ),
    "w8a8": Tolerance(
        min_sqnr_db=12,
        min_top1_agreement=0.9,
        max_drop_points=2.0,
        evidence=f"{_TRAINED}, on LiteRT, ExecuTorch and onnxruntime, 10,000 pictures: 27.2 to 37.5 dB, agreement 98.7 to 99.7%, at most 0.3 points "
        "lost; EfficientNet-Lite0 calibrated on pictures of another kind, 400 photographs: 18.5 to 26.7 dB, 97.2 to 99%; emov2-nano, untrained, on "
        "LiteRT: planned for 20 dB 22.8 to 23.1 dB, 94 to 95%, all of it in integers 12.5 to 13.3 dB, 83 to 86%. A graph that answers by chance is "
        "at 0 dB and below",
    ),
    "w8a8-dynamic": Tolerance(
        min_sqnr_db=15,
        min_top1_agreement=0.9,
        max_drop_points=2.0,
        evidence="emov2-nano and imcnet-nano, trained, on LiteRT, 256 pictures: 37.8 and 17.5 dB, 98.8 and 91.8%, 0.8 points lost and 1.2 won; a "
        "small untrained network: over 28 dB",
    ),
    "w8a32": Tolerance(
        min_sqnr_db=22,
        min_top1_agreement=0.96,
        max_drop_points=1.0,
        evidence=f"{_TRAINED}, as Core ML programs, 1,000 pictures: 38.9 to 44.0 dB, 99.5 to 99.9%, at most 0.3 points lost; "
        f"{_UNTRAINED_WEIGHTS} to 8 bits: 28.5 to 38.6 dB",
    ),
    "w4a32": Tolerance(
        min_sqnr_db=3,
        min_top1_agreement=0.7,
        max_drop_points=5.0,
        evidence=f"emov2-nano, trained, on LiteRT, 256 pictures: 14.8 dB, 93.8%, 1.6 points lost; {_UNTRAINED_WEIGHTS} to 4 bits: 3.9 to 13.3 dB",
    ),
    "palette8": Tolerance(
        min_sqnr_db=22,
        min_top1_agreement=0.96,
        max_drop_points=1.0,
        evidence=f"{_TRAINED}, as Core ML programs, 1,000 pictures: 38.2 to 45.2 dB, 99.3 to 99.8%, at most 0.3 points lost",
    ),
    "palette6": Tolerance(
        min_sqnr_db=12,
        min_top1_agreement=0.9,
        max_drop_points=2.0,
        evidence="emov2-nano and imcnet-nano, trained, as Core ML programs, 256 pictures: 29.7 and 27.5 dB, 98.4 and 98.0%, at most 0.4 points lost",
    ),
    "palette4": Tolerance(
        min_sqnr_db=3,
        min_top1_agreement=0.7,
        max_drop_points=5.0,
        evidence=f"{_TRAINED}, as Core ML programs, 1,000 pictures: 16.1 to 18.3 dB, 92.2 to 97.0%, 0.5 to 2.0 points lost; "
        "untrained ones as w4a32: a table of 16 values is no coarser",
    ),
}
