"""What an export gives back, and how a manifest becomes that again."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from edgekit.artifact import manifest_path
from edgekit.rewrites.report import RewriteReport, Skip
from edgekit.targets.delegated import Delegation
from edgekit.verification.parity import Parity, parity_from_json

if TYPE_CHECKING:
    from edgekit.planner.plan import Plan


@frozen(kw_only=True)
class ExportedArtifact:
    """One artifact that was written, verified and put in place."""

    target: str
    precision: str
    path: Path
    manifest: Path
    size_bytes: int
    sha256: str
    methods: tuple[str, ...]
    seconds: float
    rewrites: tuple[RewriteReport, ...]
    delegation: Delegation
    parity: Parity
    notes: tuple[str, ...] = ()
    """What is otherwise than one may expect, in sentences."""
    plan: "Plan | None" = None
    """What of it is quantized, where that was decided."""
    quantization: Mapping[str, Any] | None = None
    """Of a quantized artifact, what its manifest says of that."""
    proved: str | None = None
    """Of one that came from the cache: when the run that proved it ended, ``2026-11-21T18:40:00Z``."""


@frozen(kw_only=True)
class ExportResult:
    """All artifacts of one export."""

    model: str
    trained: bool | None
    artifacts: tuple[ExportedArtifact, ...]


def restored(document: Mapping[str, Any], path: Path, *, seconds: float, proved: str) -> ExportedArtifact:
    """Return what the export of a manifest gave back.

    :param document: the manifest. :param path: where the artifact lies now. :param seconds: that this took.
    """
    made, quantization = document["artifact"], document["quantization"]
    return ExportedArtifact(
        target=document["recipe"]["target"],
        precision=document["recipe"]["precision"],
        path=path,
        manifest=manifest_path(path),
        size_bytes=made["size_bytes"],
        sha256=made["sha256"],
        methods=tuple(method["name"] for method in document["methods"]),
        seconds=seconds,
        rewrites=tuple(_report(row) for row in document["rewrites"]),
        delegation=Delegation(**document["delegation"]),
        parity=parity_from_json(document["parity"]),
        notes=tuple(document["notes"]),
        plan=_plan((quantization or {}).get("plan"), path.name),
        quantization=quantization,
        proved=proved,
    )


def _report(row: Mapping[str, Any]) -> RewriteReport:
    skips = tuple(Skip(**skip) for skip in row["skips"])
    return RewriteReport(name=row["name"], sites=tuple(row["sites"]), skips=skips, max_error=row["max_error"])


def _plan(document: Any, where: str) -> "Plan | None":
    if document is None:
        return None
    from edgekit.planner.plan import plan_from_json  # brings torch; only what was planned needs it

    return plan_from_json(document, where)
