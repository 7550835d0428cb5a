"""What it costs to reach each exit of a network, for its artifacts' manifests: counted, so that a user's own network has it, too."""

import itertools
from collections.abc import Mapping, Sequence

from torch import nn

from edgekit.interface import GRAPH_CONFIDENCE, LOGITS, THRESHOLDS
from edgekit.macs import eager_macs
from edgekit.methods import MethodSource
from edgekit.ops.early_exit import DecidingNetwork
from edgekit.policy.costs import Costs
from edgekit.policy.own_thresholds import OwnThresholds
from edgekit.policy.section import ExitSection
from edgekit.recipe import Recipe
from edgekit.verification.cases import Case

_WEIGHT_BYTES = {"fp32": 4, "fp16": 2}


def exit_section(recipe: Recipe, network: nn.Module, methods: Sequence[MethodSource], cases: Mapping[str, Case]) -> ExitSection | None:
    """Return what the manifest says about an artifact's exits; ``None`` where a policy has none to choose from.

    Costs are cumulative: multiply-adds of one image, and bytes of the parameters at the artifact's precision. ``None``: not to be counted, or a
    precision that does not store every weight in the same size. In a graph with all exits each costs as much as the last: all of
    it is always computed.
    """
    if recipe.early_exit not in ("methods", "select", "all"):
        return None
    stages = [method for method in methods if method.name.startswith("exit_")]
    exits = len(stages) or _exits_inside(cases[methods[0].name])
    if exits < 2:
        return None
    counted, repeated = (stages, 1) if stages else (list(methods), exits)
    size = _WEIGHT_BYTES.get(recipe.precision)
    macs = _added_up([eager_macs(method.module, cases[method.name].example()).total for method in counted])
    weights = _added_up([None if size is None else size * sum(part.numel() for part in method.module.parameters()) for method in counted])
    return ExitSection(
        confidence=network.own_confidence if isinstance(network, DecidingNetwork) else GRAPH_CONFIDENCE,
        own=OwnThresholds(network.own_thresholds) if isinstance(network, DecidingNetwork) else None,
        costs=Costs(macs=None if macs is None else macs * repeated, bytes=None if weights is None else weights * repeated),
    )


def _exits_inside(case: Case) -> int:
    """Return how many exits one graph computes: it gives the logits of each, or takes a threshold for each but the last."""
    if THRESHOLDS in case.inputs[0]:
        return len(case.inputs[0][THRESHOLDS]) + 1
    return sum(name.startswith(f"{LOGITS}_") for name in case.outputs)


def _added_up(counts: Sequence[int | None]) -> tuple[int, ...] | None:
    """Return the running sums; ``None`` where one is not known or the first exit costs nothing, which is no cost to choose by."""
    known = [count for count in counts if count is not None]
    return tuple(itertools.accumulate(known)) if len(known) == len(counts) and known[0] > 0 else None
