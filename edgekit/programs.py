"""Brings a model's methods into the form a target gets: module rewrites, capture, graph rewrites, each proved."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgekit.capabilities import TargetFacts, target_facts
from edgekit.capture import capture
from edgekit.declared import metadata_for
from edgekit.interface import MethodSpec
from edgekit.masks.captured import captured, check_samples
from edgekit.masks.dynamic import refuse_dynamic, refuse_masks_left
from edgekit.methods import MethodSource
from edgekit.models.source import SourceModel
from edgekit.recipe import Recipe
from edgekit.rewrites.apply import merge_reports, rewrite_modules, rewrite_program
from edgekit.rewrites.registry import GRAPH_REWRITES, MODULE_REWRITES
from edgekit.rewrites.report import RewriteReport
from edgekit.targets.base import Counterparts, LoweringJob
from edgekit.targets.registry import get_target
from edgekit.verification.cases import Case

Rewritten = tuple[dict[str, ExportedProgram], tuple[RewriteReport, ...]]
"""A program for each method, and what each rewrite did to all of them."""


def rewritten_programs(name: str, methods: Sequence[MethodSource], cases: Mapping[str, Case], facts: TargetFacts) -> Rewritten:
    """Bring every method into the form a target gets; see :func:`rewritten_program`."""
    done = {
        method.name: rewritten_program(name, method.module, facts, cases[method.name].example(), samples=_samples(cases[method.name]))
        for method in methods
        if method.name in cases and not method.joins
    }
    return {method: program for method, (program, _) in done.items()}, merge_reports({method: reports for method, (_, reports) in done.items()})


def rewritten_program(
    name: str, module: nn.Module, facts: TargetFacts, example: tuple[Tensor, ...], *, samples: Sequence[tuple[Tensor, ...]] = ()
) -> tuple[ExportedProgram, tuple[RewriteReport, ...]]:
    """Bring a model, or a method of it, into the form a target gets: module rewrites, capture, graph rewrites, each proved.

    :param name: the model's, for errors.
    :param samples: inputs on which each boolean mask has to keep as many values as on the example.
    :raises CaptureError: it cannot be captured. :raises DataDependentError: a size depends on values.
    :raises ParityError: a mask keeps another number on a sample. :raises RewriteError: a rewrite changed a value.
    """
    module, module_reports = rewrite_modules(module, MODULE_REWRITES, facts, example)
    found = captured(name, module, example)
    check_samples(name, module, found.masks, samples)
    program, graph_reports = rewrite_program(found.program, GRAPH_REWRITES, facts, example)
    refuse_masks_left(name, program, graph_reports)
    return program, module_reports + graph_reports


def programs_for_batches(name: str, methods: Sequence[MethodSource], cases: Mapping[str, Case], largest_batch: int) -> Rewritten:
    """Capture every method with an open batch, as it is written: rewrites are made and proved for the sizes of one input.

    :raises CaptureError: it is written for one at a time. :raises DataDependentError: a size depends on values.
    """
    programs = {}
    for method in methods:
        program = capture(name, method.module, cases[method.name].example(), largest_batch=largest_batch)
        refuse_dynamic(name, program)
        programs[method.name] = program
    return programs, ()


def _samples(case: Case) -> list[tuple[Tensor, ...]]:
    return [tuple(torch.from_numpy(value.copy()) for value in given.values()) for given in case.inputs]


def lowered_programs(
    recipe: Recipe, source: SourceModel, sources: Sequence[MethodSource], methods: tuple[MethodSpec, ...], cases: Mapping[str, Case]
) -> Counterparts:
    """Make again the programs that an artifact was lowered from, where its values can be told by their nodes; else nothing."""
    facts, target = target_facts(recipe.target), get_target(recipe.target)
    if not target.keeps_names:
        return {}
    programs, _ = rewritten_programs(source.name, sources, cases, facts)
    job = LoweringJob(programs=programs, methods=methods, recipe=recipe, metadata=metadata_for(source, ()), destination=Path())
    return target.counterparts(job)
