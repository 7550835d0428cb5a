"""``build_report``: read stored results, make the page, put both forms of it in place."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from edgekit.artifact import check_output
from edgekit.policy.policy import place_file
from edgekit.report.evidence import Evidence, gather
from edgekit.report.html import to_html
from edgekit.report.markdown import to_markdown
from edgekit.report.page import Page
from edgekit.report.regions import RegionMaps, region_maps
from edgekit.report.results import Results, read_results
from edgekit.report.sections import SECTIONS
from edgekit.version import __version__

NAME = "edgekit-report"


@frozen(kw_only=True)
class Report:
    """What was written where, and from what."""

    html: Path
    markdown: Path
    results: Results
    page: Page


def build_report(
    paths: Sequence[str | Path],
    *,
    output_dir: str | Path = ".",
    title: str = "edgekit report",
    regions: Sequence[str] = (),
    photograph: Path | None = None,
    weights: Path | None = None,
    today: dt.date | None = None,
) -> Report:
    """Make ``edgekit-report.html`` and ``edgekit-report.md`` from stored results; ones that are there are replaced, each in one step.

    :param paths: folders and files: manifests, policies, benchmarks, and what ``bench``, ``gate``, ``verify`` and ``policy`` print with --json.
    :param regions: IMC-Nets whose regions on ``photograph`` are computed and shown, with ``weights`` if given.
    :param today: the day the page names; ``None``: this one.
    :raises EvidenceError: a file is truncated or no result, or nothing is stored there.
    :raises ArtifactError: an artifact is not the one that its manifest describes.
    :raises OutputError: the folder cannot be written.
    """
    places = [Path(output_dir) / f"{NAME}{suffix}" for suffix in (".html", ".md")]
    for place in places:
        check_output(place, overwrite=True)
    evidence = gather([Path(path) for path in paths])
    page, results = make_page(evidence, title=title, maps=[region_maps(name, photograph, weights) for name in regions], today=today)
    contents = [to_html(page), to_markdown(page)]  # both, before either is written
    for place, content in zip(places, contents, strict=True):
        place_file(place, content.encode())
    return Report(html=places[0], markdown=places[1], results=results, page=page)


def make_page(evidence: Evidence, *, title: str, maps: Sequence[RegionMaps] = (), today: dt.date | None = None) -> tuple[Page, Results]:
    """Return the page of some evidence, and the evidence as read.

    :raises EvidenceError: a member of a result is of the wrong type.
    """
    results = read_results(evidence, tuple(maps))
    day = (today or dt.datetime.now(tz=dt.UTC).date()).isoformat()
    made = f"Made {day} by edgekit {__version__} from {len(evidence.sources)} stored results. {_counts(results)}"
    sections = tuple(section for make in SECTIONS if (section := make(results)) is not None)
    return Page(title=title, made=made, sections=sections), results


def _counts(results: Results) -> str:
    """Say first what is not proved: nobody should have to look for it."""
    if not results.artifacts:
        return "No artifact's manifest is among them, so nothing here says that an artifact is right."
    counts: dict[str, int] = {}
    for row in results.artifacts:
        counts[row.parity.status] = counts.get(row.parity.status, 0) + 1
    untrained = sum(row.trained is False for row in results.artifacts)
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return f"{len(results.artifacts)} artifacts: {told}; {untrained} with untrained weights."
