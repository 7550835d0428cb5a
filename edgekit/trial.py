"""Tries whether a target takes a model once its rewrites are through: written into a folder that goes away, loaded, and run once.

That an operator is known to a converter does not say that it takes this call of it, nor that the runtime loads the file. So nothing is looked up:
what is told here has stopped the target's own tools. Answers are not compared; that is what an export does.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from edgekit.capabilities import target_facts
from edgekit.declared import metadata_for, method_spec
from edgekit.errors import EdgekitError
from edgekit.manifest import native_method
from edgekit.methods import MethodSource, has_exits, method_sources
from edgekit.models.source import SourceModel
from edgekit.programs import Rewritten, rewritten_programs
from edgekit.recipe import Recipe
from edgekit.targets.base import CannotRunHere, LoweringJob
from edgekit.targets.registry import get_target
from edgekit.verification.cases import Case, eager_cases
from edgekit.verification.feeding import run_method
from edgekit.verification.samples import Sample

_PRECISION = "fp32"  # with the fewest reasons of its own to be refused


@frozen(kw_only=True)
class Obstacle:
    """What stops a target: its tools stop at the first, so another may be behind it."""

    target: str
    summary: str
    what: str | None
    where: str | None
    why: str | None
    hint: str | None


def obstacle(
    target_name: str, source: SourceModel, samples: Sequence[Sample], methods: Sequence[MethodSource], cases: Mapping[str, Case], rewritten: Rewritten
) -> Obstacle | None:
    """Return what stops a target, or ``None`` where it wrote, loaded and ran every method.

    :param methods: of the model, of which ``cases`` and ``rewritten`` are made; a target whose files hold one graph gets its own.
    :raises MissingExtraError: its packages are not installed.
    """
    facts, target = target_facts(target_name), get_target(target_name)
    recipe = Recipe(model=source.name, target=facts.name, precision=_PRECISION)
    try:
        if has_exits(source.module):
            recipe = recipe.for_exits()
            if facts.holds_one_graph:
                methods = method_sources(source.module, recipe.early_exit, one_graph=True)
                cases = eager_cases(source, methods, samples)
                rewritten = rewritten_programs(source.name, methods, cases, facts)
        recipe = recipe.for_methods(len(cases))
        specs = tuple(method_spec(recipe, facts, case) for case in cases.values())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"trial{facts.suffix}"
            target.lower(LoweringJob(programs=rewritten[0], methods=specs, recipe=recipe, metadata=metadata_for(source, ()), destination=path))
            executable = target.open(path)
            for spec in specs:
                run_method(executable, spec, native_method(executable.methods, spec), cases[spec.name].inputs[0], samples[0])
    except CannotRunHere:
        return None
    except EdgekitError as error:
        return Obstacle(target=facts.name, summary=error.summary, what=error.what, where=error.where, why=error.why, hint=error.hint)
    return None
