"""What is said of a target: limits, forms, and the row that holds them."""

from typing import Any

from attrs import frozen

from edgekit.errors import UnknownNameError
from edgekit.precision_rows import Precision


@frozen(kw_only=True)
class Limit:
    """A hard fact about a target: break ``rule`` and ``breaks`` happens."""

    rule: str
    value: Any
    verified: str
    source: str
    breaks: str


@frozen(kw_only=True)
class Form:
    """Which of several exact spellings a target gets, and the measurement that chose it."""

    rewrite: str
    measured: str


@frozen(kw_only=True)
class TargetFacts:
    """One target: its files, what it needs installed, what it can hold, and the rewrites it gets.

    ``precision_rows`` and ``inputs`` list the default first. ``forms`` are the rewrites applied, by name.
    """

    name: str
    alias: str | None = None
    suffix: str
    about: str
    extra: str
    modules: tuple[str, ...]
    precision_rows: tuple[Precision, ...]
    inputs: tuple[str, ...]
    image_layout: str
    limits: tuple[Limit, ...]
    forms: tuple[Form, ...]

    def limit(self, rule: str) -> Any:
        """Return the value of a rule, or ``None`` where the target states none."""
        return next((limit.value for limit in self.limits if limit.rule == rule), None)

    @property
    def precisions(self) -> tuple[str, ...]:
        """The names of those it can be written in, the default first."""
        return tuple(row.name for row in self.precision_rows if row.refused is None)

    def precision(self, name: str) -> Precision:
        """Return the row of a precision.

        :raises UnknownNameError: there is none.
        """
        for row in self.precision_rows:
            if row.name == name:
                return row
        raise UnknownNameError("precision", name, (row.name for row in self.precision_rows))

    @property
    def holds_one_graph(self) -> bool:
        """Whether a file cannot hold several methods."""
        return self.limit("methods_per_file") == 1

    def wants(self, rewrite: str) -> bool:
        """Whether the rewrite of this name is applied for the target."""
        return any(form.rewrite == rewrite for form in self.forms)
