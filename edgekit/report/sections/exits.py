"""Where samples leave networks with early exits, what that costs, and how right it is."""

from collections.abc import Iterator, Sequence

from attrs import frozen

from edgekit.report import chart
from edgekit.report.entry import Entry
from edgekit.report.evidence import BENCHMARK, POLICY
from edgekit.report.page import MISSING, Block, Cell, Figure, Section, Text, missing, number, percent, table
from edgekit.report.results import Results

_INTRO = (
    "A policy decides from confidences where a sample leaves. Its shares and accuracy are those of the samples it was fitted to, which flatters it, "
    "unless it says replayed."
)
_SCALES = {"macs": (1e6, "million multiply-adds"), "ms": (1.0, "milliseconds"), "bytes": (1e6, "MB")}


@frozen(kw_only=True)
class _Outcome:
    """What a policy did. ``cost`` names what ``curve``, ``costs`` and ``mean`` count; costs are those of leaving at each exit."""

    title: str
    about: str
    counts: tuple[int, ...]
    accuracy: float | None
    exit_accuracy: tuple[float, ...]
    cost: str | None
    mean: float | None
    costs: tuple[float, ...]
    curve: tuple[tuple[float, float | None], ...]


def section(results: Results) -> Section | None:
    """Return shares and budget curves of all policies that are stored, and what exits cost where none is."""
    blocks: list[Block] = []
    for outcome in _outcomes(results):
        blocks += _blocks(outcome)
    blocks += list(_timed(results))
    costs = [row for row in results.artifacts if row.early_exit is not None]
    if costs:
        blocks.append(_costs([(row.name, row.early_exit) for row in costs if row.early_exit is not None]))
    return Section(key="exits", title="Early exits", blocks=(Text(_INTRO), *blocks)) if blocks else None


def _outcomes(results: Results) -> Iterator[_Outcome]:
    """Yield what policies did; one that is stored in several places is shown once, from where most is known."""
    seen: list[object] = []
    for title, policy, curve in _policies(results):
        if policy.values not in seen:
            seen.append(policy.values)
            yield from _policy(policy, title, curve)
    for source in results.evidence.of("policy apply"):
        yield from _replayed(source.entry, source.name)


def _policies(results: Results) -> Iterator[tuple[str, Entry, Entry | None]]:
    for source in results.evidence.of("policy fit"):
        policy = source.entry.entry("policy")
        if policy is not None:
            yield f"policy fit ({source.name})", policy, source.entry.entry("curve")
    for source in results.evidence.of(POLICY):
        yield source.name, source.entry, None
    for row in results.artifacts:
        policy = None if row.early_exit is None else row.early_exit.entry("policy")
        if policy is not None:
            yield f"policy in {row.name}", policy, None


def _policy(policy: Entry, title: str, curve: Entry | None) -> Iterator[_Outcome]:
    expected, fitted = policy.entry("expected"), policy.entry("fitted")
    if expected is None:
        return
    cost = (fitted.text("cost") if fitted is not None else None) or "macs"
    costs = policy.entry("costs")
    samples = "written by hand" if fitted is None else f"fitted to {fitted.integer('samples') or '?'} samples"
    about = f"{policy.text('model') or 'any network'}, {(policy.text('kind') or '?').replace('_', ' ')}, {samples}"
    yield _outcome(expected, title, about, cost, () if costs is None else costs.numbers(cost), curve)


def _replayed(entry: Entry, name: str) -> Iterator[_Outcome]:
    outcome, curve = entry.entry("outcome"), entry.entry("curve")
    if outcome is None:
        return
    cost = (None if curve is None else curve.text("cost")) or "macs"
    costs = [row.number(cost) for row in entry.entries("single_exits")]
    known = tuple(value for value in costs if value is not None)
    kind, samples = (entry.text("kind") or "?").replace("_", " "), entry.integer("samples") or "?"
    about = f"{entry.text('model') or 'any network'}, {kind}, replayed on {samples} samples"
    yield _outcome(outcome, f"policy apply ({name})", about, cost, known if len(known) == len(costs) else (), curve)


def _outcome(values: Entry, title: str, about: str, cost: str, costs: tuple[float, ...], curve: Entry | None) -> _Outcome:
    rows = () if curve is None else curve.entries("points")
    points = tuple((value, row.number("accuracy")) for row in rows if (value := row.number("cost")) is not None)
    return _Outcome(
        title=title,
        about=about,
        counts=tuple(int(value) for value in values.numbers("counts")),
        accuracy=values.number("accuracy"),
        exit_accuracy=values.numbers("exit_accuracy"),
        cost=cost if cost in _SCALES else None,
        mean=values.number(cost),
        costs=costs,
        curve=points,
    )


def _blocks(outcome: _Outcome) -> Iterator[Block]:
    total = sum(outcome.counts)
    if not total:
        return
    shares = [(f"exit {k}", [count / total * 100]) for k, count in enumerate(outcome.counts, start=1)]
    most = max(range(len(outcome.counts)), key=outcome.counts.__getitem__)
    said = f"{outcome.about}. Of {total:,} samples most leave at exit {most + 1}: {outcome.counts[most] / total:.1%}."
    picture = chart.bars(shares, lambda value: f"{value:.1f}%")
    yield Figure(title=f"Where samples leave: {outcome.title}", description=said, picture=picture)
    curve = _curve(outcome)
    if curve is not None:
        yield curve
    scale, unit = _SCALES.get(outcome.cost or "", (1.0, "cost"))
    costs: Sequence[float | None] = outcome.costs or (None,) * len(outcome.counts)
    right: Sequence[float | None] = outcome.exit_accuracy or (None,) * len(outcome.counts)
    rows: list[tuple[Cell | str, ...]] = [
        (f"exit {k}", f"{count:,}", percent(count / total), percent(alone), missing() if cost is None else Cell(f"{cost / scale:,.2f}"))
        for k, (count, alone, cost) in enumerate(zip(outcome.counts, right, costs, strict=False), start=1)
    ]
    mean = missing() if outcome.mean is None else Cell(f"{outcome.mean / scale:,.2f}")
    rows.append(("the policy", f"{total:,}", "100.0%", percent(outcome.accuracy), mean))
    header = ("leaving at", "samples", "share", "accuracy, all leaving here", f"cost, {unit}")
    yield table(f"Exits: {outcome.title}", header, rows, note=f"{outcome.about}.")


def _curve(outcome: _Outcome) -> Block | None:
    """Draw accuracy against mean cost: the line of all policies of the kind, single exits as squares, this policy as a dot."""
    if outcome.cost is None or outcome.mean is None or outcome.accuracy is None:
        return Text(f"{outcome.title}: no budget curve, because accuracy or costs are not stored.", "open")
    scale, unit = _SCALES[outcome.cost]
    line = [(cost / scale, right * 100) for cost, right in outcome.curve if right is not None]
    marks = [chart.Point(x=outcome.mean / scale, y=outcome.accuracy * 100, label="policy")]
    marks += [
        chart.Point(x=cost / scale, y=right * 100, label=str(k), series=1)
        for k, (cost, right) in enumerate(zip(outcome.costs, outcome.exit_accuracy, strict=False), start=1)
    ]
    x = chart.linear(f"mean {unit} a sample", [*(mark.x for mark in marks), *(place for place, _ in line)], zero=True)
    y = chart.linear("top-1 accuracy, %", [*(mark.y for mark in marks), *(right for _, right in line)])
    picture = chart.points(marks, x, y, line=line) + chart.key(["this policy", "one exit for all"])
    said = f"This policy is right on {outcome.accuracy:.1%} at {outcome.mean / scale:,.2f} {unit} a sample."
    if not line:
        said += " The line of other budgets is not stored in a policy file; policy fit --json keeps it."
    return Figure(title=f"Accuracy against cost: {outcome.title}", description=said, picture=picture)


def _timed(results: Results) -> Iterator[Block]:
    """Show what stored benchmarks measured under a policy."""
    for source in results.evidence.of(BENCHMARK):
        for row in source.entry.entries("results"):
            counts = row.numbers("policy_exits")
            if not counts or not sum(counts):
                continue
            predicted, measured = row.number("policy_predicted_ms"), row.number("policy_measured_ms")
            cells: list[tuple[Cell | str, ...]] = [
                (f"exit {k}", f"{count:.0f}", percent(count / sum(counts)), number(own))
                for k, (count, own) in enumerate(zip(counts, row.numbers("exits_ms") or (None,) * len(counts), strict=False), start=1)
            ]
            told = f"Predicted {predicted:.2f} ms a picture, measured {measured:.2f}." if predicted is not None and measured is not None else ""
            title = f"{source.entry.text('model')} on {row.text('target')} ({source.name})"
            note = f"An untrained network on noise: that shares are alike is by choice. {told}"
            yield table(f"Exits as timed: {title}", ("exit", "samples", "share", "own ms"), cells, note=note)


def _costs(rows: list[tuple[str, Entry]]) -> Block:
    """Show costs once for all artifacts that have the same."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, exits in rows:
        costs = exits.entry("costs")
        for metric, (scale, unit) in _SCALES.items():
            values = () if costs is None else costs.numbers(metric)
            if values:
                told = ", ".join(f"{value / scale:,.2f}" for value in values)
                found.setdefault((unit, told, exits.text("confidence") or MISSING), []).append(name)
    cells: list[tuple[Cell | str, ...]] = [(told, unit, confidence, ", ".join(names)) for (unit, told, confidence), names in found.items()]
    return table("What reaching each exit costs", ("exit 1, 2, ...", "in", "confidence in the graph", "artifacts"), cells)
