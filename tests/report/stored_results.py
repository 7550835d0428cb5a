"""Stored results as edgekit writes them, small and made up."""

import copy
import json

from edgekit.policy.costs import Costs
from edgekit.policy.policy import Policy
from edgekit.policy.replay import Outcome

PARITY = {
    "verdict": "pass",
    "executed_by": "onnxruntime",
    "against": "eager",
    "reason": None,
    "samples": 9,
    "max_abs_error": 3.5e-6,
    "max_rel_error": 7e-7,
    "sqnr_db": 122.5,
    "top1_agreement": 1.0,
    "sample_sqnr_db": [122.5, 123.0, 124.0, 125.5, 126.0, 126.5, 127.0, 127.5, 130.0],
    "tolerance": {"min_sqnr_db": 90},
    "methods": {},
    "numerics": {},
}
MANIFEST = {
    "schema_version": 1,
    "artifact": {"name": "net_32_fp32.onnx", "sha256": "a" * 64, "size_bytes": 5_860_000, "sections": {"weights": 5_810_000, "graph": 50_000}},
    "recipe": {"model": "net", "target": "onnx", "precision": "fp32", "resolution": 32, "early_exit": None},
    "model": {"name": "net", "parameters": 1_460_844, "trained": False},
    "tools": {"edgekit": "0.1.0", "onnx": "1.23.2"},
    "methods": [{"name": "forward"}],
    "rewrites": [{"name": "merge_permutes", "sites": ["a", "b"], "skips": [{"site": "c", "reason": "its rank is 7"}], "max_error": 0.0}],
    "operators": {"Conv": 46, "Reshape": 136},
    "delegation": {"share": None, "not_delegated": {}, "subgraphs": None},
    "macs": {"forward": 273_214_664},
    "parity": PARITY,
    "notes": [],
    "early_exit": None,
}
CONTEXT = {"cpu": "AMD EPYC", "cores_allowed": 1, "threads": 1, "load_average": [1.0, 0.9, 0.8], "versions": {"onnxruntime": "1.31.1"}}


def bench_row(artifact, target, sha256, ms):
    once = {"load_ms": 12.5, "first_ms": 9.25, "peak_memory_bytes": 31_000_000, "threads": 1}
    times = {"samples_ms": [ms, ms + 1], "min_ms": ms, "p50_ms": ms + 0.5, "p90_ms": ms + 0.9}
    return {"artifact": artifact, "target": target, "sha256": sha256, "method": "forward", **once, **times}


BENCH = {
    "schema_version": 1,
    "command": "bench",
    "context": CONTEXT,
    "noise": 1.02,
    "results": [bench_row("/home/someone/net_32_fp32.onnx", "onnx", "a" * 64, 6.25), bench_row("old/net_32_fp32.tflite", "tflite", "b" * 64, 5.5)],
    "comparisons": [
        {"artifact": "old/net_32_fp32.tflite", "base": "/home/someone/net_32_fp32.onnx", "method": "forward", "ratio": 0.88, "low": 0.86, "high": 0.9}
    ],
    "refusal": None,
}
POLICY = Policy(
    kind="max_softmax",
    model="net",
    exits=3,
    classes=10,
    thresholds=(900_000, None),
    costs=Costs(macs=(1e6, 3e6, 6e6)),
    expected=Outcome(
        counts=(50, 0, 150),
        accuracy=0.81,
        exit_accuracy=(0.4, 0.6, 0.83),
        leaver_accuracy=(0.9, None, 0.78),
        macs=4.75e6,
        ms=None,
        bytes=None,
    ),
)


class Folder:
    """A folder of results to be filled."""

    def __init__(self, path):
        self.path = path

    def put(self, name, document):
        text = document if isinstance(document, str) else json.dumps(document)
        (self.path / name).write_text(text, encoding="utf-8")
        return self.path / name

    def manifest(self, name="net_32_fp32.onnx", **changes):
        """A manifest; changes go to members by dotted path with ``__`` for dots."""
        document = copy.deepcopy(MANIFEST)
        document["artifact"]["name"] = name
        for path, value in changes.items():
            *folders, last = path.split("__")
            place = document
            for folder in folders:
                place = place[folder]
            place[last] = value
        return self.put(f"{name}.manifest.json", document)

    def all(self):
        """One of everything."""
        self.manifest()
        self.manifest("net_32_fp16.mlpackage", artifact__sha256="c" * 64, recipe__target="coreml", parity__executed_by="mil-interpreter")
        self.manifest(
            "net_32_fp32.pte",
            artifact__sha256="d" * 64,
            recipe__target="executorch",
            parity={"verdict": "not_executed", "executed_by": None, "reason": "nothing on this host runs Vulkan delegates"},
        )
        self.put("bench.json", BENCH)
        self.put("policy.json", POLICY.to_json())
        rows = [{"variant": v, "min_ms": m, "median_ms": m + 1, "samples_ms": [m]} for v, m in (("edgekit", 15.5), ("naive", 18.8))]
        results = [{"target": "tflite", "size_bytes": 20_520_000, "rows": rows, "naive_error": None}]
        self.put("against.json", {"benchmark": "against_naive", "model": "emov2-5m", "resolution": 224, "context": CONTEXT, "results": results})
        return self
