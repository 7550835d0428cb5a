"""Looks inside a ``.tflite`` file: methods, operators, what XNNPACK takes, and bytes by section."""

from collections import Counter
from pathlib import Path
from typing import Any

from edgekit.targets.base import Inspection
from edgekit.targets.tflite.delegation import delegation_of
from edgekit.targets.tflite.flatbuffer import data_of, methods_of, operators_of, text
from edgekit.targets.tflite.verify import read_verified


def inspect_tflite(path: Path) -> Inspection:
    """Inspect a file without running it; XNNPACK's share comes from loading it.

    :raises ArtifactError: not readable, truncated, foreign, or without signatures.
    """
    content, model = read_verified(path)
    methods = methods_of(model)
    signatures = [model.SignatureDefs(index) for index in range(model.SignatureDefsLength())]
    found = {signature.SubgraphIndex(): Counter(operators_of(model, model.Subgraphs(signature.SubgraphIndex()))) for signature in signatures}
    graphs = sorted(found)
    return Inspection(
        methods=methods,
        operators=dict(sorted(sum(found.values(), Counter()).items())),
        operators_by_method={text(signature.SignatureKey()): found[signature.SubgraphIndex()] for signature in signatures},
        delegation=delegation_of(content, graphs),
        sections=_sections(content, model),
    )


def _sections(content: bytes, model: Any) -> dict[str, int]:
    """Return bytes by section; ``graph`` is all that is neither a constant's data nor a metadata entry: tables, names, padding."""
    graphs = [model.Subgraphs(index) for index in range(model.SubgraphsLength())]
    constants = {graph.Tensors(index).Buffer() for graph in graphs for index in range(graph.TensorsLength())}
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    weights = sum(_size(model, buffer) for buffer in constants)
    metadata = sum(len(entry.Name() or b"") + len(data_of(model, entry.Buffer())) for entry in entries) + len(model.Description() or b"")
    return {"weights": weights, "metadata": metadata, "graph": len(content) - weights - metadata, "other": 0}


def _size(model: Any, buffer: int) -> int:
    """Return a constant's bytes, inside the flatbuffer or, for files above 2 GB, behind it."""
    block = model.Buffers(buffer)
    return int(block.DataLength() or block.Size())
