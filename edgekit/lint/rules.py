"""What a rule and a finding are."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from attrs import field, frozen

Severity = Literal["warning", "info"]
"""``warning``: published as leaving the accelerator, stopping it, or giving wrong values. ``info``: published as slower."""

PREDICTION = "placement is decided on the device; this is a prediction from published rules"


@frozen(kw_only=True)
class Hit:
    """One operator that breaks a rule, before anybody has looked up where it comes from.

    ``node`` is the captured program's node it stands for, ``module`` the path of its module; each where the format keeps it.
    ``hint`` replaces the rule's own where there is a better one for this operator.
    """

    method: str
    operator: str
    name: str
    problem: str
    node: str | None = None
    module: str | None = None
    hint: str | None = None


@frozen(kw_only=True)
class Rule:
    """One published rule. ``verified`` is the day its source was read, ``check`` finds what breaks it in one artifact."""

    id: str
    accelerator: str
    severity: Severity
    statement: str
    hint: str
    source: str
    verified: str
    check: Callable[[Any], Iterable[Hit]] = field(repr=False, eq=False)


@frozen(kw_only=True)
class Finding:
    """One operator that breaks a rule: who says so, where it comes from, and what helps."""

    rule: str
    severity: Severity
    accelerator: str
    method: str
    operator: str
    name: str
    module: str | None
    line: str | None
    problem: str
    hint: str
    source: str
