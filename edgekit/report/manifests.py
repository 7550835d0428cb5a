"""What manifests say, one row an artifact."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from edgekit.artifact import MANIFEST_SUFFIX
from edgekit.report.entry import Entry
from edgekit.report.evidence import MANIFEST, Evidence, Source

Status = Literal["executed", "interpreted", "failed", "not executed", "not stored"]
"""How far an artifact is proved: run by its own runtime, computed by edgekit, run and unequal, never run, or nothing is stored about it."""

INTERPRETERS = ("mil-interpreter",)
"""What edgekit computes by itself; every other name in ``executed_by`` is a vendor's runtime."""


@frozen(kw_only=True)
class ParityRow:
    """A stored comparison with eager. ``None``: not stored. ``by_sample``: SQNR of each sample in dB, as far as stored."""

    status: Status
    executed_by: str | None = None
    against: str | None = None
    reason: str | None = None
    samples: int | None = None
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    sqnr_db: float | None = None
    min_sqnr_db: float | None = None
    top1_agreement: float | None = None
    by_sample: tuple[float, ...] = ()


@frozen(kw_only=True)
class RewriteRow:
    """One rewrite: at how many places it was applied, and what it left alone, by reason."""

    name: str
    sites: int
    skips: Mapping[str, int]


@frozen(kw_only=True)
class JudgementRow:
    """How a quantized artifact answers beside eager, calibrated on one draw: shares, dB, pictures.

    Agreement and SQNR are the lowest of its answers, accuracies, wins and losses those of the last.
    """

    samples: int | None
    agreement: float | None
    sqnr_db: float | None
    accuracy: float | None
    eager_accuracy: float | None
    wins: int | None
    losses: int | None


@frozen(kw_only=True)
class ArtifactRow:
    """One artifact by its manifest. Bytes, counts, multiply-adds; ``None``: the manifest does not say.

    :param date: of the manifest's file; manifests hold no time.
    :param details: further comparisons by name: numerics, methods.
    """

    name: str
    sha256: str
    date: dt.date
    model: str
    target: str
    precision: str | None
    resolution: int | None
    form: str | None
    trained: bool | None
    parameters: int | None
    size_bytes: int | None
    sections: Mapping[str, int]
    operators: Mapping[str, int]
    not_delegated: Mapping[str, int]
    delegated_share: float | None
    subgraphs: int | None
    macs: int | None
    methods: tuple[str, ...]
    tools: Mapping[str, str]
    rewrites: tuple[RewriteRow, ...]
    notes: tuple[str, ...]
    parity: ParityRow
    details: Mapping[str, ParityRow]
    selections: Entry | None
    early_exit: Entry | None
    quantization: Entry | None
    judgements: tuple[JudgementRow, ...]
    accuracy_on: str | None

    @property
    def accuracy(self) -> float | None:
        """Top-1 accuracy of the artifact, its last answer's, in the draw that was kept; comparable only on the same pictures, ``accuracy_on``."""
        return self.judgements[0].accuracy if self.judgements else None

    @property
    def variant(self) -> str:
        """What a row of the support matrix is: artifacts of all targets and precisions stand side by side."""
        parts = [self.model, "" if self.resolution is None else f"{self.resolution}", self.form or ""]
        return ", ".join(part for part in parts if part)


def artifact_rows(evidence: Evidence) -> tuple[ArtifactRow, ...]:
    """Return the artifacts of all manifests, by model, target and precision.

    :raises EvidenceError: a manifest lacks what makes it one.
    """
    rows = [_row(source) for source in evidence.of(MANIFEST)]
    return tuple(sorted(rows, key=lambda row: (row.variant, row.target, row.precision or "", row.sha256)))


def _row(source: Source) -> ArtifactRow:
    entry = source.entry
    artifact, recipe, model = (entry.entry(key) or Entry({}, f"{source.name}: {key}") for key in ("artifact", "recipe", "model"))
    delegation, parity = (entry.entry(key) or Entry({}, f"{source.name}: {key}") for key in ("delegation", "parity"))
    quantization = entry.entry("quantization")
    macs = [value for value in (entry.entry("macs") or Entry({}, source.name)).values.values() if isinstance(value, int)]
    return ArtifactRow(
        name=artifact.text("name") or source.name.removesuffix(MANIFEST_SUFFIX),
        sha256=artifact.text("sha256") or "",
        date=source.date,
        model=model.text("name") or "model not stored",
        target=recipe.text("target") or "target not stored",
        precision=recipe.text("precision"),
        resolution=recipe.integer("resolution"),
        form=recipe.text("early_exit"),
        trained=model.flag("trained"),
        parameters=model.integer("parameters"),
        size_bytes=artifact.integer("size_bytes"),
        sections=artifact.counts("sections"),
        operators=entry.counts("operators"),
        not_delegated=delegation.counts("not_delegated"),
        delegated_share=delegation.number("share"),
        subgraphs=delegation.integer("subgraphs"),
        macs=sum(macs) if macs and len(macs) == len(entry.counts("macs")) else None,
        methods=tuple(method.text("name") or "?" for method in entry.entries("methods")),
        tools={name: str(version) for name, version in (entry.entry("tools") or Entry({}, source.name)).values.items()},
        rewrites=tuple(_rewrite(row) for row in entry.entries("rewrites")),
        notes=entry.texts("notes"),
        parity=parity_row(parity),
        details={f"{key[:-1] if key == 'methods' else key} {name}": parity_row(row) for key in _DETAILS for name, row in parity.members(key).items()},
        selections=parity.entry("selections"),
        early_exit=entry.entry("early_exit"),
        quantization=quantization,
        judgements=() if quantization is None else tuple(_judgement(row) for row in quantization.entries("judged")),
        accuracy_on=None if quantization is None or "data" not in quantization else json.dumps(quantization.values["data"], sort_keys=True),
    )


_DETAILS = ("numerics", "methods")


def _judgement(row: Entry) -> JudgementRow:
    answers = row.entries("answers")
    last = answers[-1] if answers else Entry({}, row.where)
    agreements = [value for answer in answers if (value := answer.number("agreement")) is not None]
    ratios = [value for answer in answers if (value := answer.number("sqnr_db")) is not None]
    return JudgementRow(
        samples=row.integer("samples"),
        agreement=min(agreements, default=None),
        sqnr_db=min(ratios, default=None),
        accuracy=last.number("accuracy"),
        eager_accuracy=last.number("eager_accuracy"),
        wins=last.integer("wins"),
        losses=last.integer("losses"),
    )


def _rewrite(row: Entry) -> RewriteRow:
    skips: dict[str, int] = {}
    for skip in row.entries("skips"):
        reason = skip.text("reason") or "no reason stored"
        skips[reason] = skips.get(reason, 0) + 1
    return RewriteRow(name=row.text("name") or "?", sites=len(row.texts("sites")), skips=skips)


def parity_row(parity: Entry) -> ParityRow:
    """Read a comparison. Only a stored ``pass`` of something that ran is one."""
    verdict, by = parity.text("verdict"), parity.text("executed_by")
    tolerance = parity.entry("tolerance")
    return ParityRow(
        status=_status(verdict, by),
        executed_by=by,
        against=parity.text("against"),
        reason=parity.text("reason"),
        samples=parity.integer("samples"),
        max_abs_error=parity.number("max_abs_error"),
        max_rel_error=parity.number("max_rel_error"),
        sqnr_db=parity.number("sqnr_db"),
        min_sqnr_db=None if tolerance is None else tolerance.number("min_sqnr_db"),
        top1_agreement=parity.number("top1_agreement"),
        by_sample=parity.numbers("sample_sqnr_db"),
    )


def _status(verdict: str | None, executed_by: str | None) -> Status:
    if verdict == "not_executed":
        return "not executed"
    if verdict == "fail":
        return "failed"
    if verdict == "pass" and executed_by:
        return "interpreted" if executed_by in INTERPRETERS else "executed"
    return "not stored"
