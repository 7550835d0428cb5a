"""``edgekit policy``: fit early-exit thresholds, and replay them."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console
from edgekit.cli.policy_table import show_policy
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.policy.costs import Costs
    from edgekit.policy.families import Point
    from edgekit.policy.fit import Budget, Fit, TargetAccuracy
    from edgekit.policy.logits import LogitsFile
    from edgekit.policy.policy import Policy

_EXAMPLES = """\b
edgekit policy fit --logits val.npz --model chase-imagenet --budget-macs 1.0e9 -o policy.json --plot policy.svg
edgekit policy fit --logits val.npz --costs-ms bench.json --budget-ms 12 --calibrate temperature -o policy.json
edgekit policy fit --logits val.npz --artifact net.tflite --artifact net.pte --target-accuracy 0.77 --kind entropy
edgekit policy apply --policy policy.json --logits test.npz
edgekit policy attach net.mlpackage --policy policy.json
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
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where the policy is written, JSON; what lies there is replaced.")] = None,
    artifact: Annotated[
        list[Path] | None, typer.Option(help="An exported artifact, or several: the policy is stored in its manifest, which knows model and costs.")
    ] = None,
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
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Fit thresholds to a budget or an accuracy on validation logits, by MSDNet's budgeted-batch rule.

    A sample leaves where its confidence is at least the exit's threshold; samples of equal confidence leave together. Multiply-adds
    come from --costs, else the .npz, else --artifact or --model. Exit code 6: no policy keeps the budget or reaches the accuracy.

    \b
    edgekit policy fit --logits val.npz --model chase-imagenet --budget-macs 1.0e9 -o policy.json --plot policy.svg
    edgekit policy fit --logits val.npz --costs-ms 4.3,9.1,13.9 --budget-ms 12 --calibrate temperature -o policy.json
    edgekit policy fit --logits val.npz --costs 1e8,4e8,9e8 --target-accuracy 0.77 --kind entropy -o policy.json
    edgekit policy fit --logits val.npz --artifact net.tflite --budget-macs 1.0e9
    """
    objective = _objective(budget_macs, budget_ms, target_accuracy, prefer_ms=costs_ms is not None)
    artifacts = artifact or []
    if output is None and not artifacts:
        raise UsageError("say where the policy goes", what="-o FILE, --artifact FILE, or both", hint="-o policy.json")
    if plot is not None:
        from edgekit.policy.plot import check_plot

        check_plot(plot)
    from edgekit.artifact import check_output
    from edgekit.policy.fit import fit_policy
    from edgekit.policy.logits import read_logits
    from edgekit.policy.policy import write_policy

    if output is not None:
        check_output(output, overwrite=True)
    data = read_logits(logits)
    _check(artifacts, data)
    name, known = _costs(data, costs, costs_ms, model, artifacts)
    found = fit_policy(data, objective, known, kind=kind.value.replace("-", "_"), calibrate=calibrate is not None, model=name)
    if output is not None:
        write_policy(found.policy, output)
    _attach(artifacts, found.policy)
    if plot is not None:
        _plot_fit(plot, found)
    if not as_json and found.policy.expected is not None:
        show_policy(found.policy, found.policy.expected)
    _say_written(output, plot)
    if as_json:
        console.print_json(
            {
                "schema_version": 1,
                "command": "policy fit",
                "path": output,
                "artifacts": artifacts,
                "plot": plot,
                "policy": found.policy.to_json(),
                "curve": _curve(found.curve, found.cost),
            }
        )


@policy.command()
def apply(
    *,
    policy: Annotated[Path, typer.Option("--policy", help="A policy that edgekit policy fit wrote, or an artifact that holds one.")],
    logits: Annotated[Path, typer.Option(help=".npz with logits (exits, samples, classes), and labels (samples,) if accuracy is wanted.")],
    model: Annotated[str | None, typer.Option(help="The network the logits are of: refused if the policy is for another.")] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Replay a policy on other logits: where samples leave, how often it is right, what it costs, beside every single exit.

    \b
    edgekit policy apply --policy policy.json --logits test.npz
    edgekit policy apply --policy policy.json --logits test.npz --json --plot test.png
    edgekit policy apply --policy net.tflite --logits test.npz
    """
    if plot is not None:
        from edgekit.policy.plot import check_plot

        check_plot(plot)
    from edgekit.policy.apply import apply_policy
    from edgekit.policy.logits import read_logits
    from edgekit.policy.policy import outcome_json
    from edgekit.policy.section import policy_in

    chosen = policy_in(policy)
    found = apply_policy(chosen, read_logits(logits), model=model)
    if plot is not None:
        from edgekit.policy.plot import write_plot

        write_plot(plot, chosen, found.outcome, found.curve, found.cost, about="replayed")
        console.note(f"wrote {plot}")
    if not as_json:
        show_policy(chosen, found.outcome, promised=chosen.expected)
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


@policy.command()
def attach(
    artifacts: Annotated[list[Path], typer.Argument(help="Artifacts of the network that the policy is for, with their manifests.")],
    *,
    policy: Annotated[Path, typer.Option("--policy", help="A policy that edgekit policy fit wrote, or an artifact that holds one.")],
    as_json: AsJson = False,
) -> None:
    """Store a policy in the manifests of artifacts, where apps and run_early_exit find it; the artifacts stay as they are.

    \b
    edgekit policy attach net.tflite net.mlpackage --policy policy.json
    """
    from edgekit.policy.section import policy_in

    chosen = policy_in(policy)
    _attach(artifacts, chosen)
    if as_json:
        console.print_json({"schema_version": 1, "command": "policy attach", "artifacts": artifacts, "policy": chosen.to_json()})


def _plot_fit(plot: Path, found: "Fit") -> None:
    from edgekit.policy.plot import write_plot

    if found.policy.expected is not None:
        write_plot(plot, found.policy, found.policy.expected, found.curve, found.cost, about="validation")


def _say_written(*places: Path | None) -> None:
    for place in places:
        if place is not None:
            console.note(f"wrote {place}")


def _check(artifacts: Sequence[Path], data: "LogitsFile") -> None:
    if artifacts:
        from edgekit.runtime.attach import check_artifacts  # imports torch, which fitting does without

        check_artifacts(artifacts, exits=data.shape[0], classes=data.shape[2])


def _attach(artifacts: Sequence[Path], policy: "Policy") -> None:
    if artifacts:
        from edgekit.runtime.attach import attach_policy

        attach_policy(artifacts, policy)
    for artifact in artifacts:
        console.note(f"stored the policy in the manifest of {artifact}")


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


def _costs(data: "LogitsFile", costs: str | None, costs_ms: str | None, model: str | None, artifacts: "Sequence[Path]") -> "tuple[str | None, Costs]":
    from attrs import evolve

    from edgekit.policy.costs import Costs, model_macs, read_costs, read_ms
    from edgekit.policy.section import read_section

    known, name, found = Costs() if costs is None else read_costs(costs), model, Costs()
    if artifacts:
        name, section = read_section(artifacts[0])
        found = section.costs
        if model is not None and name != model:
            raise UsageError(f"--model {model} and --artifact are of two models", what=f"{artifacts[0].name} is of {name}", hint="give one of them")
    if known.macs is None:
        known = evolve(known, macs=data.costs_macs or found.macs or (None if model is None else model_macs(model)))
    known = evolve(known, bytes=known.bytes or found.bytes)
    return name, known if costs_ms is None else evolve(known, ms=read_ms(costs_ms))


def _curve(curve: "tuple[Point, ...]", cost: str | None) -> dict[str, Any]:
    return {"cost": cost, "points": [{"at": point.at, "cost": point.cost, "accuracy": point.accuracy} for point in curve]}
