"""Choose a policy: the one of a kind that keeps a budget, or reaches an accuracy, on validation samples."""

import math

from attrs import Attribute, field, frozen, validators

from edgekit.errors import UsageError
from edgekit.policy.confidences import CONFIDENCE_KINDS
from edgekit.policy.costs import Costs
from edgekit.policy.families import KINDS, Family, Point, cheapest_reaching, dearest_within
from edgekit.policy.logits import ExitLogits
from edgekit.policy.policy import Fitted, Policy
from edgekit.policy.replay import leave_at, leave_by_patience, leave_by_thresholds, outcome
from edgekit.policy.scores import Scores, scores_of

UNITS = {"macs": "MACs", "ms": "ms", "bytes": "bytes"}


def _positive(_: object, __: "Attribute[float]", value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"a budget of {value} is not above 0 and finite")


@frozen(kw_only=True)
class Budget:
    """A mean cost a sample that must not be exceeded on the validation samples.

    :param cost: ``macs`` or ``ms``.
    """

    limit: float = field(validator=_positive)
    cost: str = field(default="macs", validator=validators.in_(("macs", "ms")))


@frozen(kw_only=True)
class TargetAccuracy:
    """An accuracy that has to be reached on the validation samples, as cheaply as possible.

    :param cost: what is to be small, ``macs`` or ``ms``.
    """

    accuracy: float = field(validator=[validators.ge(0), validators.le(1)])
    cost: str = field(default="macs", validator=validators.in_(("macs", "ms")))


@frozen(kw_only=True)
class Fit:
    """A chosen policy and the line it was chosen from.

    :param curve: policies of the kind from the cheapest to the dearest, the chosen one not among them as a rule.
    :param cost: the metric of the curve's costs.
    """

    policy: Policy
    curve: tuple[Point, ...]
    cost: str


def fit_policy(
    logits: ExitLogits,
    objective: Budget | TargetAccuracy,
    costs: Costs,
    *,
    kind: str = "max_softmax",
    calibrate: bool = False,
    model: str | None = None,
) -> Fit:
    """Fit a policy to validation logits.

    :param costs: of reaching each exit; the objective's metric has to be known, the others are reported where they are.
    :param kind: ``max_softmax``, ``entropy``, ``margin``, ``patience`` or ``anytime``.
    :param calibrate: fit a temperature to each exit first; confidences only, and with labels.
    :param model: name of the network, kept in the policy.
    :raises UsageError: an unknown kind, costs unknown, no labels where they are needed, calibration of a kind without confidences.
    :raises BadInputError: the logits cannot be read, or the costs are of another number of exits.
    :raises BudgetError: no policy of the kind keeps the budget or reaches the accuracy.
    """
    check_request(logits, objective, costs, kind=kind, calibrate=calibrate)
    return fit_scores(scores_of(logits, kind, calibrate=calibrate), objective, costs, kind=kind, model=model)


def check_request(logits: ExitLogits, objective: Budget | TargetAccuracy, costs: Costs, *, kind: str, calibrate: bool) -> None:
    """Refuse what cannot succeed before the logits are read; errors as :func:`fit_policy`."""
    if kind not in KINDS:
        raise UsageError(f"unknown kind of policy {kind!r}", what=f"kinds: {', '.join(KINDS)}")
    if calibrate and kind not in CONFIDENCE_KINDS:
        raise UsageError(f"a policy of kind {kind} is not calibrated", why="temperatures change confidences, and it asks for none")
    if logits.labels is None and (calibrate or isinstance(objective, TargetAccuracy)):
        purpose = "calibration" if calibrate else "a target accuracy"
        raise UsageError(f"{purpose} needs labels", why="the logits come without", hint="np.savez(path, logits=..., labels=...)")
    if costs.of(objective.cost) is None:
        hint = "--costs-ms FILE" if objective.cost == "ms" else "--costs FILE, --model NAME, --artifact FILE, or costs_macs in the .npz"
        raise UsageError(f"the {UNITS[objective.cost]} of the exits are not known", why="a policy is chosen by its cost", hint=hint)
    costs.check(logits.shape[0])


def fit_scores(scores: Scores, objective: Budget | TargetAccuracy, costs: Costs, *, kind: str, model: str | None = None) -> Fit:
    """Fit a policy to scores; what is left of :func:`fit_policy` once the logits were read."""
    metric, unit = objective.cost, UNITS[objective.cost]
    values = costs.of(metric)
    if values is None:
        raise UsageError(f"the {unit} of the exits are not known")
    family = Family(scores, kind, values)
    grid = family.grid()
    if isinstance(objective, Budget):
        point = dearest_within(family, grid, objective.limit, unit)
        name, limit = f"budget_{metric}", objective.limit
    else:
        point = cheapest_reaching(family, grid, objective.accuracy, unit)
        name, limit = "target_accuracy", objective.accuracy
    if kind == "patience":
        exits = leave_by_patience(scores.named, int(point.at))
    elif kind == "anytime":
        exits = leave_at(scores.samples, int(point.at))
    else:
        exits = leave_by_thresholds(scores.micro, point.thresholds)
    policy = Policy(
        kind=kind,
        model=model,
        exits=scores.exits,
        classes=scores.classes,
        thresholds=point.thresholds if kind in CONFIDENCE_KINDS else None,
        temperatures=scores.temperatures,
        patience=int(point.at) if kind == "patience" else None,
        exit=int(point.at) if kind == "anytime" else None,
        costs=costs,
        fitted=Fitted(
            objective=name,
            limit=limit,
            cost=metric,
            q=point.at if kind in CONFIDENCE_KINDS else None,
            samples=scores.samples,
            labelled=scores.right is not None,
            calibrated=scores.temperatures is not None,
            sha256=scores.sha256,
        ),
        expected=outcome(scores, exits, costs),
    )
    return Fit(policy=policy, curve=tuple(grid), cost=metric)
