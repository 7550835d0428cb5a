"""Small inline SVG pictures: points, bars, lines, histograms.

Drawn by hand rather than by matplotlib: colours are classes of the page, so one picture serves light and dark; text stays text, of a size that can
be read at 360 pixels; nothing optional has to be installed; and a picture takes two kilobytes instead of forty. Every text that comes
from a file is escaped here.
"""

import itertools
import math
from collections.abc import Callable, Sequence

from attrs import frozen
from markupsafe import Markup

WIDTH, HEIGHT = 360, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 40
_SHAPES = 5


@frozen(kw_only=True)
class Axis:
    """What a direction means: its words and its range, with marks at ``ticks`` (value and text)."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies between 0 and 1."""
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


@frozen(kw_only=True)
class Point:
    """A marked place; ``series`` chooses shape and colour, ``label`` is written beside it."""

    x: float
    y: float
    label: str
    series: int = 0


def linear(label: str, values: Sequence[float], *, zero: bool = False) -> Axis:
    """Return an axis over values, with round marks; ``zero``: it begins there."""
    low, high = (0.0 if zero else min(values)), max(values)
    if high == low:
        low, high = (0.0, high or 1.0) if low >= 0 else (low - 1, high + 1)
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple((number * step, f"{number * step:.10g}") for number in range(first, last + 1))
    return Axis(label=label, low=first * step, high=last * step, ticks=ticks)


def logarithmic(label: str, values: Sequence[float]) -> Axis:
    """Return an axis over positive values by factors, with marks at 1, 2 and 5 times powers of ten."""
    low, high = min(values) / 1.15, max(values) * 1.15
    steps = [factor * 10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for factor in (1, 2, 5)]
    inside = [value for value in steps if low <= value <= high]
    if len(inside) > 6:
        inside = [value for value in inside if f"{value:e}"[0] == "1"]
    if len(inside) < 2:
        inside = [min(values), max(values)] if max(values) > min(values) else [values[0]]
    return Axis(label=label, low=low, high=high, ticks=tuple((value, f"{value:.3g}") for value in inside), log=True)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))


def points(rows: Sequence[Point], x: Axis, y: Axis, *, line: Sequence[tuple[float, float]] = (), steps: bool = False) -> Markup:
    """Return marked places, and a line through others, straight or in steps."""
    put = _Plane(x, y)
    parts = [put.frame()]
    if line:
        placed = [put.at(*pair) for pair in line]
        corners = [placed[0]]
        for (_, before), (right, below) in itertools.pairwise(placed):
            corners += [(right, before), (right, below)] if steps else [(right, below)]
        parts.append(Markup('<polyline class="line" points="{}"/>').format(" ".join(f"{left:.1f},{top:.1f}" for left, top in corners)))
    placed_tags: list[tuple[float, float, float]] = []
    for row in rows:
        left, top = put.at(row.x, row.y)
        parts.append(_marker(left, top, row.series))
        start, base = _free_place(left, top, 6.6 * len(row.label), placed_tags)
        parts.append(Markup('<text class="tag" x="{:.1f}" y="{:.1f}">{}</text>').format(start, base, row.label))
    return _svg(parts, HEIGHT)


def _free_place(x: float, y: float, width: float, taken: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Return where a label of a mark may begin without lying on another's; ``taken`` is (start, baseline, width), and grows."""
    tries = [(start, y + down) for down in (-6, 15, -17, 26, -28) for start in (x + 6, x - 6 - width, x - width / 2)]
    inside = [(start, base) for start, base in tries if _LEFT < start < WIDTH - width and _TOP - 2 < base < HEIGHT - _BOTTOM - 2] or tries

    def is_free(start: float, base: float) -> bool:
        return not any(abs(base - other) < 11 and start < begin + wide + 2 and begin < start + width + 2 for begin, other, wide in taken)

    chosen = next((place for place in inside if is_free(*place)), inside[0])
    taken.append((*chosen, width))
    return chosen


def histogram(values: Sequence[float], label: str, *, limit: float | None = None) -> Markup:
    """Return how many values lie in each of ten to twenty intervals; ``limit`` is drawn as a line."""
    x = linear(label, [*values, limit] if limit is not None else values)
    bins = 12
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int(x.place(value) * bins))] += 1
    y = linear("samples", counts, zero=True)
    put = _Plane(x, y)
    parts = [put.frame()]
    width = (x.high - x.low) / bins
    for number, count in enumerate(counts):
        if count:
            left, top = put.at(x.low + number * width, count)
            right, bottom = put.at(x.low + (number + 1) * width, 0)
            parts.append(
                Markup('<rect class="bar s0" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    left + 0.5, top, right - left - 1, bottom - top
                )
            )
    if limit is not None:
        left, top = put.at(limit, y.high)
        parts.append(Markup('<line class="limit" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2}"/>').format(left, top, HEIGHT - _BOTTOM))
        parts.append(Markup('<text class="tag" x="{:.1f}" y="{:.1f}">limit</text>').format(left + 4, top + 10))
    return _svg(parts, HEIGHT)


def bars(rows: Sequence[tuple[str, Sequence[float]]], form: Callable[[float], str]) -> Markup:
    """Return horizontal bars: for each label one bar a series, its value written at the end; labels stand above their bars."""
    longest = max((value for _, values in rows for value in values), default=0) or 1
    parts, top = [], 4.0
    for label, values in rows:
        parts.append(Markup('<text class="label" x="2" y="{:.1f}">{}</text>').format(top + 11, _shortened(label, 46)))
        top += 16
        for series, value in enumerate(values):
            width = max(1.0, (WIDTH - 84) * max(0.0, value) / longest)
            parts.append(Markup('<rect class="bar s{}" x="2" y="{:.1f}" width="{:.1f}" height="11"/>').format(series % _SHAPES, top, width))
            parts.append(Markup('<text class="tag" x="{:.1f}" y="{:.1f}">{}</text>').format(width + 7, top + 10, form(value)))
            top += 14
        top += 6
    return _svg(parts, top)


class _Plane:
    """Turns values into places on the picture."""

    def __init__(self, x: Axis, y: Axis) -> None:
        self._x, self._y = x, y

    def at(self, x: float, y: float) -> tuple[float, float]:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * self._x.place(x), HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * self._y.place(y)

    def frame(self) -> Markup:
        bottom = HEIGHT - _BOTTOM
        parts = [Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(_LEFT, _TOP, bottom, WIDTH - _RIGHT)]
        for value, text in self._x.ticks:
            left, _ = self.at(value, self._y.low)
            parts.append(Markup('<path class="grid" d="M{0:.1f} {1}V{2}"/>').format(left, _TOP, bottom))
            parts.append(Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(left, bottom + 14, text))
        for value, text in self._y.ticks:
            _, top = self.at(self._x.low, value)
            parts.append(Markup('<path class="grid" d="M{0} {1:.1f}H{2}"/>').format(_LEFT, top, WIDTH - _RIGHT))
            parts.append(Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(_LEFT - 5, top + 4, text))
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        parts.append(Markup('<text class="name" x="{:.0f}" y="{}" text-anchor="middle">{}</text>').format(middle, HEIGHT - 6, self._x.label))
        parts.append(
            Markup('<text class="name" transform="translate(11 {:.0f}) rotate(-90)" text-anchor="middle">{}</text>').format(
                (_TOP + bottom) / 2, self._y.label
            )
        )
        return Markup("").join(parts)


def _marker(x: float, y: float, series: int) -> Markup:
    """Return a mark: series differ in shape as well as in colour."""
    kind = series % _SHAPES
    places = {
        1: "M{0} {1}h10v10h-10z",
        2: "M{0} {2}h10l-5 -10z",
        3: "M{3} {1}l6 5l-6 5l-6 -5z",
        4: "M{0} {1}l10 10m0 -10l-10 10",
    }
    if kind == 0:
        return Markup('<circle class="mark s0" cx="{:.1f}" cy="{:.1f}" r="5"/>').format(x, y)
    path = places[kind].format(*(f"{value:.1f}" for value in (x - 5, y - 5, y + 5, x)))
    return Markup('<path class="mark s{}" d="{}"/>').format(kind, path)


def key(names: Sequence[str]) -> Markup:
    """Return what the series are called, with their marks."""
    parts, left = [], 2.0
    top = 10
    for series, name in enumerate(names):
        width = 22 + 7.2 * len(name)
        if left + width > WIDTH and left > 2:
            left, top = 2.0, top + 18
        parts.append(_marker(left + 6, top, series))
        parts.append(Markup('<text class="label" x="{:.1f}" y="{}">{}</text>').format(left + 16, top + 4, name))
        left += width
    return _svg(parts, top + 10)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(parts: Sequence[Markup], height: float) -> Markup:
    return Markup('<svg viewBox="0 0 {} {:.0f}" aria-hidden="true" focusable="false">{}</svg>').format(WIDTH, height, Markup("").join(parts))
