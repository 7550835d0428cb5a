"""Reads a file of budgets, strictly: every budget names its owner, its reason and the day it was agreed on.

    schema_version = 1

    [[artifact]]
    name = "emov2-1m_224_fp32.tflite"
    tools = { torch = "2.13.0", litert-torch = "0.10.0" }
    budgets = [
        { metric = "size.total", max = 5_900_000, owner = "exports", date = 2026-11-21, reason = "..." },
        { metric = "delegation.share", min = 1.0, owner = "exports", date = 2026-11-21, reason = "..." },
    ]

Budgets hold for the tools they were agreed on with: another version of a converter is another table of the same name.
"""

import datetime as dt
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from attrs import frozen

from edgekit.errors import BudgetFileError, UnknownNameError
from edgekit.gates.kinds import Kind, kind_of
from edgekit.gates.strict_toml import Table

SCHEMA = 1
_MOST_BYTES = 4 * 1024 * 1024


@frozen(kw_only=True)
class Budget:
    """One limit on one metric, in the metric's unit: the largest allowed value, or the smallest where more is better."""

    metric: str
    limit: float
    owner: str
    reason: str
    date: dt.date

    @property
    def kind(self) -> Kind:
        """What the metric is."""
        return kind_of(self.metric)

    def slack(self, reached: float) -> float:
        """Return how far a value stays within the limit; negative: by how much it exceeds it."""
        return self.limit - reached if self.kind.bound == "max" else reached - self.limit


@frozen(kw_only=True)
class Group:
    """The budgets of the artifact of this file name, when it was made with these tools. ``position``: which table of the file it is."""

    name: str
    tools: Mapping[str, str]
    budgets: tuple[Budget, ...]
    position: int

    def differing_tools(self, found: Mapping[str, str]) -> list[str]:
        """Return what is another version in ``found``, in words. A build's local part (``+cpu``) counts only where the file names one."""
        return [
            f"{name} is {found.get(name, 'not among its tools')}, the budgets are for {wanted}"
            for name, wanted in self.tools.items()
            if wanted not in {found.get(name, ""), found.get(name, "").partition("+")[0]}
        ]


def read_budgets(path: Path) -> tuple[Group, ...]:
    """Read a file of budgets.

    :raises BudgetFileError: missing, no TOML, or with anything unknown, absent, of another type, or said twice.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BudgetFileError(f"{path.name} is too large to be budgets", what=f"{path.stat().st_size} bytes")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BudgetFileError(f"cannot read the budgets {path.name}", where=str(path), why=error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise BudgetFileError(f"{path.name} is no TOML", where=str(path), why=f"{type(error).__name__}: {error}") from error
    top = Table(content, path.name, required=("schema_version", "artifact"))
    if (version := top.integer("schema_version")) != SCHEMA:
        raise BudgetFileError(f"{path.name} has schema version {version}", what=f"this edgekit reads version {SCHEMA}")
    groups = tuple(_group(row, position, path.name) for position, row in enumerate(top.rows("artifact")))
    keys = [(group.name, *sorted(group.tools.items())) for group in groups]
    for position, key in enumerate(keys):
        if key in keys[:position]:
            raise BudgetFileError(f"{path.name} has two tables for {key[0]} with the same tools", hint="make them one")
    return groups


def _group(row: Any, position: int, file: str) -> Group:
    where = f"{file}: artifact {position + 1}"
    table = Table(row, where, required=("name", "tools", "budgets"))
    name = table.text("name")
    if PurePath(name).name != name or name == ".." or "\\" in name:
        raise BudgetFileError(f"{where}: {name!r} is not the name of a file", why="artifacts are looked for in the folders that are named")
    where = f"{file}: {name}"
    tools = table.texts("tools")
    if not tools:
        raise BudgetFileError(f"{where}: no tools", why="budgets hold for versions of the tools; without any they would hold for all")
    budgets = tuple(_budget(each, where) for each in table.rows("budgets"))
    metrics = [budget.metric for budget in budgets]
    for place, metric in enumerate(metrics):
        if metric in metrics[:place]:
            raise BudgetFileError(f"{where}: two budgets for {metric}", hint="delete one")
    return Group(name=name, tools=tools, budgets=budgets, position=position)


def _budget(row: Any, where: str) -> Budget:
    table = Table(row, f"{where}: a budget", required=("metric", "owner", "reason", "date"), optional=("max", "min"))
    metric = table.text("metric")
    table.where = f"{where}: {metric}"
    try:
        bound = kind_of(metric).bound
    except UnknownNameError as error:
        raise BudgetFileError(f"{where}: {error.summary}", what=error.what, hint=error.hint) from error
    if set(row) & {"max", "min"} != {bound}:
        better = "less" if bound == "max" else "more"
        raise BudgetFileError(f"{table.where}: the limit is not `{bound}`", what=", ".join(row), why=f"{better} is better of this metric")
    return Budget(metric=metric, limit=table.number(bound), owner=table.text("owner"), reason=table.text("reason"), date=table.day("date"))
