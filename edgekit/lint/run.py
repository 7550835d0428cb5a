"""Reads an artifact, applies the rules of its target, and adds where each operator comes from."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from edgekit.artifact import read_manifest
from edgekit.lint.registry import RULES
from edgekit.lint.rules import Finding, Hit, Rule
from edgekit.origins import Origin, Origins, origins_from_json
from edgekit.runtime.loaded import facts_of_file
from edgekit.targets.registry import get_target

NO_RULES = "no rules for this target"
_UNKNOWN = "module and line unknown"


@frozen(kw_only=True)
class LintReport:
    """What the rules found. ``notes`` say what could not be checked or looked up, and why."""

    path: Path
    target: str
    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Findings by severity."""
        severities = [finding.severity for finding in self.findings]
        return {severity: severities.count(severity) for severity in ("warning", "info")}


def lint_artifact(path: Path) -> LintReport:
    """Apply the rules for an artifact's target, edgekit's or not. Runs nothing but LiteRT's loading of a ``.tflite``.

    :raises ArtifactError: missing, truncated, foreign, or not what its manifest says. :raises MissingExtraError: the target's packages are.
    """
    facts = facts_of_file(path)
    rules = RULES.get(facts.name, ())
    if not rules:
        return LintReport(path=path, target=facts.name, rules=(), findings=(), notes=(NO_RULES,))
    get_target(facts.name)  # says which packages are missing, if any
    subjects, notes = _SUBJECTS[facts.name](path)
    origins, unknown = _origins(path, facts.name)
    hits = [(rule, hit) for rule in rules for subject in subjects for hit in rule.check(subject)]
    findings = tuple(_finding(rule, hit, origins) for rule, hit in hits)
    return LintReport(path=path, target=facts.name, rules=rules, findings=findings, notes=(*notes, *unknown))


def _finding(rule: Rule, hit: Hit, origins: Origins) -> Finding:
    origin = _origin(hit, origins)
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        accelerator=rule.accelerator,
        method=hit.method,
        operator=hit.operator,
        name=hit.name,
        module=origin.module,
        line=origin.line,
        problem=hit.problem,
        hint=hit.hint or rule.hint,
        source=rule.source,
    )


def _origin(hit: Hit, origins: Origins) -> Origin:
    """Return where an operator comes from, by its node, else by its module where the manifest knows that one."""
    if hit.node is not None:
        return origins.of_node(hit.method, hit.node)
    return Origin() if hit.module is None else origins.of_module(hit.method, hit.module)


def _origins(path: Path, target: str) -> tuple[Origins, tuple[str, ...]]:
    """Return what the manifest knows, and what there is to say where it knows nothing."""
    manifest = read_manifest(path)
    if target == "executorch":
        return Origins(), (f"an ExecuTorch program keeps no names: {_UNKNOWN}",)
    if manifest is None:
        return Origins(), (f"no manifest: {_UNKNOWN}",)
    if "origins" not in manifest.document:
        return Origins(), (f"a manifest without origins, from an older edgekit: {_UNKNOWN}",)
    return origins_from_json(manifest.document["origins"]), ()


Subjects = tuple[Iterable[Any], tuple[str, ...]]
"""What the rules look at, one for each method, and what there is to say about it."""


def _coreml(path: Path) -> Subjects:
    from edgekit.lint.mil_graph import graphs_of
    from edgekit.mil.program import read_program
    from edgekit.targets.coreml.methods import methods_of
    from edgekit.targets.coreml.package import read_package

    package = read_package(path)
    program = read_program(package.spec.mlProgram, package.spec_path.parent)
    methods = methods_of(package)
    graphs = list(graphs_of(program))
    if len(graphs) == len(methods) == 1:  # an only function is called main, whatever its method's name
        graphs = [evolve(graphs[0], method=methods[0].name)]
    return graphs, ()


def _tflite(path: Path) -> Subjects:
    from edgekit.targets.tflite.graph import read_graphs

    graphs = read_graphs(path)
    unknown = [graph for graph in graphs if graph.delegates is None]
    return graphs, ("LiteRT cannot load it here: what XNNPACK takes is unknown",) if unknown else ()


def _executorch(path: Path) -> Subjects:
    from edgekit.lint.xnnpack import takes_xnnpack
    from edgekit.targets.executorch.partition import read_methods

    methods = read_methods(path)
    foreign = sorted({backend for method in methods if not takes_xnnpack(method) for backend in method.backends})
    return methods, (f"no rules for the backend {', '.join(foreign)}",) if foreign else ()


_SUBJECTS = {"coreml": _coreml, "tflite": _tflite, "executorch": _executorch}
