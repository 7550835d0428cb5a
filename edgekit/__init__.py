"""edgekit: export dynamic PyTorch vision models to phones, rewritten, lowered, run and proved.

    import edgekit

    result = edgekit.export("emov2-5m", targets=["tflite", "coreml"])
    artifact = edgekit.load_artifact(result.artifacts[0].path)
    logits = artifact.run("forward", {"image": pixels})["logits"]

Names are imported when they are used: ``import edgekit`` alone stays light.
"""

import importlib
from typing import TYPE_CHECKING, Any

from edgekit.version import __version__

if TYPE_CHECKING:
    from edgekit.bench.benchmark import benchmark as benchmark
    from edgekit.exporting import export as export
    from edgekit.gates.check import check_budget as check_budget
    from edgekit.models.build import build_model as build_model
    from edgekit.reverify import verify as verify
    from edgekit.runtime.loaded import load_artifact as load_artifact


_PUBLIC = {
    "benchmark": "edgekit.bench.benchmark",
    "build_model": "edgekit.models.build",
    "check_budget": "edgekit.gates.check",
    "export": "edgekit.exporting",
    "load_artifact": "edgekit.runtime.loaded",
    "verify": "edgekit.reverify",
}

__all__ = ["__version__", "benchmark", "build_model", "check_budget", "export", "load_artifact", "verify"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
