"""Reads an artifact and its manifest into a flat table of metrics. Runs no inference."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit import artifact
from edgekit.artifact import Manifest, read_manifest
from edgekit.errors import ArtifactError
from edgekit.gates.contents import Contents, contents_of
from edgekit.gates.operators import FAMILIES, count_of
from edgekit.quantization.scheme import SCHEMES
from edgekit.runtime.loaded import facts_of_file
from edgekit.targets.base import Inspection
from edgekit.targets.registry import get_target

_LEVEL = 9
_BLOCK = 1 << 20  # bytes read at a time
_PARITY = ("sqnr_db", "top1_agreement", "max_abs_error", "max_rel_error")


@frozen(kw_only=True)
class Metric:
    """What an artifact reached. ``low`` and ``high`` hold what was measured, 95% of it; the value itself where nothing is uncertain."""

    value: float
    low: float
    high: float


def exactly(value: float) -> Metric:
    """Return a metric that is counted, not timed."""
    return Metric(value=value, low=value, high=value)


@frozen(kw_only=True)
class Measured:
    """What is known of one artifact. ``metrics`` are named as in :mod:`edgekit.gates.kinds`; ``tools`` made it.

    :param floor_bytes: parameters times bits, in bytes; ``None``: the precision has no one number of bits.
    """

    path: Path
    target: str
    sha256: str
    tools: Mapping[str, str]
    metrics: Mapping[str, Metric]
    contents: Contents
    floor_bytes: int | None


def measure(path: Path) -> Measured:
    """Measure an artifact that edgekit wrote.

    :raises ArtifactError: missing, truncated, without a manifest, or not what its manifest says.
    """
    facts = facts_of_file(path)
    inspection = get_target(facts.name).inspect(path)
    manifest = read_manifest(path)
    if manifest is None:
        raise ArtifactError(f"{path.name} has no manifest", why="budgets hold for the tools an artifact was made with", hint="export it again")
    floor = _floor_bytes(manifest)
    contents = contents_of(path, facts.name, inspection, manifest)
    try:
        tools = {str(name): str(version) for name, version in manifest.document["tools"].items()}
        found = {**dict(_metrics(path, inspection, manifest, floor)), **dict(_weights(contents, list(inspection.operators_by_method)))}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ArtifactError(f"{manifest.path.name} cannot be read", why=why, hint="export again with --overwrite") from error
    return Measured(
        path=path,
        target=facts.name,
        sha256=manifest.sha256,
        tools=tools,
        metrics={name: exactly(value) for name, value in found.items() if value is not None},
        contents=contents,
        floor_bytes=floor,
    )


def compressed_bytes(path: Path) -> int:
    """Return what an artifact's files take when each is deflated by itself, level 9, without an archive's own headers."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return sum(_deflated(file) for file in files)


def _deflated(file: Path) -> int:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    size = 0
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            size += len(packer.compress(block))
    return size + len(packer.flush())


def _metrics(path: Path, inspection: Inspection, manifest: Manifest, floor: int | None) -> Iterator[tuple[str, float | None]]:
    total = artifact.size_bytes(path)
    yield "size.total", total
    yield "size.compressed", compressed_bytes(path)
    yield from ((f"size.{name}", size) for name, size in inspection.sections.items())
    yield "size.overhead", None if floor is None else total - floor
    yield "operators.total", sum(inspection.operators.values())
    yield from ((f"operators.{family}", count_of(family, inspection.operators)) for family in FAMILIES)
    for method, operators in inspection.operators_by_method.items():
        yield f"method.{method}.operators", sum(operators.values())
        yield from ((f"method.{method}.{family}", count_of(family, operators)) for family in FAMILIES)
    delegation = inspection.delegation
    yield "delegation.share", delegation.share
    yield "delegation.subgraphs", delegation.subgraphs
    yield "delegation.outside", None if delegation.share is None else sum(delegation.not_delegated.values())
    yield "memory.planned", inspection.planned_bytes
    yield from _counted("macs.total", "macs", manifest.document.get("macs", {}))
    yield from _counted("memory.moved", "moved", manifest.document.get("bytes_moved", {}))
    parity: Mapping[str, Any] = manifest.document["parity"]
    yield from ((f"parity.{name}", parity[name]) for name in _PARITY)
    yield from _judged(manifest.document.get("quantization"))


def _weights(contents: Contents, methods: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yield the bytes that each method reads; of an only method, whatever the file calls it, all of them."""
    for method in methods if contents.constants is not None else ():
        read = (constant for constant in contents.constants or () if len(methods) == 1 or method in constant.methods)
        yield f"method.{method}.weights", sum(constant.size for constant in read)


def _judged(quantization: Mapping[str, Any] | None) -> Iterator[tuple[str, float]]:
    """Yield how a quantized artifact answered when it was exported: the worst of its outputs and of the draws it was calibrated with."""
    answers = [answer for judgement in (quantization or {}).get("judged", ()) for answer in judgement["answers"]]
    for metric, key in (("agreement", "agreement"), ("accuracy", "accuracy"), ("sqnr_db", "sqnr_db")):
        found = [answer[key] for answer in answers if answer[key] is not None]
        if found:
            yield f"judged.{metric}", min(found)
    drops = [answer["eager_accuracy"] - answer["accuracy"] for answer in answers if answer["accuracy"] is not None]
    if drops:
        yield "judged.accuracy_drop", max(drops)


def _counted(total: str, each: str, by_method: Mapping[str, int | None]) -> Iterator[tuple[str, int | None]]:
    """Yield what the export counted; none of what could not be, and no total then: manifests of older versions have no counts at all."""
    known = [count for count in by_method.values() if count is not None]
    yield total, sum(known) if known and len(known) == len(by_method) else None
    yield from ((f"method.{name}.{each}", count) for name, count in by_method.items())


def _floor_bytes(manifest: Manifest) -> int | None:
    document = manifest.document
    try:
        scheme = SCHEMES.get(document["recipe"]["precision"])
        return None if scheme is None else -(-int(document["model"]["parameters"]) * scheme.weight_bits // 8)
    except (KeyError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ArtifactError(f"{manifest.path.name} cannot be read", why=why, hint="export again with --overwrite") from error
