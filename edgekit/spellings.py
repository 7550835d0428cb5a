"""A model in other forms than a target gets, to count what they would cost: captured, but neither proved nor lowered.

For each question of ``rewrites/questions.py`` that a model poses, and each of its forms, the target's own rewrites are applied again
with this form tried before the others. Where the form does not fit, the one that the target gets takes the site, as in an export.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs
from attrs import frozen
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgekit.capabilities import Form, TargetFacts
from edgekit.macs import Macs, program_macs
from edgekit.masks.captured import captured
from edgekit.programs import Rewritten
from edgekit.rewrites.apply import merge_reports, rewrite_modules, rewrite_program
from edgekit.rewrites.base import GraphRewrite, ModuleRewrite
from edgekit.rewrites.graph import ProgramEditor
from edgekit.rewrites.questions import QUESTIONS, Question
from edgekit.rewrites.registry import GRAPH_REWRITES, MODULE_REWRITES
from edgekit.rewrites.report import RewriteReport

_Rewrite = TypeVar("_Rewrite", bound=ModuleRewrite | GraphRewrite)


@frozen
class Spelled:
    """A model in one spelling: what each rewrite did, by its name, and the multiply-adds of each method."""

    reports: Mapping[str, RewriteReport]
    macs: Mapping[str, Macs]

    def takes(self, form: str, site: str) -> bool:
        """Whether this rewrite took the site."""
        return form in self.reports and site in self.reports[form].sites

    def refusal(self, form: str, site: str) -> str | None:
        """Return why this rewrite left the site alone; ``None`` where it took it, or did not look at it."""
        skips = self.reports[form].skips if form in self.reports and not self.takes(form, site) else ()
        return next((skip.reason for skip in skips if skip.site == site), None)

    def touched(self, form: str) -> tuple[str, ...]:
        """Return the sites that this rewrite took or left alone."""
        report = self.reports.get(form, RewriteReport(name=form))
        return (*report.sites, *(skip.site for skip in report.skips))


@frozen(kw_only=True)
class Answers:
    """What one target gets of a model, and the same with each form of each question that the model poses tried first."""

    facts: TargetFacts
    shipped: Spelled
    tried: Mapping[str, Mapping[str, Spelled]]
    """By question, then by form."""


class Spellings:
    """Spells a model's methods; what two spellings have in common is captured once.

    :param name: the model's, for errors. :param modules: the eager methods. :param examples: what each is given.
    """

    def __init__(self, name: str, modules: Mapping[str, nn.Module], examples: Mapping[str, tuple[Tensor, ...]]) -> None:
        self._name = name
        self._modules = modules
        self._examples = examples
        self._captured: dict[Any, ExportedProgram] = {}

    def answers(self, facts: TargetFacts, rewritten: Rewritten) -> Answers:
        """Try every form of every question that the model poses a target.

        :param rewritten: what the target gets.
        """
        programs, reports = rewritten
        shipped = Spelled({report.name: report for report in reports}, {method: program_macs(program) for method, program in programs.items()})
        tried: dict[str, dict[str, Spelled]] = {}
        for question in QUESTIONS:
            methods = [method for method, program in programs.items() if self._poses(question, method, shipped, program)]
            for form in question.forms if methods else ():
                found = shipped if _comes_first(form, question, facts) else self._with_first(form, question, facts, methods, shipped)
                tried.setdefault(question.name, {})[form] = found
        return Answers(facts=facts, shipped=shipped, tried=tried)

    def _poses(self, question: Question, method: str, shipped: Spelled, program: ExportedProgram) -> bool:
        """Whether a form of the question did or refused something, or one that the target does not get would look at what is left."""
        prefix = f"{method}: " if len(shipped.macs) > 1 else ""
        if any(site.startswith(prefix) for form in question.forms for site in shipped.touched(form)):
            return True
        on_modules = [rewrite for rewrite in MODULE_REWRITES if rewrite.name in question.forms]
        if any(rewrite.match(module) for module in self._modules[method].modules() for rewrite in on_modules):
            return True
        on_graph = [rewrite for rewrite in GRAPH_REWRITES if rewrite.name in question.forms]
        editor = ProgramEditor(program) if on_graph else None
        return editor is not None and any(rewrite.match(node, editor) for node in editor.graph.nodes for rewrite in on_graph)

    def _with_first(self, form: str, question: Question, facts: TargetFacts, methods: Sequence[str], shipped: Spelled) -> Spelled:
        """Apply a target's rewrites with one more form, tried before the others of its question, to the methods that pose it."""
        facts = facts if facts.wants(form) else attrs.evolve(facts, forms=(*facts.forms, Form(rewrite=form, measured="counted only")))
        macs = dict(shipped.macs)
        reports: dict[str, tuple[RewriteReport, ...]] = dict.fromkeys(macs, ())
        for method in methods:
            example = self._examples[method]
            replaced, on_modules = rewrite_modules(self._modules[method], _first(form, question, MODULE_REWRITES), facts, example, prove=False)
            # The same replacements at the same sites are the same module: a target's limits make a rewrite refuse, and nothing else.
            key = (method, tuple((report.name, report.sites) for report in on_modules if report.sites))
            if key not in self._captured:
                self._captured[key] = captured(self._name, replaced, example).program
            graphs = _first(form, question, GRAPH_REWRITES)
            program, on_graph = rewrite_program(self._captured[key], graphs, facts, example, prove=False)
            macs[method], reports[method] = program_macs(program), on_modules + on_graph
        return Spelled({report.name: report for report in merge_reports(reports)}, macs)


def _first(form: str, question: Question, rewrites: Sequence[_Rewrite]) -> tuple[_Rewrite, ...]:
    """Return the rewrites in their order, but one form of a question before its others."""
    places = [place for place, rewrite in enumerate(rewrites) if rewrite.name in question.forms]
    moved = [rewrite for rewrite in rewrites if rewrite.name == form]
    if not moved:
        return tuple(rewrites)
    start = places[0]
    return (*rewrites[:start], *moved, *(rewrite for rewrite in rewrites[start:] if rewrite.name != form))


def _comes_first(form: str, question: Question, facts: TargetFacts) -> bool:
    """Whether a target tries this form of a question before the others as it is."""
    names = [*(rewrite.name for rewrite in MODULE_REWRITES), *(rewrite.name for rewrite in GRAPH_REWRITES)]
    return next((name for name in names if name in question.forms and facts.wants(name)), None) == form
