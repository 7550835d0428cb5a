"""``edgekit policy``: fit early-exit thresholds, and replay them."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.policy.costs import Costs
    from edgekit.policy.families import Point
    from edgekit.policy.fit import Budget, TargetAccuracy
    from edgekit.policy.logits import LogitsFile
    from edgekit.policy.policy import Policy
    from edgekit.policy.replay import Outcome

_EXAMPLES = """\b
edgekit policy fit --logits val.npz --model chase-imagenet --budget-macs 1.0e9 -o policy.json --plot policy.svg
edgekit policy fit --logits val.npz --costs-ms bench.json --budget-ms 12 --calibrate temperature -o policy.json
edgekit policy fit --logits val.npz --costs 1e8,4e8,9e8 --target-accuracy 0.77 --kind entropy -o policy.json
edgekit policy apply --policy policy.json --logits test.npz
"""

policy = typer.Typer(
    name="policy",
    help="Early exits: fit a policy that decides where to stop, and replay it on other data.\n\n" + _EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Kind(StrEnum):
    """Kinds of policies, as the command line spells them."""

    MAX_SOFTMAX = "max-softmax"
    ENTROPY = "entropy"
    MARGIN = "margin"
    PATIENCE = "patience"
    ANYTIME = "anytime"


class Calibration(StrEnum):
    """Ways to calibrate."""

    TEMPERATURE = "temperature"


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
Plot = Annotated[Path | None, typer.Option(help="Draw accuracy against cost and where samples leave: .svg or .png. Needs edgekit[plot].")]


@policy.callback()
def _policy() -> None:
    """Early exits: fit a policy that decides where to stop, and replay it on other data."""


_policy.__doc__ = f"{_policy.__doc__}\n\n{_EXAMPLES}"


@policy.command()
def fit(
    *,
    logits: Annotated[Path, typer.Option(help=".npz of validation data: logits (exits, samples, classes), labels (samples,), costs_macs (exits,).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the policy is written, JSON; what lies there is replaced.")],
    budget_macs: Annotated[float | None, typer.Option(help="Mean multiply-adds a sample: the deepest policy that keeps it.")] = None,
    budget_ms: Annotated[float | None, typer.Option(help="Mean milliseconds a sample, with --costs-ms: the deepest policy that keeps it.")] = None,
    target_accuracy: Annotated[float | None, typer.Option(help="0 to 1: the cheapest policy that reaches it. Needs labels.")] = None,
    kind: Annotated[Kind, typer.Option(help="What decides: a confidence, so many exits that agree, or one exit for all.")] = Kind.MAX_SOFTMAX,
    calibrate: Annotated[Calibration | None, typer.Option(help="Fit one temperature an exit first. Needs labels.")] = None,
    costs: Annotated[
        str | None, typer.Option(help='Cumulative multiply-adds of the exits: 1e8,4e8,... or a JSON list or {"macs": [], "ms": [], "bytes": []}.')
    ] = None,
    costs_ms: Annotated[
        str | None, typer.Option(help="Cumulative milliseconds: 4.3,9.1,... or a JSON list, or what edgekit bench --json printed.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The network, kept in the policy; a registered one brings its multiply-adds.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="An artifact with its manifest: the model and its multiply-adds.")] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Fit thresholds to a budget or an accuracy on validation logits, by MSDNet's budgeted-batch rule.

    A sample leaves where its confidence is at least the exit's threshold; samples of equal confidence leave together. Multiply-adds
    come from --costs, else the .npz, else --manifest or --model. Exit code 6: no policy keeps the budget or reaches the accuracy.

    \b
    edgekit policy fit --logits val.npz --model chase-imagenet --budget-macs 1.0e9 -o policy.json --plot policy.svg
    edgekit policy fit --logits val.npz --costs-ms 4.3,9.1,13.9 --budget-ms 12 --calibrate temperature -o policy.json
    edgekit policy fit --logits val.npz --costs 1e8,4e8,9e8 --target-accuracy 0.77 --kind entropy -o policy.json
    """
    objective = _objective(budget_macs, budget_ms, target_accuracy, prefer_ms=costs_ms is not None)
    if plot is not None:
        from edgekit.policy.plot import check_plot

        check_plot(plot)
    from edgekit.artifact import check_output
    from edgekit.policy.fit import fit_policy
    from edgekit.policy.logits import read_logits
    from edgekit.policy.policy import write_policy

    check_output(output, overwrite=True)
    data = read_logits(logits)
    name, known = _costs(data, costs, costs_ms, model, manifest)
    found = fit_policy(data, objective, known, kind=kind.value.replace("-", "_"), calibrate=calibrate is not None, model=name)
    write_policy(found.policy, output)
    outcome = found.policy.expected
    if outcome is not None:
        if plot is not None:
            from edgekit.policy.plot import write_plot

            write_plot(plot, found.policy, outcome, found.curve, found.cost, about="validation")
        if not as_json:
            _show(found.policy, outcome)
    console.note(f"wrote {output}" + (f" and {plot}" if plot else ""))
    if as_json:
        console.print_json(
            {
                "schema_version": 1,
                "command": "policy fit",
                "path": output,
                "plot": plot,
                "policy": found.policy.to_json(),
                "curve": _curve(found.curve, found.cost),
            }
        )


@policy.command()
def apply(
    *,
    policy: Annotated[Path, typer.Option("--policy", help="A policy that edgekit policy fit wrote.")],
    logits: Annotated[Path, typer.Option(help=".npz with logits (exits, samples, classes), and labels (samples,) if accuracy is wanted.")],
    model: Annotated[str | None, typer.Option(help="The network the logits are of: refused if the policy is for another.")] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Replay a policy on other logits: where samples leave, how often it is right, what it costs, beside every single exit.

    \b
    edgekit policy apply --policy policy.json --logits test.npz
    edgekit policy apply --policy policy.json --logits test.npz --json --plot test.png
    """
    if plot is not None:
        from edgekit.policy.plot import check_plot

        check_plot(plot)
    from edgekit.policy.apply import apply_policy
    from edgekit.policy.logits import read_logits
    from edgekit.policy.policy import outcome_json, read_policy

    chosen = read_policy(policy)
    found = apply_policy(chosen, read_logits(logits), model=model)
    if plot is not None:
        from edgekit.policy.plot import write_plot

        write_plot(plot, chosen, found.outcome, found.curve, found.cost, about="replayed")
        console.note(f"wrote {plot}")
    if not as_json:
        _show(chosen, found.outcome, promised=chosen.expected)
        return
    console.print_json(
        {
            "schema_version": 1,
            "command": "policy apply",
            "path": policy,
            "plot": plot,
            "kind": chosen.kind,
            "model": chosen.model,
            "samples": found.outcome.samples,
            "logits_sha256": found.sha256,
            "outcome": outcome_json(found.outcome),
            "expected": None if chosen.expected is None else outcome_json(chosen.expected),
            "single_exits": [
                {
                    "exit": k + 1,
                    "accuracy": None if found.outcome.exit_accuracy is None else found.outcome.exit_accuracy[k],
                    **{metric: None if (row := chosen.costs.of(metric)) is None else row[k] for metric in ("macs", "ms", "bytes")},
                }
                for k in range(chosen.exits)
            ],
            "curve": _curve(found.curve, found.cost),
        }
    )


def _objective(macs: float | None, ms: float | None, accuracy: float | None, *, prefer_ms: bool) -> "Budget | TargetAccuracy":
    given = {"--budget-macs": macs, "--budget-ms": ms, "--target-accuracy": accuracy}
    if sum(value is not None for value in given.values()) != 1:
        raise UsageError("say what the policy has to keep", what="one of --budget-macs, --budget-ms, --target-accuracy", hint="--budget-macs 1.0e9")
    from edgekit.policy.fit import Budget, TargetAccuracy

    try:
        if accuracy is not None:
            return TargetAccuracy(accuracy=accuracy, cost="ms" if prefer_ms else "macs")
        return Budget(limit=macs, cost="macs") if macs is not None else Budget(limit=ms or 0.0, cost="ms")
    except ValueError as error:
        name, value = next((name, value) for name, value in given.items() if value is not None)
        raise UsageError(f"{name} {value:g} makes no sense", why="a budget is above 0 and finite, an accuracy is 0 to 1") from error


def _costs(data: "LogitsFile", costs: str | None, costs_ms: str | None, model: str | None, manifest: Path | None) -> "tuple[str | None, Costs]":
    from attrs import evolve

    from edgekit.policy.costs import Costs, manifest_model, model_macs, read_costs, read_ms

    known = Costs() if costs is None else read_costs(costs)
    name, found = (model, None) if manifest is None else manifest_model(manifest)
    if model is not None and name != model:
        raise UsageError(f"--model {model} and --manifest are of two models", what=f"the manifest is of {name}", hint="give one of them")
    if known.macs is None:
        macs = data.costs_macs or found or (None if model is None else model_macs(model))
        known = evolve(known, macs=macs)
    return name, known if costs_ms is None else evolve(known, ms=read_ms(costs_ms))


def _curve(curve: "tuple[Point, ...]", cost: str | None) -> dict[str, Any]:
    return {"cost": cost, "points": [{"at": point.at, "cost": point.cost, "accuracy": point.accuracy} for point in curve]}


def _show(policy: "Policy", outcome: "Outcome", promised: "Outcome | None" = None) -> None:
    """Write one line an exit, and one for the policy."""
    header = ["exit", "leaves if", "samples %"]
    rows = [[str(k + 1), _rule(policy, k), f"{outcome.shares[k] * 100:.2f}"] for k in range(policy.exits)]
    total = ["policy", "", "100.00"]
    if outcome.exit_accuracy is not None and outcome.leaver_accuracy is not None and outcome.accuracy is not None:
        header += ["right % of these", "right % if all"]
        for row, leavers, alone in zip(rows, outcome.leaver_accuracy, outcome.exit_accuracy, strict=True):
            row += ["-" if leavers is None else f"{leavers * 100:.2f}", f"{alone * 100:.2f}"]
        total += [f"{outcome.accuracy * 100:.2f}", ""]
    for metric, unit, divisor in (("macs", "M MACs", 1e6), ("ms", "ms", 1.0), ("bytes", "MB", 1e6)):
        values, mean = policy.costs.of(metric), getattr(outcome, metric)
        if values is not None and mean is not None:
            header.append(unit)
            for row, value in zip(rows, values, strict=True):
                row.append(f"{value / divisor:.2f}")
            total.append(f"{mean / divisor:.2f}")
    console.print_table(tuple(header), [tuple(row) for row in [*rows, total]])
    sys.stdout.write("\n" + _summary(policy, outcome, promised) + "\n")


def _rule(policy: "Policy", k: int) -> str:
    if k == policy.exits - 1:
        return "always"
    if policy.exit is not None:
        return "always" if k + 1 >= policy.exit else "never"
    if policy.patience is not None:
        return f"{policy.patience} exits agree" if k + 1 >= policy.patience else "never"
    threshold = (policy.thresholds or ())[k]
    return "never" if threshold is None else f"{policy.kind.replace('_', ' ')} >= {threshold / 1e6:.6f}"


def _summary(policy: "Policy", outcome: "Outcome", promised: "Outcome | None") -> str:
    parts = [policy.model or "network not named", policy.kind.replace("_", " "), f"{outcome.samples} samples"]
    for label, told in (("", outcome), ("fitted: ", promised)):
        if told is not None:
            known = [f"{told.accuracy * 100:.2f}% right"] if told.accuracy is not None else []
            known += [] if told.macs is None else [f"{told.macs / 1e6:.2f} M MACs"]
            known += [] if told.ms is None else [f"{told.ms:.3f} ms"]
            parts.append(label + ", ".join(known or ["nothing known"]))
    return "  ".join(parts)
