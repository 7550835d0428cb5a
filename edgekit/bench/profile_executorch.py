"""ExecuTorch's ETDump: one event an operator, inside XNNPACK's delegates too, if the wheel was built with its event tracer.

Delegates keep no names, so operators are known by kind and place alone.
"""

import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekit.bench.inputs import Array
from edgekit.bench.profiling import Sum, Told
from edgekit.quiet import quiet
from edgekit.runtime.loaded import LoadedArtifact

_NATIVE = "native_call_"
_NUMBER = re.compile(r" #\d+$")
_WARM_UPS = 3


def profile_methods(artifact: LoadedArtifact, given: Mapping[str, Mapping[str, Array]], threads: int, runs: int) -> Mapping[str, Told]:
    """Run each method of a program that is loaded once more, with tracing; ``threads`` are those of the program that is open already."""
    del threads
    content = artifact.path.read_bytes()
    return {method: _told(content, method, list(inputs.values()), runs) for method, inputs in given.items()}


def _told(content: bytes, method: str, arrays: list[Array], runs: int) -> Told:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.devtools import Inspector
        from executorch.extension.pybindings import portable_lib

        module = portable_lib._load_for_executorch_from_buffer(content, enable_etdump=True)  # noqa: SLF001 - offered under this name only
        if not module.has_etdump():
            return Told(note="this build of ExecuTorch has no event tracer")
        tensors = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
        for _ in range(_WARM_UPS + runs):
            module.run_method(method, tensors)
        with tempfile.TemporaryDirectory() as folder:
            dump = Path(folder) / "profile.etdp"
            module.write_etdump_result_to_file(str(dump), str(Path(folder) / "debug.bin"))
            events = [event for block in Inspector(etdump_path=str(dump)).event_blocks if block.name == "Execute" for event in block.events]
    return _summed(events, runs)


def _summed(events: list[Any], runs: int) -> Told:
    total, whole, calls = Sum(), None, 0
    for number, event in enumerate(events):
        times = None if event.perf_data is None else list(event.perf_data.raw)[-runs:]  # without those that warmed up
        if not times:
            continue
        if event.is_delegated_op or event.name.startswith(_NATIVE):
            kind = _NUMBER.sub("", event.name.removeprefix(_NATIVE))
            for ms in times:
                total.add(kind if event.is_delegated_op else f"{kind}, outside", float(ms), key=number)
        elif event.name == "DELEGATE_CALL":
            calls += 1
        elif event.name == "Method::execute":
            whole = float(np.mean(times))
    note = f"operators inside {calls} delegate call{'s' * (calls != 1)} and outside; a .pte keeps no names, so modules are not known"
    return Told(rows=total.told(runs), whole_ms=whole, note=note)
