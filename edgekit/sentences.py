"""What an export says about itself in one line, for people."""

from collections.abc import Sequence

from edgekit.rewrites.base import RewriteReport
from edgekit.verification.parity import Parity


def describe_rewrites(reports: Sequence[RewriteReport]) -> str:
    """Return one line for people; ``edgekit inspect MODEL`` has the details."""
    fired, sites = sum(bool(r.sites) for r in reports), sum(len(r.sites) for r in reports)
    skips = sum(len(r.skips) for r in reports)
    if not sites:
        return "nothing to rewrite"
    return f"{fired} rewrite{'s' * (fired > 1)} at {sites} site{'s' * (sites > 1)}, each proved; {skips} left alone"


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
    return outputs + _describe_numerics(parity) + _describe_selections(parity)


def _describe_selections(parity: Parity) -> str:
    found = parity.selections
    if found is None:
        return ""
    return f"  (same regions in {found['passes']} passes on {found['samples'] - len(found['differing'])} of {found['samples']})"


def _describe_numerics(parity: Parity) -> str:
    exact, operators = parity.numerics.get("fp32"), parity.operators
    if exact is None or exact is parity or exact.sqnr_db is None:
        return ""
    inner = "" if operators is None else f", {operators.compared} operators one by one"
    return f"  (float32 against the program: {exact.sqnr_db:.0f} dB{inner})"
