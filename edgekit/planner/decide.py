"""Decides what is quantized."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.export import ExportedProgram

from edgekit.capabilities import TargetFacts
from edgekit.planner.groups import groups_of
from edgekit.planner.plan import Decision, Plan, read_plan
from edgekit.recipe import Recipe


def decide(
    recipe: Recipe, facts: TargetFacts, model: str, programs: Mapping[str, ExportedProgram], calibration: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Plan:
    """Return the plan that a recipe pins, or make one.

    :param model: its name, without a folder. :param calibration: by method, inputs in the target's layout.
    :raises BadInputError: the plan is for another network, target or precision.
    """
    groups = groups_of(programs)
    if recipe.plan is not None:
        plan = read_plan(recipe.plan, model=model, target=facts.name, precision=recipe.precision)
        plan.kept_float(groups)  # refuses a plan for another network
        return plan
    rows = [Decision(method=group.method, path=group.path, kind=group.kind, nodes=len(group.nodes), quantized=True) for group in groups]
    return Plan(model=model, target=facts.name, precision=recipe.precision, groups=tuple(rows))
