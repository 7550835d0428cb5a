"""LiteRT's own profiler: one event an operator, those inside XNNPACK's delegate, too.

XNNPACK keeps no names, so what it runs is known by kind and place alone; operators outside of it are named as in the file.
"""

from collections.abc import Mapping, Sequence

from edgekit.bench import litert_c
from edgekit.bench.inputs import Array
from edgekit.bench.litert_c import INSIDE_DELEGATE, INVOKE, OPERATOR, Event
from edgekit.bench.profiling import Sum, Told
from edgekit.quiet import quiet
from edgekit.runtime.loaded import LoadedArtifact
from edgekit.targets.tflite.verify import read_verified

_INVOKE = "Invoke"
_DELEGATE = "Delegate"
_WARM_UPS = 3


def profile_methods(artifact: LoadedArtifact, given: Mapping[str, Mapping[str, Array]], threads: int, runs: int) -> Mapping[str, Told]:
    """Compile each method once more, with profiling on."""
    reason = litert_c.missing()
    if reason is not None:
        return {method: Told(note=reason) for method in given}
    content, _ = read_verified(artifact.path)
    found = {}
    for method, inputs in given.items():
        with quiet(), litert_c.profiled(content, method, inputs, threads) as run:
            for _ in range(_WARM_UPS):
                run()
            events = [run() for _ in range(runs)]
        found[method] = _told(events)
    return found


def _told(events: Sequence[Sequence[Event]]) -> Told:
    """Sum up the events of several runs; in each they come in the same order."""
    total, whole = Sum(), []
    for run in events:
        inside = any(event.kind & INSIDE_DELEGATE for event in run)
        for place, event in enumerate(run):
            if event.kind & INSIDE_DELEGATE:
                total.add(event.tag, event.us / 1e3, key=place)
            elif event.kind == OPERATOR and not (inside and _DELEGATE in event.tag):  # a delegate's call is its operators once more
                total.add(f"{event.tag}, outside", event.us / 1e3, key=place)
            elif event.kind == INVOKE and event.tag == _INVOKE:
                whole.append(event.us / 1e3)
    note = "operators inside XNNPACK and outside; XNNPACK keeps no names, so modules are not known"
    return Told(rows=total.told(len(events)), whole_ms=sum(whole) / len(whole) if whole else None, note=note)
