"""onnxruntime's own profile: one event a kernel, written as JSON by the session.

The optimised graph has other nodes than the file: fused and blocked ones carry the name of a node they were made of, with an ending.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.inputs import Array
from edgekit.bench.profiling import Sum, Told
from edgekit.quiet import quiet
from edgekit.runtime.loaded import LoadedArtifact
from edgekit.targets.onnx.exits import cut_out, exits_in
from edgekit.targets.onnx.proto import metadata_of, read_model

_KERNEL = "_kernel_time"
_ENDING = re.compile(r"(_nchwc|_token_\d+|/\w+Fusion/?|/)+$")
_WARM_UPS = 3
_FUSED = 2


def profile_methods(artifact: LoadedArtifact, given: Mapping[str, Mapping[str, Array]], threads: int, runs: int) -> Mapping[str, Told]:
    """Run each method in a session of its own that profiles."""
    content, model = read_model(artifact.path)
    exits = exits_in(model, metadata_of(model))
    cut = {each.name for each in exits}
    found = {}
    for method, inputs in given.items():
        graph = cut_out(model, exits, method) if method in cut else model
        events = _events(graph.SerializeToString() if method in cut else content, inputs, threads, runs)
        found[method] = _told(events, _Nodes(graph.graph), runs)
    return found


def _events(content: bytes, inputs: Mapping[str, Array], threads: int, runs: int) -> list[dict[str, Any]]:
    """Return the events of ``runs`` runs, after a few that warm up."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        with quiet():
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
            for _ in range(_WARM_UPS + runs):
                session.run(None, arrays)
            events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    starts = [event["ts"] for event in events if event.get("name") == "model_run"]
    return [event for event in events if event["ts"] >= sorted(starts)[_WARM_UPS]]


class _Nodes:
    """The nodes of a file's graph, by name and by what they compute."""

    def __init__(self, graph: Any) -> None:
        self._named = {node.name: node for node in graph.node if node.output}
        self._makers = {output: node for node in graph.node for output in node.output}

    def origin(self, kernel: str, kind: str) -> tuple[str, str | None]:
        """Return what a kernel computes, often called as in the captured program, and the module that edgekit noted at it.

        A convolution that took in the activation behind it has the activation's name, so one step or two back is looked for its own kind.
        """
        own = _ENDING.sub("", kernel)
        node = next((found for name in (kernel, own, f"node_{own}") if (found := self._named.get(name)) is not None), self._makers.get(own))
        if node is None:
            return own, None
        before = node
        for _ in range(_FUSED):
            if before is None or before.op_type == kind:
                break
            before = next((self._makers[name] for name in before.input if name in self._makers), None)
        chosen = before if before is not None and before.op_type == kind else node
        return chosen.output[0], next((entry.value for entry in chosen.metadata_props if entry.key == "module"), None)


def _told(events: list[dict[str, Any]], nodes: _Nodes, runs: int) -> Told:
    total = Sum()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            name, kind = event["name"].removesuffix(_KERNEL), event["args"].get("op_name", "?")
            node, module = nodes.origin(name, kind)
            total.add(kind, event["dur"] / 1e3, key=hash(name), node=node, module=module)
    whole = [event["dur"] / 1e3 for event in events if event.get("name") == "model_run"]
    note = "operators of onnxruntime's optimised graph; a fused one is named after one of those it was made of"
    return Told(rows=total.told(runs), whole_ms=sum(whole) / len(whole) if whole else None, note=note)
