"""Looks inside an ``.onnx`` file: its method, operators and bytes by section."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.targets.base import Inspection
from edgekit.targets.delegated import Delegation
from edgekit.targets.onnx.proto import graphs_of, methods_of, read_model


def inspect_onnx(path: Path) -> Inspection:
    """Inspect a file without loading it into a runtime. The format has no delegates.

    :raises ArtifactError: not readable, truncated, foreign, or without fixed shapes.
    """
    content, model = read_model(path)
    operators = dict(sorted(Counter(_name(node) for graph in graphs_of(model.graph) for node in graph.node).items()))
    return Inspection(
        methods=methods_of(model),
        operators=operators,
        operators_by_method={model.graph.name: operators},  # exits are parts of the one graph: what they share could be counted twice
        delegation=Delegation(share=None),
        sections=_sections(len(content), model),
    )


def _name(node: Any) -> str:
    """Return ``Conv``, or ``com.microsoft.FusedConv`` for an operator of another set."""
    return f"{node.domain}.{node.op_type}" if node.domain else str(node.op_type)


def _sections(size: int, model: Any) -> dict[str, int]:
    """Return bytes by section: constants' data, model-level texts, the rest of the graph, and the envelope around them."""
    weights = sum(_data_size(tensor) for graph in graphs_of(model.graph) for tensor in _tensors(graph))
    metadata = sum(entry.ByteSize() for entry in model.metadata_props)
    metadata += sum(len(text.encode()) for text in (model.producer_name, model.producer_version, model.doc_string, model.domain))
    graph = model.graph.ByteSize() - weights
    return {"weights": weights, "metadata": metadata, "graph": graph, "other": size - weights - metadata - graph}


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _data_size(tensor: Any) -> int:
    """Return the bytes of a tensor's values, kept raw or as numbers of their own type."""
    import onnx

    bare = onnx.TensorProto(dims=tensor.dims, data_type=tensor.data_type, name=tensor.name, doc_string=tensor.doc_string)
    bare.metadata_props.extend(tensor.metadata_props)
    return len(tensor.raw_data) or max(0, tensor.ByteSize() - bare.ByteSize())
