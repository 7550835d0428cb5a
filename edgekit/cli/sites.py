"""The sites of a model, their forms and what each costs: as tables for people, and as JSON."""

import itertools
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgekit.cli import console

if TYPE_CHECKING:
    from edgekit.inspection import ModelReport
    from edgekit.sites import FormReport, SiteReport

_WIDTH = 140
_LEGEND = (
    "multiply-adds of the target's whole program with the form; * chosen, no: refused, blank: not for such a site. "
    "'here' are those of the sites, against the model as it is written"
)


def sites_document(report: "ModelReport") -> list[dict[str, Any]]:
    """Return the sites as JSON: all forms of all targets, the one that is chosen, and why."""
    return [
        {
            "question": site.question,
            "asks": site.asks,
            "sites": list(site.sites),
            "eager_macs": site.eager_macs,
            "targets": {target: _target_document(forms) for target, forms in site.targets.items()},
        }
        for site in report.sites
    ]


def _target_document(forms: "tuple[FormReport, ...]") -> dict[str, Any]:
    chosen = next((form for form in forms if form.status == "chosen"), None)
    return {
        "chosen": None if chosen is None else chosen.form,
        "why": None if chosen is None else chosen.reason,
        "forms": [
            {
                "form": form.form,
                "status": form.status,
                "reason": form.reason,
                "macs": form.macs,
                "site_macs": form.site_macs,
                "methods": [
                    {"name": name, "macs": macs, "cumulative_macs": so_far}
                    for (name, macs), so_far in zip(form.methods.items(), _running(form.methods.values()), strict=True)
                ],
            }
            for form in forms
        ],
    }


def _running(counts: Iterable[int | None]) -> list[int | None]:
    """Return the sums so far; from one that is not known on, none is."""
    return list(itertools.accumulate(counts, lambda so_far, count: None if so_far is None or count is None else so_far + count))


def show_sites(report: "ModelReport") -> None:
    """Write a table for each site, or group of sites that are alike, to stdout."""
    unit = _unit(report.macs)
    for site in report.sites:
        here = "" if site.eager_macs is None else f"; {_in(site.eager_macs, unit)} {unit}MACs there as written"
        console.line(f"\n{site.question}: {site.asks}\n  {console.shortened(site.sites)}{here}")
        _show_forms(site, unit)
        _show_methods(site, unit)
        _show_reasons("why", site, "chosen")
        _show_reasons("no", site, "refused")
    if report.sites:
        console.line("\n" + textwrap.fill(f"{unit}MACs: {_LEGEND}.", _WIDTH))


def _show_forms(site: "SiteReport", unit: str) -> None:
    forms = list(dict.fromkeys(form.form for of_target in site.targets.values() for form in of_target))
    rows = []
    for name in forms:
        told = {target: next((form for form in of_target if form.form == name), None) for target, of_target in site.targets.items()}
        rows.append((name, _here(site, told.values(), unit), *(_cell(form, unit) for form in told.values())))
    console.print_table((f"{unit}MACs", "here", *site.targets), rows, indent="  ")


def _cell(form: "FormReport | None", unit: str) -> str:
    if form is None:
        return ""
    return "no" if form.status == "refused" else f"{_in(form.macs, unit)}{'*' * (form.status == 'chosen')}"


def _here(site: "SiteReport", forms: "Iterable[FormReport | None]", unit: str) -> str:
    """Return what a form costs at the sites more than the model as it is written; targets differ where other rewrites are at work there."""
    counts = [form.site_macs for form in forms if form is not None and form.site_macs is not None]
    if not counts or site.eager_macs is None:
        return ""
    least, most = (f"{(count - site.eager_macs) / _SCALE[unit]:+.2f}" for count in (min(counts), max(counts)))
    return least if least == most else f"{least}..{most}"


def _show_methods(site: "SiteReport", unit: str) -> None:
    """Write, where the sites are methods, what each costs and what has been computed when it answers."""
    counted = {form.form: form.methods for of_target in site.targets.values() for form in of_target if tuple(form.methods) == site.sites}
    for name, methods in counted.items():
        steps = zip(methods.items(), _running(methods.values()), strict=True)
        told = ", ".join(f"{method} {_in(macs, unit)} ({_in(so_far, unit)})" for (method, macs), so_far in steps)
        console.line(_wrapped(f"{name}, each (and so far): {told}", "  "))


def _wrapped(text: str, first: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=" " * 6)


def _show_reasons(label: str, site: "SiteReport", status: str) -> None:
    """Write the reasons, each once, behind the targets or forms that it is for."""
    by_reason: dict[str, list[str]] = {}
    for target, forms in site.targets.items():
        for form in forms:
            if form.status == status and form.reason is not None:
                by_reason.setdefault(form.reason, []).append(target if status == "chosen" else f"{target} {form.form}")
    for reason, who in by_reason.items():
        text = f"{console.shortened(who, 5)}: {reason}"
        console.line(_wrapped(text, f"  {label:<4}"))


_SCALE = {"G": 1e9, "M": 1e6}


def _unit(macs: int | None) -> str:
    return "G" if macs is not None and macs >= _SCALE["G"] else "M"


def _in(macs: int | None, unit: str) -> str:
    return "?" if macs is None else f"{macs / _SCALE[unit]:.2f}"
