"""What an export says about itself in one line, for people."""

from collections.abc import Sequence

from edgekit.batches import tried
from edgekit.capabilities import FIRST_WITH_FUNCTIONS
from edgekit.recipe import Recipe
from edgekit.rewrites.report import RewriteReport
from edgekit.verification.parity import Parity


def describe_rewrites(reports: Sequence[RewriteReport]) -> str:
    """Return one line for people; ``edgekit inspect MODEL`` has the details."""
    fired, sites = sum(bool(r.sites) for r in reports), sum(len(r.sites) for r in reports)
    skips = sum(len(r.skips) for r in reports)
    if not sites:
        return "nothing to rewrite"
    return f"{fired} rewrite{'s' * (fired > 1)} at {sites} site{'s' * (sites > 1)}, each proved; {skips} left alone"


def notes_on(asked: Recipe, made: Recipe) -> tuple[str, ...]:
    """Return what an artifact is that its request did not ask for and may not expect."""
    notes = []
    if asked.early_exit is None and made.early_exit == "all":
        notes.append(
            f"{made.deployment_target} has no packages with a function an exit, so this one is a single function with every exit's logits: an app "
            f"chooses among them, and stopping early saves no time. --deployment-target {FIRST_WITH_FUNCTIONS} gives each exit its function"
        )
    if made.dynamic is not None:
        sizes = ", ".join(map(str, (1, *tried(made.largest_batch))))
        notes.append(f"up to {made.largest_batch} at once, compared at {sizes}; captured as it is written: rewrites are made for one at a time")
    return tuple(notes)


def describe_parity(parity: Parity) -> str:
    """Return one line for people."""
    if parity.verdict == "not_executed":
        return f"NOT EXECUTED: {parity.reason}"
    if parity.sqnr_db is None:
        return f"FAIL: {parity.reason}"
    outputs = (
        f"executed by {parity.executed_by}  max error {parity.max_abs_error:.1e}  SQNR {parity.sqnr_db:.0f} dB  "
        f"top-1 {parity.top1_agreement:.0%} of {parity.samples}  {parity.verdict}"
    )
    return outputs + _describe_numerics(parity) + _describe_selections(parity) + _describe_regions(parity) + _describe_exits(parity)


def _describe_selections(parity: Parity) -> str:
    found = parity.selections
    if found is None:
        return ""
    return f"  (same regions in {found['passes']} passes on {found['samples'] - len(found['differing'])} of {found['samples']})"


def _describe_regions(parity: Parity) -> str:
    found = parity.regions
    if found is None:
        return ""
    if not found["differing"]:
        return f"  (the artifact takes the same regions on {found['samples']})"
    within = "" if found["furthest"] is None else f", within {found['furthest']:.1e} of the threshold"
    return f"  (the artifact takes other regions on {len(found['differing'])} of {found['samples']}{within}; eager forced to them there)"


def _describe_exits(parity: Parity) -> str:
    found = parity.early_exit
    if found is None:
        return ""
    near = f", {len(found['near'])} others are at a threshold" if found["near"] else ""
    return f"  (same exit and class on {found['samples'] - len(found['differing']) - len(found['other_class'])} of {found['samples']}{near})"


def _describe_numerics(parity: Parity) -> str:
    exact, operators = parity.numerics.get("fp32"), parity.operators
    if exact is None or exact is parity or exact.sqnr_db is None:
        return ""
    inner = "" if operators is None else f", {operators.compared} operators one by one"
    return f"  (float32 against the program: {exact.sqnr_db:.0f} dB{inner})"
