"""A picture of a policy: accuracy against cost, and where samples leave. Needs the extra ``plot``."""

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.errors import MissingExtraError, UsageError
from edgekit.policy.families import Point
from edgekit.policy.policy import Policy, place_file
from edgekit.policy.replay import Outcome

SUFFIXES = (".svg", ".png")
_BLUE, _GREY, _RED = "#1f5fa8", "#5c5c5c", "#c2371f"


def check_plot(path: Path) -> None:
    """Refuse a plot that could not be written, before anything slow starts.

    :raises UsageError: another suffix than .svg or .png.
    :raises MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"cannot plot to {path.name}", what=f"formats: {', '.join(SUFFIXES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("a plot", "plot", ["matplotlib"])


def write_plot(path: Path, policy: Policy, outcome: Outcome, curve: Sequence[Point], cost: str | None, *, about: str) -> None:
    """Draw a policy's outcome; equal input gives an equal file.

    :param curve: policies of the same kind on the same samples; costs in ``cost``.
    :param cost: ``macs`` or ``ms``; without it, or without labels, only the shares are drawn.
    :param about: what the samples are, for the title.
    :raises OutputError: the folder cannot be written.
    """
    check_plot(path)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    values = None if cost is None else policy.costs.of(cost)
    both = values is not None and outcome.exit_accuracy is not None
    content = io.BytesIO()
    with rc_context({"svg.hashsalt": "edgekit", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(11, 4.6) if both else (6, 4.6), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(f"{policy.model or 'network'}: {policy.kind.replace('_', ' ')} policy on {outcome.samples:,} {about} samples")
        axes = figure.subplots(1, 2 if both else 1, squeeze=False, width_ratios=(1.5, 1) if both else (1,))[0]
        if both and values is not None:
            _draw_accuracy(axes[0], outcome, curve, values, *_scale(cost or "macs", values))
        _draw_shares(axes[-1], outcome)
        options: dict[str, Any] = {"metadata": {"Date": None}} if path.suffix.lower() == ".svg" else {"dpi": 150, "metadata": {"Software": None}}
        figure.savefig(content, format=path.suffix.lower()[1:], **options)
    place_file(path, content.getvalue())


def _scale(cost: str, values: Sequence[float]) -> tuple[float, str]:
    """Return by what costs are divided, and the axis' words."""
    if cost == "ms":
        return 1, "mean time per image (ms)"
    if max(values) >= 1e9:
        return 1e9, "mean multiply-adds per image (GMACs)"
    return 1e6, "mean multiply-adds per image (MMACs)"


def _draw_accuracy(axes: Any, outcome: Outcome, curve: Sequence[Point], values: Sequence[float], divisor: float, label: str) -> None:
    shown = [(point.cost / divisor, point.accuracy * 100) for point in curve if point.accuracy is not None]
    axes.plot([x for x, _ in shown], [y for _, y in shown], color=_BLUE, linewidth=1.6, marker=".", markersize=3, label="policies of this kind")
    alone = outcome.exit_accuracy or ()
    axes.scatter([value / divisor for value in values], [value * 100 for value in alone], color=_GREY, marker="s", zorder=3, label="one exit for all")
    for k, (value, accuracy) in enumerate(zip(values, alone, strict=True), start=1):
        axes.annotate(str(k), (value / divisor, accuracy * 100), textcoords="offset points", xytext=(6, -11), color=_GREY)
    mean = outcome.ms if label.endswith("(ms)") else outcome.macs
    if mean is not None and outcome.accuracy is not None:
        x, y = mean / divisor, outcome.accuracy * 100
        axes.scatter([x], [y], color=_RED, marker="*", s=170, zorder=4, label=f"this policy: {y:.2f}% at {x:.4g}")
    axes.set_xlabel(label)
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_title("accuracy against cost", fontsize=10)
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="lower right", frameon=False)


def _draw_shares(axes: Any, outcome: Outcome) -> None:
    places = range(1, len(outcome.counts) + 1)
    bars = axes.bar(places, [share * 100 for share in outcome.shares], color=_BLUE, width=0.7)
    axes.bar_label(bars, labels=[f"{share * 100:.1f}" for share in outcome.shares], padding=2, fontsize=9)
    axes.set_xticks(list(places))
    axes.set_xlabel("exit")
    axes.set_ylabel("samples that leave here (%)")
    axes.set_title("where samples leave", fontsize=10)
    axes.margins(y=0.12)
