"""What can become of a network's exits, told like any other site: the forms of ``--early-exit``, and the multiply-adds of their methods.

The methods are captured and counted before any rewrite, so every target has the same figures, and what nothing reads does not count:
the classifiers before a cut. ``method=K`` is left out: it is one of ``methods`` in a file of its own.
"""

from collections.abc import Sequence

from attrs import evolve
from torch.export import ExportedProgram

from edgekit.capabilities import TargetFacts
from edgekit.errors import UsageError
from edgekit.macs import Macs, added, program_macs
from edgekit.masks.captured import captured
from edgekit.methods import has_exits, method_sources
from edgekit.models.source import SourceModel
from edgekit.ops.early_exit import stages_of
from edgekit.recipe import EARLY_EXIT_FORMS, Recipe
from edgekit.rewrites.graph import ProgramEditor
from edgekit.sites import FormReport, SiteReport
from edgekit.verification.cases import eager_cases
from edgekit.verification.samples import verification_samples

_DEFAULT = "what a network with exits gets when nothing is asked for: nothing is computed twice, and each weight is stored once"


def exit_report(source: SourceModel, targets: Sequence[TargetFacts]) -> SiteReport | None:
    """Return the forms of a network's exits on each target; ``None`` for a network without."""
    if not has_exits(source.module):
        return None
    exits = len(stages_of(source.module))
    forms = [_counted(form, source) for pattern in EARLY_EXIT_FORMS for form in _spelled_out(pattern, exits)]
    return SiteReport(
        question="early exits",
        asks="at which exit a picture leaves depends on its confidence",
        sites=tuple(f"exit_{number}" for number in range(1, exits + 1)),
        eager_macs=next(form.macs for form in forms if form.form == EARLY_EXIT_FORMS[0]),
        targets={facts.name: tuple(_for_target(form, facts, source.name) for form in forms) for facts in targets},
    )


def _spelled_out(pattern: str, exits: int) -> list[str]:
    """``exit=K`` stands for every cut before the last exit."""
    if pattern == "method=K":
        return []
    return [f"exit={number}" for number in range(1, exits)] if pattern == "exit=K" else [pattern]


def _counted(form: str, source: SourceModel) -> FormReport:
    try:
        methods = method_sources(source.module, form)
    except UsageError as error:
        return FormReport(form=form, status="refused", reason=error.summary)
    cases = eager_cases(source, methods, verification_samples(source.preprocessing)[:1])
    macs = {method.name: _read(captured(source.name, method.module, cases[method.name].example()).program).total for method in methods}
    return FormReport(form=form, status="possible", macs=added(macs.values()), site_macs=added(macs.values()), methods=macs)


def _read(program: ExportedProgram) -> Macs:
    """Count what is left without the nodes that nothing reads."""
    return program_macs(ProgramEditor(program).finish())


def _for_target(form: FormReport, facts: TargetFacts, model: str) -> FormReport:
    if form.status == "refused" or Recipe(model=model, target=facts.name).for_exits().early_exit != form.form:
        return form
    one_graph = next((limit.breaks for limit in facts.limits if limit.rule == "methods_per_file"), None)
    return evolve(form, status="chosen", reason=one_graph or _DEFAULT)
