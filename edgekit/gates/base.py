"""An earlier report of a gate, as ``edgekit gate --json`` wrote it, to compare with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.errors import BudgetFileError
from edgekit.gates.constants import Constant
from edgekit.gates.contents import Contents
from edgekit.policy.strict_json import read_json

_WHAT = "a report of edgekit gate"


@frozen(kw_only=True)
class BaseArtifact:
    """One artifact as it was: values by metric, versions by tool, and what was inside."""

    metrics: Mapping[str, float]
    tools: Mapping[str, str]
    contents: Contents


@frozen(kw_only=True)
class Base:
    """A report. Artifacts that were missing then are not in it."""

    path: Path
    artifacts: Mapping[str, BaseArtifact]


def read_base(path: Path) -> Base:
    """Read a report; whether its budgets were kept does not matter.

    :raises BudgetFileError: missing, no JSON, or no report of this version.
    """
    document = read_json(path, BudgetFileError, _WHAT)
    if not isinstance(document, dict) or (document.get("schema_version"), document.get("command")) != (1, "gate"):
        raise BudgetFileError(f"{path.name} is not {_WHAT}", where=str(path), hint="edgekit gate --budgets FILE --json > base.json")
    try:
        return Base(path=path, artifacts={str(row["name"]): _artifact(row) for row in document["artifacts"] if row["contents"] is not None})
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BudgetFileError(f"{path.name} is not {_WHAT}", where=str(path), why=f"{type(error).__name__}: {error}") from error


def _artifact(row: Any) -> BaseArtifact:
    contents = row["contents"]
    constants = contents["constants"]
    return BaseArtifact(
        metrics={str(name): float(metric["value"]) for name, metric in row["metrics"].items()},
        tools={str(name): str(version) for name, version in row["tools"].items()},
        contents=Contents(
            operators=_counts(contents["operators"]),
            nodes=_counts(contents["nodes"]),
            constants=None if constants is None else tuple(Constant(str(name), int(size), str(sha256)) for name, size, sha256 in constants),
        ),
    )


def _counts(row: Any) -> dict[str, int]:
    return {str(name): int(count) for name, count in row.items()}
