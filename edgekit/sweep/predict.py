"""How long a sweep will take, and how much it will keep: from cells like these that are done, or else from a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from edgekit.models.registry import model_entry
from edgekit.quantization.scheme import SCHEMES
from edgekit.sweep.cell import Cell

_START_S = 3.0
"""A process that imports torch and a runtime."""
_EXPORT_S = {"fp": 12.0, "quantized": 60.0, "calibrated": 240.0}
"""Networks of half a million to two million parameters; larger ones take longer."""
_MACS_PER_S = {"eager": 2e9, "coreml": 5e8, "coreai": 3e9}
_OTHER_MACS_PER_S = 4e9
_BENCH_S = 15.0
_BITS = {"w4": 4, "pa": 8, "w8": 8}


class Guesses:
    """Seconds by what a cell is of."""

    def __init__(self, done: Iterable[tuple[Mapping[str, Any], float]]) -> None:
        self._known: dict[tuple[Any, ...], list[float]] = {}
        for about, seconds in done:
            for key in _likenesses(about):
                self._known.setdefault(key, []).append(seconds / _size(about))

    def seconds(self, about: Mapping[str, Any]) -> float:
        """Return the mean of the cells that are most like this one, or what the table says."""
        for key in _likenesses(about):
            if found := self._known.get(key):
                return sum(found) / len(found) * _size(about)
        return _from_table(about)


def _likenesses(about: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return what cells have in common, the most alike first."""
    kind, model, target, precision = (about.get(name) for name in ("kind", "model", "target", "precision"))
    return [(kind, model, target, precision, about.get("resolution")), (kind, model, target, precision)]


def _size(about: Mapping[str, Any]) -> int:
    return int(about.get("pictures") or 1)


def _from_table(about: Mapping[str, Any]) -> float:
    kind = about.get("kind")
    if kind == "export":
        scheme = SCHEMES[about["precision"]]
        usual = _EXPORT_S["calibrated" if scheme.calibrated else "quantized" if scheme.quantized else "fp"]
        return usual * max(1.0, model_entry(about["model"]).parameters / 2e6)
    if kind in ("eager", "evaluate"):
        speed = _MACS_PER_S.get(about.get("target") or "eager", _OTHER_MACS_PER_S)
        return _START_S + _size(about) * model_entry(about["model"]).macs / speed
    return _BENCH_S


@frozen(kw_only=True)
class Prediction:
    """What is left to do. ``seconds``: of all cells together; ``ends_s``: from now, on so many slots. Bytes are of artifacts."""

    cells: int
    seconds: float
    ends_s: float
    size_bytes: int


def predict(cells: Iterable[Cell], slots: int) -> Prediction:
    """Say how long these cells take on so many slots: never less than the longest chain, nor than what has to be alone."""
    left = list(cells)
    alone = sum(cell.guess_s for cell in left if cell.alone)
    beside = [cell for cell in left if not cell.alone]
    total = sum(cell.guess_s for cell in beside)
    longest = max((cell.guess_s for cell in beside), default=0.0)
    sizes = [_bytes(cell.about) for cell in left if cell.kind == "export"]
    return Prediction(cells=len(left), seconds=total + alone, ends_s=max(total / slots, longest) + alone, size_bytes=sum(sizes))


def _bytes(about: Mapping[str, Any]) -> int:
    precision = str(about["precision"])
    bits = {"fp16": 16}.get(precision, _BITS.get(precision[:2], 32))
    return int(model_entry(about["model"]).parameters * bits / 8 * 1.1) + 200_000
