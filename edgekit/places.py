"""The places of a model that targets do not take as they are written: operator and line, what becomes of them for which target, and why."""

from collections.abc import Mapping

from attrs import frozen

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.described import described
from edgekit.rewrites.questions import QUESTIONS
from edgekit.rewrites.report import Place, RewriteReport


@frozen(kw_only=True)
class Taken:
    """What becomes of a place for a target.

    :param rewrite: the one that looked at it. :param count: how many such places it took; 0 where it left all of them alone.
    :param why: the target's row for the rewrite, or where it left the place alone its reason.
    :param exact: when the rewrite computes the same, by its own words; ``None`` where it says nothing.
    :param max_error: the largest difference of all its places here, relative to the largest value at each.
    :param question: which of the sites with several forms this is, whose table has the multiply-adds of each.
    """

    target: str
    rewrite: str
    count: int
    why: str
    exact: str | None
    max_error: float | None
    question: str | None


@frozen(kw_only=True)
class PlaceReport:
    """An operator or a kind of module, a line of the model, and what becomes of it for each target."""

    operator: str
    line: str | None
    taken: tuple[Taken, ...]


def place_reports(reports: Mapping[str, tuple[RewriteReport, ...]], facts: Mapping[str, TargetFacts]) -> tuple[PlaceReport, ...]:
    """Put together what all targets' rewrites did or refused, by place, in the order in which the first target met them.

    Modules have no line: their class is where they come from.

    :param reports: by target. :param facts: likewise.
    """
    said = {name: description.exact for name, description in described().items()}
    question_of = {form: question.name for question in QUESTIONS for form in question.forms}
    found: dict[Place, list[Taken]] = {}
    for target, rewrites in reports.items():
        rows = {form.rewrite: form.measured for form in facts[target].forms}
        done = {pair for report in rewrites for pair in zip(report.sites, report.places, strict=False)}
        for report in rewrites:
            verdicts = [(place, 1, rows.get(report.name, "")) for place in report.places]
            # What one rewrite leaves and another takes is not left.
            left = [skip for skip in report.skips if (skip.site, skip.place) not in done]
            verdicts += [(skip.place, 0, skip.reason) for skip in left if skip.place is not None]
            counts: dict[tuple[Place, str], int] = {}
            for place, taken, why in verdicts:
                counts[place, why] = counts.get((place, why), 0) + taken
            for (place, why), count in counts.items():
                found.setdefault(place, []).append(
                    Taken(
                        target=target,
                        rewrite=report.name,
                        count=count,
                        why=why,
                        exact=said.get(report.name),
                        max_error=report.max_error if count else None,
                        question=question_of.get(report.name),
                    )
                )
    return tuple(PlaceReport(operator=place.operator, line=place.line, taken=tuple(taken)) for place, taken in found.items())
