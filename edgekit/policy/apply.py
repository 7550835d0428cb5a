"""Replay a policy on other logits, to see whether it keeps what it promised on the validation samples."""

from attrs import frozen

from edgekit.policy.families import Family, Point
from edgekit.policy.logits import ExitLogits
from edgekit.policy.policy import Policy
from edgekit.policy.replay import Outcome, outcome
from edgekit.policy.scores import scores_of


@frozen(kw_only=True)
class Replay:
    """What a policy did to data.

    :param curve: policies of the same kind on the same data, from the cheapest to the dearest, each fitted to this data; for
        comparison. Empty where the policy holds no costs.
    :param cost: metric of the curve's costs; ``None`` where the policy holds none.
    :param sha256: of the logits and labels.
    """

    policy: Policy
    outcome: Outcome
    curve: tuple[Point, ...]
    cost: str | None
    sha256: str


def apply_policy(policy: Policy, logits: ExitLogits, *, model: str | None = None) -> Replay:
    """Replay a policy.

    :param model: name of the network the logits are of, if known.
    :raises PolicyError: the policy is for another network.
    :raises BadInputError: the logits cannot be read.
    """
    exits, _, classes = logits.shape
    policy.check(exits=exits, classes=classes, model=model)
    scores = scores_of(logits, policy.kind, temperatures=policy.temperatures)
    cost = cost_of(policy)
    values = None if cost is None else policy.costs.of(cost)
    return Replay(
        policy=policy,
        outcome=outcome(scores, policy.exits_of(scores), policy.costs),
        curve=() if values is None else tuple(Family(scores, policy.kind, values).grid()),
        cost=cost,
        sha256=scores.sha256,
    )


def cost_of(policy: Policy) -> str | None:
    """Return the metric a policy is compared by: the one it was fitted to, or the first that is known."""
    wanted = (policy.fitted.cost,) if policy.fitted is not None else ()
    return next((metric for metric in (*wanted, "macs", "ms") if policy.costs.of(metric) is not None), None)
