"""``edgekit gate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.errors import BudgetError, OutputError

if TYPE_CHECKING:
    from edgekit.gates.ratchet import Tightened
    from edgekit.gates.report import GateReport
    from edgekit.gates.why import Explanation


def gate(
    *,
    budgets: Annotated[Path, typer.Option(help="The committed budgets, a TOML file.")],
    artifact: Annotated[
        list[Path] | None, typer.Option(help="An artifact, or a folder in which all that have budgets must be. By default the working folder.")
    ] = None,
    compare: Annotated[Path | None, typer.Option(help="What an earlier gate printed with --json.")] = None,
    why: Annotated[bool, typer.Option("--why", help="Tell what grew against --compare, what is stored twice, and what the parameters take.")] = False,
    ratchet: Annotated[bool, typer.Option("--ratchet", help="Lower the limits in the file to what was reached; none is raised.")] = False,
    latency: Annotated[bool, typer.Option("--latency", help="Also run and time the artifacts. Not on machines that others use.")] = False,
    latency_base: Annotated[Path | None, typer.Option(help="With --latency: a folder of the same artifacts as they were.")] = None,
    accuracy: Annotated[
        str | None, typer.Option(help="Also run the artifacts on labelled pictures: a data set's name, a folder, a CSV file.", metavar="DIR|NAME")
    ] = None,
    accuracy_samples: Annotated[int, typer.Option(help="With --accuracy: on how many pictures.")] = 200,
    sweep: Annotated[Path | None, typer.Option(help="The store of a sweep: accuracies are taken from it, by the artifacts' sha256.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the tables to this file, as Markdown.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the budgets and say for what there are any; no artifact is needed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
) -> None:
    """Hold artifacts to committed budgets: bytes, operators, delegation, multiply-adds, errors against eager; on request time and accuracy.

    \b
    edgekit gate --budgets recipes/budgets.toml --artifact build
    edgekit gate --budgets recipes/budgets.toml --artifact build/emov2-1m_224_fp32.pte --json > base.json
    edgekit gate --budgets recipes/budgets.toml --artifact build --compare base.json --why
    edgekit gate --budgets recipes/budgets.toml --artifact build --ratchet

    Ends with 6 where a budget is exceeded or its artifact is missing, and names each, its owner and its reason. A budget for
    time is exceeded only where all of the interval is. Budgets hold for versions of the tools: with others they are not
    applied, which is one failure for each artifact, until there are budgets for those.
    """
    if dry_run:
        _show_budgets(budgets, as_json=as_json)
        return
    from edgekit.errors import UsageError
    from edgekit.gates.accuracy import Accuracy
    from edgekit.gates.check import Latency, check_budget
    from edgekit.gates.document import to_json
    from edgekit.gates.report import require_budgets
    from edgekit.gates.why import explain
    from edgekit.quiet import stdout_to_stderr

    if latency_base is not None and not latency:
        raise UsageError("--latency-base says what times are compared with", hint="add --latency")
    with stdout_to_stderr():
        report = check_budget(
            budgets,
            artifacts=artifact or (Path(),),
            compare=compare,
            latency=Latency(base=latency_base) if latency else None,
            accuracy=None if accuracy is None else Accuracy(data=accuracy, samples=accuracy_samples),
            swept=sweep,
        )
        explanations = [explain(row.measured, report.base) for row in report.artifacts if row.measured is not None] if why else None
    if markdown is not None:
        _write(markdown, report, explanations)
    tightened = _ratchet(report) if ratchet else ()
    document = to_json(report, explanations, tightened)
    if not as_json:
        _show(report, explanations or ())
        _show_tightened(tightened, asked=ratchet)
    try:
        require_budgets(report)
    except BudgetError as error:
        error.details |= {key: value for key, value in document.items() if key not in ("schema_version", "command")}
        raise
    if as_json:
        console.print_json(document)


def _ratchet(report: "GateReport") -> "tuple[Tightened, ...]":
    import datetime as dt

    from edgekit.gates.ratchet import ratchet

    return ratchet(report, dt.datetime.now(tz=dt.UTC).date())


def _show_budgets(path: Path, *, as_json: bool) -> None:
    from edgekit.gates.budgets import read_budgets

    groups = read_budgets(path)
    if as_json:
        rows = [{"name": group.name, "tools": dict(group.tools), "budgets": len(group.budgets)} for group in groups]
        console.print_json({"schema_version": 1, "command": "gate", "dry_run": True, "budgets": str(path), "artifacts": rows})
        return
    tools = [", ".join(f"{name} {version}" for name, version in group.tools.items()) for group in groups]
    table = [(group.name, str(len(group.budgets)), made_with) for group, made_with in zip(groups, tools, strict=True)]
    console.print_table(("artifact", "budgets", "for"), table)


def _write(path: Path, report: "GateReport", explanations: "list[Explanation] | None") -> None:
    from edgekit.gates.table import markdown

    try:
        path.write_text(markdown(report, explanations), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path.name}", where=str(path), why=error.strerror or str(error)) from error


def _show(report: "GateReport", explanations: "list[Explanation] | tuple[()]") -> None:
    from edgekit.gates.table import HEADER, rows_of, why_lines

    for artifact in report.artifacts:
        console.line(f"{artifact.name}{'' if artifact.reason is None else '  ' + artifact.reason}")
        console.print_table(HEADER, rows_of(artifact, report), indent="  ")
    for explanation in explanations:
        console.line(f"\nwhy {explanation.name}")
        for line in why_lines(explanation):
            console.line(f"  {line}")
    counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in report.counts().items() if count)
    console.line(f"\n{len(report.artifacts)} artifact{'s' * (len(report.artifacts) != 1)}, budgets: {counts or 'none applied'}")


def _show_tightened(tightened: "tuple[Tightened, ...]", *, asked: bool) -> None:
    for row in tightened:
        console.line(f"tightened  {row.name}  {row.metric}  {row.before:,} to {row.now:,}")
    if asked and not tightened:
        console.line("nothing to tighten")
