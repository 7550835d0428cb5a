"""The sections of a page, in reading order: what is proved, then what it costs, then the details, then where all of it comes from."""

from collections.abc import Callable

from edgekit.report.page import Section
from edgekit.report.results import Results
from edgekit.report.sections import (
    budgets,
    exits,
    latency,
    operators,
    pareto,
    parity,
    phones,
    profile,
    quantized,
    regions,
    sizes,
    sources,
    support,
    swept,
)

SECTIONS: tuple[Callable[[Results], Section | None], ...] = (
    support.section,
    sizes.section,
    latency.section,
    phones.section,
    pareto.section,
    swept.section,
    operators.section,
    profile.section,
    exits.section,
    regions.section,
    parity.section,
    quantized.section,
    budgets.section,
    sources.section,
)
"""Each gives nothing where nothing of its kind is stored."""
