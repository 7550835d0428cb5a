"""What a manifest says about early exits: the graph's own confidence, what each exit costs, and the policy that decides.

    "early_exit": {"confidence": "max_softmax", "costs": {"macs": [...], "ms": null, "bytes": [...]}, "thresholds": null,
                   "reads": "confidence", "policy": {...}}

``early_exit`` is null for an artifact without exits, ``policy`` for one that nobody has given a policy: then the app brings its own. ``policy`` is
what a policy file holds (:mod:`edgekit.policy.policy`). ``thresholds`` are those that the network was written with, if it was: without a
policy it leaves at exit k where ``confidence >= thresholds[k - 1]``, both float32. ``reads`` follows from the policy and stands there so that an
app need not work it out:

    reads         what a runtime looks at after exit k
    confidence    the output of that name: floor(confidence * 1000000) >= thresholds_micro[k - 1]
    logits        the output of that name, float32: the confidence that ``kind`` names, of the logits divided by temperatures[k - 1] if there are
                  any, is compared the same way; ``patience`` takes the class of the largest
    nothing       the number of the exit alone (``anytime``)

In a graph with all exits the outputs are called ``confidence_k`` and ``logits_k``. Temperatures are not part of the graph: a calibrated policy can be
replaced without another export, and every artifact gives logits. The JSON schemas lie in ``edgekit/schemas``.
"""

from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from edgekit.artifact import Manifest, model_name, read_manifest
from edgekit.errors import ArtifactError, PolicyError
from edgekit.policy.confidences import CONFIDENCE_KINDS
from edgekit.policy.costs import Costs
from edgekit.policy.own_thresholds import OwnThresholds, own_thresholds
from edgekit.policy.policy import Policy, costs_from_json, costs_json, policy_from_json, read_policy
from edgekit.policy.strict_json import Fields

KEY = "early_exit"
"""The manifest's member."""


@frozen(kw_only=True)
class ExitSection:
    """What is known of an artifact's exits.

    :param confidence: the kind that the graph computes beside the logits; ``None``: not known, so nothing may decide by it.
    :param costs: of reaching each exit.
    :param policy: the one that decides unless an app brings another; ``None``: none was stored.
    :param own: the network's own thresholds, which decide where there is no policy.
    """

    confidence: str | None
    costs: Costs = field(factory=Costs)
    policy: Policy | None = None
    own: OwnThresholds | None = None

    def with_policy(self, policy: Policy) -> "ExitSection":
        """Return the same with another policy."""
        return attrs.evolve(self, policy=policy)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "confidence": self.confidence,
            "costs": costs_json(self.costs),
            "thresholds": None if self.own is None else self.own.to_json(),
            "reads": None if self.policy is None else reads(self.policy, self.confidence),
            "policy": None if self.policy is None else self.policy.to_json(),
        }


def reads(policy: Policy, confidence: str | None) -> str:
    """Return what decides under a policy: ``confidence``, ``logits`` or ``nothing``.

    :param confidence: the kind that the graph computes.
    """
    if policy.exit is not None:
        return "nothing"
    uncalibrated = policy.temperatures is None
    return "confidence" if policy.kind in CONFIDENCE_KINDS and policy.kind == confidence and uncalibrated else "logits"


def section_of(manifest: Manifest) -> ExitSection | None:
    """Read the section of a manifest; ``None``: the artifact has no exits.

    :raises PolicyError: it holds what is no such section, or a policy that is none.
    """
    value, where = manifest.document.get(KEY), f"{KEY} of {manifest.path.name}"
    if value is None:
        return None
    fields = Fields(value, ("confidence", "costs", "thresholds", "reads", "policy"), where, PolicyError)
    costs = costs_from_json(fields.raw("costs"), None, where)
    policy = None if fields.is_null("policy") else policy_from_json(fields.raw("policy"), f"the policy of {manifest.path.name}")
    confidence = None if fields.is_null("confidence") else fields.text("confidence")
    section = ExitSection(confidence=confidence, costs=costs, policy=policy, own=own_thresholds(fields, "thresholds"))
    found = None if policy is None else reads(policy, section.confidence)
    if fields.raw("reads") != found:
        raise PolicyError(f"{where} says that {fields.raw('reads')!r:.40} decides", why=f"by its policy it is {found!r}", hint="attach it again")
    return section


def read_section(artifact: Path) -> tuple[str, ExitSection]:
    """Return the model that an artifact is of, and its exits.

    :raises ArtifactError: it has no manifest, is not what its manifest says, or has no exits.
    :raises PolicyError: as :func:`section_of`.
    """
    manifest = read_manifest(artifact)
    if manifest is None:
        raise ArtifactError(f"{artifact.name} has no manifest", where=str(artifact.parent), why="it tells which network the exits are of")
    section = section_of(manifest)
    if section is None:
        raise ArtifactError(f"{artifact.name} has no exits", hint="export a network with exits, with --early-exit methods or all")
    return model_name(manifest), section


def policy_in(path: Path) -> Policy:
    """Read a policy: a file of its own, or the one in an artifact's manifest.

    :param path: ``.json``, or an artifact.
    :raises PolicyError: there is none, or it is none. :raises ArtifactError: the artifact has no manifest or no exits.
    """
    if path.suffix == ".json" or not path.exists():
        return read_policy(path)
    _, section = read_section(path)
    if section.policy is None:
        raise PolicyError(f"{path.name} holds no policy", hint=f"edgekit policy attach {path.name} --policy FILE")
    return section.policy
