"""``edgekit models`` and ``edgekit targets``: what can be exported, and where to."""

import importlib.util
import sys
from typing import Annotated

import attrs
import typer

from edgekit.capabilities import BACKENDS, DEPLOYMENT_TARGETS, TARGETS
from edgekit.cli import console
from edgekit.models.registry import MODELS
from edgekit.plugins import plugin_models
from edgekit.quantization.scheme import SCHEMES

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


def models(*, as_json: AsJson = False) -> None:
    """List the models edgekit knows by name: parameters, multiply-adds, resolution, methods.

    \b
    edgekit models
    edgekit models --json
    """
    if as_json:
        rows = [
            {"name": m.name, "about": m.about, "parameters": m.parameters, "macs": m.macs, "resolution": m.resolution, "methods": list(m.methods)}
            for m in MODELS
        ]
        added = [{"name": m.name, "factory": m.factory, "package": m.package} for m in plugin_models()]
        console.print_json({"schema_version": 1, "command": "models", "models": rows, "of_packages": added})
        return
    console.print_table(
        ("model", "M parameters", "M MACs", "resolution", "methods", "about"),
        [(m.name, f"{m.parameters / 1e6:.2f}", f"{m.macs / 1e6:.0f}", str(m.resolution), ", ".join(m.methods), m.about) for m in MODELS],
    )
    if plugin_models():
        sys.stdout.write("\n")
        console.print_table(("of other packages", "package", "factory"), [(m.name, m.package, m.factory) for m in plugin_models()])
    console.note("\nMACs are multiply-adds at that resolution. Your own model: edgekit export path/to/file.py:factory --target T")


def targets(*, as_json: AsJson = False) -> None:
    """List the targets: precisions, inputs, and whether what they need is installed.

    \b
    edgekit targets
    edgekit targets --json
    """
    missing = {t.name: [module for module in t.modules if importlib.util.find_spec(module) is None] for t in TARGETS}
    if as_json:
        rows = [
            {
                "name": t.name,
                "alias": t.alias,
                "about": t.about,
                "suffix": t.suffix,
                "precisions": list(t.precisions),
                "precision_table": [attrs.asdict(row) for row in t.precision_rows],
                "inputs": list(t.inputs),
                "backends": list(BACKENDS) if t.name == "executorch" else [],
                "deployment_targets": list(DEPLOYMENT_TARGETS) if t.name == "coreml" else [],
                "extra": t.extra,
                "installed": not missing[t.name],
                "missing": missing[t.name],
            }
            for t in TARGETS
        ]
        console.print_json({"schema_version": 1, "command": "targets", "targets": rows})
        return
    console.print_table(
        ("target", "writes", "precisions", "inputs", "installed", "about"),
        [
            (
                t.name + (f" ({t.alias})" if t.alias else ""),
                t.suffix,
                ", ".join(t.precisions),
                ", ".join(t.inputs),
                "yes" if not missing[t.name] else f"no: pip install 'edgekit[{t.extra}]'",
                t.about,
            )
            for t in TARGETS
        ],
    )
    sys.stdout.write("\n")
    console.print_table(
        ("precision", *(t.name for t in TARGETS)),
        [(name, *("yes" if t.precision(name).refused is None else "-" for t in TARGETS)) for name in SCHEMES],
    )
    console.note("\nThe first precision and input are the default. Asking for a precision with - says why it cannot be had; so does --json.")
