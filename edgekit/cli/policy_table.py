"""A policy and what it does, as a table for people."""

from typing import TYPE_CHECKING

from edgekit.cli import console

if TYPE_CHECKING:
    from edgekit.policy.policy import Policy
    from edgekit.policy.replay import Outcome


def show_policy(policy: "Policy", outcome: "Outcome", promised: "Outcome | None" = None) -> None:
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
    console.line("\n" + _summary(policy, outcome, promised))


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
