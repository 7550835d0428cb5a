"""What it costs to reach an exit and answer there, everything on the way included: multiply-adds, milliseconds, bytes."""

import itertools
import math
from pathlib import Path
from typing import Any

from attrs import Attribute, field, fields, frozen

from edgekit.errors import BadInputError
from edgekit.models.registry import MODELS
from edgekit.policy.strict_json import read_json

METRICS = ("macs", "ms", "bytes")
_FILE_HINT = '[291002624, ...] or {"macs": [...], "ms": [...], "bytes": [...]}, one number an exit, each with everything before it'


def _cumulative(_: object, attribute: "Attribute[Any]", values: tuple[float, ...] | None) -> None:
    if values is None:
        return
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise BadInputError(f"the costs in {attribute.name} are not all positive and finite", what=_listed(values))
    if any(after < before for before, after in itertools.pairwise(values)):
        raise BadInputError(
            f"the costs in {attribute.name} fall from one exit to the next",
            what=_listed(values),
            why="a cost is that of everything up to the exit",
            hint="add up the costs of the stages",
        )


@frozen(kw_only=True)
class Costs:
    """Cumulative costs of K exits; ``None``: unknown.

    :param macs: multiply-adds.
    :param ms: milliseconds, of one image on one device.
    :param bytes: of whatever is counted, such as the weights that have to be loaded.
    :raises BadInputError: a cost is not positive and finite, or smaller than that of the exit before.
    """

    macs: tuple[int, ...] | None = field(default=None, validator=_cumulative)
    ms: tuple[float, ...] | None = field(default=None, validator=_cumulative)
    bytes: tuple[int, ...] | None = field(default=None, validator=_cumulative)

    def of(self, metric: str) -> tuple[float, ...] | None:
        """Return one of ``macs``, ``ms``, ``bytes``."""
        found: tuple[float, ...] | None = getattr(self, metric)
        return found

    def check(self, exits: int) -> None:
        """Refuse costs of another number of exits.

        :raises BadInputError: they are.
        """
        for attribute in fields(Costs):
            values = getattr(self, attribute.name)
            if values is not None and len(values) != exits:
                raise BadInputError(f"{len(values)} costs in {attribute.name} for {exits} exits", what=_listed(values), hint="one for each exit")


def read_costs(text: str) -> Costs:
    """Read ``--costs``: numbers with commas between them (multiply-adds), or a JSON file of such a list or of one list a metric.

    :raises BadInputError: neither.
    """
    numbers = _inline(text)
    document = read_json(Path(text), BadInputError, "a list of costs") if numbers is None else list(numbers)
    if isinstance(document, list):
        document = {"macs": document}
    if not isinstance(document, dict) or not document or not set(document) <= set(METRICS):
        raise BadInputError(f"{text} holds no costs", hint=_FILE_HINT)
    lists = {metric: None if values is None else _numbers(values, text) for metric, values in document.items()}
    whole = {metric: None if lists.get(metric) is None else tuple(round(value) for value in lists[metric] or ()) for metric in ("macs", "bytes")}
    return Costs(macs=whole["macs"], ms=lists.get("ms"), bytes=whole["bytes"])


def read_ms(text: str) -> tuple[float, ...]:
    """Read ``--costs-ms``: numbers with commas between them, a JSON list, ``{"ms": [...]}``, or what ``edgekit bench --json`` printed.

    Of a bench result the medians of ``exit_1``, ``exit_2``, ... are added up, as each is a stage of its own.

    :raises BadInputError: none of these, or a bench result of several artifacts or numbers of threads.
    """
    numbers = _inline(text)
    if numbers is not None:
        return numbers
    document = read_json(Path(text), BadInputError, "a list of costs in milliseconds")
    if isinstance(document, dict) and document.get("command") == "bench":
        return _of_bench(document, text)
    if isinstance(document, dict):
        document = document.get("ms")
    if not isinstance(document, list):
        raise BadInputError(f"{text} holds no costs in milliseconds", hint='[4.3, 9.1, ...], {"ms": [...]} or the output of edgekit bench --json')
    return _numbers(document, text)


def model_macs(name: str) -> tuple[int, ...] | None:
    """Return the cumulative multiply-adds of a registered model's exits at its default resolution; ``None``: not registered.

    :raises BadInputError: registered, but without exits.
    """
    entry = next((entry for entry in MODELS if entry.name == name), None)
    if entry is None:
        return None
    if not entry.exit_macs:
        raise BadInputError(f"{name} has no early exits", what=f"models with exits: {', '.join(row.name for row in MODELS if row.exit_macs)}")
    return entry.exit_macs


def _of_bench(document: dict[str, Any], text: str) -> tuple[float, ...]:
    try:
        rows = {str(row["method"]): float(row["p50_ms"]) for row in document["results"] if str(row["method"]).startswith("exit_")}
        runs = {(str(row["artifact"]), row["threads"]) for row in document["results"] if str(row["method"]).startswith("exit_")}
        stages = [rows[f"exit_{k}"] for k in range(1, len(rows) + 1)]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(f"{text} is no bench result with exits", why=f"{type(error).__name__}: {error}") from error
    if len(runs) != 1:
        found = "; ".join(f"{artifact}, {threads} threads" for artifact, threads in sorted(runs, key=str)) or "no method exit_1"
        raise BadInputError(f"{text} does not hold one run of one artifact's exits", what=found, hint="bench one artifact with one number of threads")
    return tuple(itertools.accumulate(stages))


def _inline(text: str) -> tuple[float, ...] | None:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        return None


def _numbers(values: Any, text: str) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise BadInputError(f"{text} does not hold lists of numbers", hint=_FILE_HINT)
    if not all(math.isfinite(value) for value in values):
        raise BadInputError(f"{text} holds a cost that is not finite")
    return tuple(float(value) for value in values)


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
