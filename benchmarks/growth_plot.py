"""Draws what :mod:`growth` stored: a picture an axis and a target, time over what grows, both by factors."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

NAMES = {"tflite": "LiteRT", "executorch": "ExecuTorch", "onnx": "onnxruntime"}
AXES = ("resolution", "batch", "threads", "depth")
_WIDTH, _HEIGHT = 230, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 34, 34
_STYLE = (
    "text{font:11px sans-serif;fill:#333}.title{font-weight:bold}.frame{stroke:#999;fill:none}.edgekit{stroke:#0b62c4;fill:none;stroke-width:2}"
    ".naive{stroke:#b4450f;fill:none;stroke-width:2;stroke-dasharray:5 3}rect.page{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}rect.page{fill:#16181c}.edgekit{stroke:#6fb1ff}.naive{stroke:#ff9d66}}"
)


def drawn(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return one SVG: targets are rows, axes columns; what is not stored says so."""
    found = {(document["target"], document["axis"]): document for document in documents if document.get("benchmark") == "growth"}
    width, height = _WIDTH * len(AXES), _HEIGHT * len(NAMES) + 22
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>Time over resolution, batch, threads and depth</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    for down, (target, name) in enumerate(NAMES.items()):
        for across, axis in enumerate(AXES):
            parts.append(f'<g transform="translate({across * _WIDTH} {down * _HEIGHT})">')
            parts += _picture(f"{name}, {axis}", found.get((target, axis)))
            parts.append("</g>")
    parts.append(f'<text x="{_LEFT}" y="{height - 8}">solid: edgekit; dashed: the vendor\'s plain export. Milliseconds, both axes by factors</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _picture(title: str, document: Mapping[str, Any] | None) -> list[str]:
    parts = [f'<text class="title" x="{_LEFT}" y="18">{escape(title)}</text>']
    if document is None or not document["points"]:
        return [*parts, f'<text x="{_LEFT}" y="{_HEIGHT // 2}">not measured yet</text>']
    points = document["points"]
    depth = document["axis"] == "depth"
    reached = [float(point["macs"] if depth else point["value"]) for point in points]
    times = {name: [row["min_ms"] for point in points for row in point["timed"] if row["variant"] == name] for name in ("edgekit", "naive")}
    every = [value for values in times.values() for value in values]
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts.append(f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}"/>')
    for name, values in times.items():
        line = " ".join(
            f"{_between(x, reached, _LEFT, right):.1f},{_between(y, every, bottom, _TOP):.1f}" for x, y in zip(reached, values, strict=True)
        )
        parts.append(f'<polyline class="{name}" points="{line}"/>')
    parts += [f'<text x="2" y="{place:.0f}">{value:.3g}</text>' for value, place in ((min(every), bottom), (max(every), _TOP + 8))]
    for value, place, anchor in ((points[0]["value"], _LEFT, "start"), (points[-1]["value"], right, "end")):
        parts.append(f'<text x="{place}" y="{bottom + 16}" text-anchor="{anchor}">{escape(str(value))}</text>')
    return parts


def _between(value: float, values: Sequence[float], first: float, last: float) -> float:
    """Return where a value lies among all, by factors."""
    low, high = math.log(min(values)), math.log(max(values))
    return first if high == low else first + (last - first) * (math.log(value) - low) / (high - low)
