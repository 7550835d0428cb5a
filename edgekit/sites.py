"""The sites of a model at which a target has a choice: the form it gets and why, those it could get, and what each costs.

    chosen      the target gets it here; the reason is the measurement that chose it
    possible    its check takes the site, and the program was captured; it was not lowered
    refused     its check does not; the reason is its own sentence

A form costs the multiply-adds of the target's whole program with this form wherever it fits; ``site_macs`` are those at the sites,
which compare with the model's own there, whatever else the target's rewrites spare elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from attrs import field, frozen

from edgekit.capabilities import TargetFacts
from edgekit.macs import Macs, added
from edgekit.rewrites.questions import QUESTIONS, Question
from edgekit.spellings import Answers

AS_WRITTEN = "as_written"
"""The form of a site that no rewrite takes."""

Status = Literal["chosen", "possible", "refused"]


@frozen(kw_only=True)
class FormReport:
    """One form at some sites, for one target.

    :param reason: why it was chosen or refused; ``None`` for one that is merely possible.
    :param macs: of the whole program, all methods together; ``None`` where refused, or where a size depends on data.
    :param site_macs: those at the sites; ``None`` also where a site is no module. :param methods: ``macs`` by method.
    """

    form: str
    status: Status
    reason: str | None = None
    macs: int | None = None
    site_macs: int | None = None
    methods: Mapping[str, int | None] = field(factory=dict)


@frozen(kw_only=True)
class SiteReport:
    """Sites for which every target has the same forms, and these forms by target.

    :param asks: what is decided there, in a clause. :param sites: dotted paths of modules, or names of nodes; of several methods each begins
        with its method. :param eager_macs: multiply-adds there in the model as it is written; ``None`` where a site is no module.
    """

    question: str
    asks: str
    sites: tuple[str, ...]
    eager_macs: int | None
    targets: Mapping[str, tuple[FormReport, ...]]


@frozen
class _Verdict:
    form: str
    status: Status
    reason: str | None = None


_Verdicts = tuple[tuple[str, tuple[_Verdict, ...]], ...]
"""By target. Sites with equal verdicts are told together."""


def site_reports(answers: Sequence[Answers], eager: Mapping[str, Macs]) -> tuple[SiteReport, ...]:
    """Put together what the forms of all targets came to, in the order of the questions.

    :param answers: one a target. :param eager: the methods as they are written.
    """
    reports = []
    for question in QUESTIONS:
        alike: dict[_Verdicts, list[str]] = {}
        asked = [answer for answer in answers if question.name in answer.tried]
        for site in dict.fromkeys(site for answer in asked for site in _sites(question, answer)):
            told = tuple((answer.facts.name, _verdicts(question, site, answer)) for answer in asked)
            alike.setdefault(tuple((target, verdicts) for target, verdicts in told if verdicts), []).append(site)
        reports += [_report(question, tuple(sites), verdicts, answers, eager) for verdicts, sites in alike.items()]
    return tuple(reports)


def _sites(question: Question, answer: Answers) -> Iterable[str]:
    return (site for form, spelled in answer.tried[question.name].items() for site in spelled.touched(form))


def _verdicts(question: Question, site: str, answer: Answers) -> tuple[_Verdict, ...]:
    """Return what a target makes of each form at a site; nothing where none of them looks at it."""
    found = []
    taken = [form for form in question.forms if answer.shipped.takes(form, site)]
    for form, spelled in answer.tried[question.name].items():
        if form in taken[:1]:
            found.append(_Verdict(form, "chosen", _measured(form, answer.facts)))
        elif spelled.takes(form, site):
            found.append(_Verdict(form, "possible"))
        elif (reason := spelled.refusal(form, site)) is not None:
            found.append(_Verdict(form, "refused", reason))
    if found and not taken:
        found.insert(0, _Verdict(AS_WRITTEN, "chosen", "no form that is listed for the target takes it"))
    return tuple(found)


def _measured(form: str, facts: TargetFacts) -> str:
    return next(row.measured for row in facts.forms if row.rewrite == form)


def _report(question: Question, sites: tuple[str, ...], verdicts: _Verdicts, answers: Sequence[Answers], eager: Mapping[str, Macs]) -> SiteReport:
    of_target = {answer.facts.name: answer for answer in answers}
    places = [_place(site, tuple(eager)) for site in sites]
    modules = all(not path or path in eager[method].by_module for method, path in places)

    def counted(target: str, verdict: _Verdict) -> FormReport:
        if verdict.status == "refused":
            return FormReport(form=verdict.form, status=verdict.status, reason=verdict.reason)
        answer = of_target[target]
        macs = (answer.shipped if verdict.status == "chosen" else answer.tried[question.name][verdict.form]).macs
        return FormReport(
            form=verdict.form,
            status=verdict.status,
            reason=verdict.reason,
            macs=added(one.total for one in macs.values()),
            site_macs=added(macs[method].at(path) for method, path in places) if modules else None,
            methods={method: one.total for method, one in macs.items()},
        )

    return SiteReport(
        question=question.name,
        asks=question.asks,
        sites=sites,
        eager_macs=added(eager[method].at(path) for method, path in places) if modules else None,
        targets={target: tuple(counted(target, verdict) for verdict in of_form) for target, of_form in verdicts},
    )


def _place(site: str, methods: tuple[str, ...]) -> tuple[str, str]:
    """Return the method of a site and its path there."""
    if len(methods) == 1:
        return methods[0], site
    method, _, path = site.partition(": ")
    return method, path
