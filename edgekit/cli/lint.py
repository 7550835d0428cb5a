"""``edgekit lint``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console
from edgekit.errors import BudgetError

if TYPE_CHECKING:
    from edgekit.lint.rules import Finding, Rule
    from edgekit.lint.run import LintReport

_MOST_SITES = 3


def lint(
    artifact: Annotated[Path, typer.Argument(help="A .mlpackage, .tflite or .pte, edgekit's or not.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document with every finding to stdout.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 6 if there is a warning: none is the budget.")] = False,
) -> None:
    """Predict which operators a phone's accelerator may not take, from published rules; each finding names its source.

    \b
    Neural Engine for .mlpackage, LiteRT's GPU delegate and XNNPACK for .tflite, XNNPACK for .pte. Runs nothing on
    a phone: placement is decided there. A warning leaves the accelerator, stops it or gives wrong values by what is
    published; an info is published as slower. Exit code 0, with --strict 6 if there is a warning; infos never fail.

    \b
    edgekit lint emov2-5m_224_fp16.mlpackage
    edgekit lint emov2-5m_224_fp32.tflite --json
    edgekit lint emov2-5m_224_fp32.pte --strict
    """
    from edgekit.lint.run import lint_artifact
    from edgekit.quiet import stdout_to_stderr

    with stdout_to_stderr():
        report = lint_artifact(artifact)
    document = _document(report)
    warnings = report.counts["warning"]
    if strict and warnings:
        if not as_json:
            _show(report)
        raise _over_budget(report, warnings, document)
    console.print_json(document) if as_json else _show(report)


def _over_budget(report: "LintReport", warnings: int, document: dict[str, Any]) -> BudgetError:
    rules = sorted({finding.rule for finding in report.findings if finding.severity == "warning"})
    error = BudgetError(
        f"{report.path.name} has {warnings} warning{'s' * (warnings > 1)}, --strict allows none",
        what=", ".join(rules),
        hint="each finding has a hint",
    )
    error.details |= {key: value for key, value in document.items() if key not in ("schema_version", "command")}
    return error


def _document(report: "LintReport") -> dict[str, Any]:
    import attrs

    from edgekit.lint.rules import PREDICTION

    rules = [attrs.asdict(rule, filter=lambda attribute, _: attribute.name != "check") for rule in report.rules]
    return {
        "schema_version": 1,
        "command": "lint",
        "artifact": str(report.path),
        "target": report.target,
        "prediction": True,
        "about": PREDICTION,
        "findings": [attrs.asdict(finding) for finding in report.findings],
        "rules_checked": rules,
        "counts": report.counts,
        "notes": list(report.notes),
    }


def _show(report: "LintReport") -> None:
    from edgekit.lint.rules import PREDICTION

    counts, write = report.counts, console.line
    told = ", ".join(f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items())
    write(
        f"{report.path.name}  {report.target}  {told}; {len(report.rules)} rules checked" if report.rules else f"{report.path.name}  {report.target}"
    )
    write(PREDICTION)
    for note in report.notes:
        write(note)
    for rule in report.rules:
        found = [finding for finding in report.findings if finding.rule == rule.id]
        if found:
            _show_rule(rule, found)


def _show_rule(rule: "Rule", findings: "list[Finding]") -> None:
    write = console.line
    write(f"\n{rule.severity}  {rule.id}  {rule.accelerator}: {rule.statement}")
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.operator, finding.hint), []).append(finding)
    for (operator, hint), group in groups.items():
        write(f"  {len(group):4} {operator:<18} {_problem(group)}: {_sites(group)}")
        if hint != rule.hint:
            write(f"       try  {hint}")
    if any(finding.hint == rule.hint for finding in findings):
        write(f"  try  {rule.hint}")
    write(f"  see  {rule.source}")


def _sites(findings: "list[Finding]") -> str:
    shown = ", ".join(_site(finding) for finding in findings[:_MOST_SITES])
    return f"{shown}, ..." if len(findings) > _MOST_SITES else shown


def _site(finding: "Finding") -> str:
    place = ", ".join(part for part in (finding.module, finding.line) if part)
    return f"{finding.name} ({place})" if place else finding.name


def _problem(findings: "list[Finding]") -> str:
    problems = {finding.problem for finding in findings}
    return findings[0].problem if len(problems) == 1 else f"e.g. {findings[0].problem}"
