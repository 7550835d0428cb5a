"""The metrics a budget can be about: rows with a unit and the direction that is better. A name that is not here is a mistake.

size.total                                  of the artifact
method.exit_1.operators                     of one of its methods
latency.forward.p50                         of one of its methods, on this host, only when asked for
"""

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from edgekit.errors import UnknownNameError

LATENCY = "latency."
ACCURACY = "accuracy."
"""How the names of what is timed, and of what is run on labelled pictures, begin."""


@frozen
class Kind:
    """One kind of metric. ``bound``: what a budget gives for it, ``max`` where less is better; ``exact``: the same on every machine."""

    unit: str
    about: str
    bound: Literal["max", "min"] = "max"
    exact: bool = True


KINDS: Mapping[str, Kind] = {
    "size.total": Kind("bytes", "all files of the artifact"),
    "size.compressed": Kind(
        "bytes", "its files deflated one by one at level 9, as a store's archive holds them; differs a little by zlib", exact=False
    ),
    "size.weights": Kind("bytes", "what constants hold"),
    "size.graph": Kind("bytes", "operators, names, tables"),
    "size.metadata": Kind("bytes", "what the artifact says about itself"),
    "size.delegates": Kind("bytes", "what a delegate's backend wrote"),
    "size.other": Kind("bytes", "padding, and what is none of the others"),
    "size.overhead": Kind("bytes", "what the artifact has beyond its model's parameters at its precision; negative where folds saved more"),
    "operators.total": Kind("operators", "all operators of all methods"),
    "operators.transposes": Kind("operators", "those that move values to other places"),
    "operators.reshapes": Kind("operators", "those that only change a shape"),
    "operators.casts": Kind("operators", "those that change a type"),
    "delegation.share": Kind("share", "operators that the delegate takes, 0 to 1", bound="min"),
    "delegation.subgraphs": Kind("subgraphs", "calls of the delegate"),
    "delegation.outside": Kind("operators", "operators that the delegate leaves"),
    "memory.planned": Kind("bytes", "what a run needs for values, as the file plans it"),
    "macs.total": Kind("MACs", "multiply-adds of all methods, of the program that was lowered"),
    "memory.moved": Kind("bytes", "read and written by the operators of the program that was lowered, each by itself, in float32"),
    "judged.agreement": Kind("share", "pictures on which a quantized artifact names eager's class, the lowest as exported", bound="min", exact=False),
    "judged.accuracy": Kind("share", "labelled pictures that it gets right, the lowest as exported, 0 to 1", bound="min", exact=False),
    "judged.accuracy_drop": Kind("share", "by how much less than eager, the most as exported", exact=False),
    "judged.sqnr_db": Kind("dB", "of its answers on those pictures, the lowest as exported", bound="min", exact=False),
    "accuracy.top1": Kind("share", "labelled pictures of --accuracy with the right class first, 0 to 1", bound="min", exact=False),
    "accuracy.top5": Kind("share", "the same, among the first five", bound="min", exact=False),
    "parity.sqnr_db": Kind("dB", "the lowest against eager, as exported", bound="min", exact=False),
    "parity.top1_agreement": Kind("share", "samples with eager's class, 0 to 1", bound="min", exact=False),
    "parity.max_abs_error": Kind("", "the largest error against eager, as exported", exact=False),
    "parity.max_rel_error": Kind("", "the same, relative to the largest value of the output", exact=False),
    "method.*.operators": Kind("operators", "all operators of a method"),
    "method.*.transposes": Kind("operators", "of a method"),
    "method.*.reshapes": Kind("operators", "of a method"),
    "method.*.casts": Kind("operators", "of a method"),
    "method.*.weights": Kind("bytes", "constants that a method reads; what methods share counts in each"),
    "method.*.macs": Kind("MACs", "of a method"),
    "method.*.moved": Kind("bytes", "as memory.moved, of a method"),
    "latency.load": Kind("ms", "opening the file, in processes of their own; the system has it in its cache", exact=False),
    "latency.*.first": Kind("ms", "a method's first run after loading", exact=False),
    "latency.*.p50": Kind("ms", "the median of a method's runs", exact=False),
    "latency.*.ratio": Kind("", "the same, in units of the base artifact's in the same run", exact=False),
}


def kind_of(metric: str) -> Kind:
    """Return the kind of a metric by its name.

    :raises UnknownNameError: there is none.
    """
    first, _, rest = metric.partition(".")
    method, _, last = rest.rpartition(".")
    found = KINDS.get(metric) or (KINDS.get(f"{first}.*.{last}") if method else None)
    if found is None or "*" in metric:
        raise UnknownNameError("metric", metric, KINDS)
    return found
