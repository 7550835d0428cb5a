"""Which regions a network selects once it is rounded, against eager's.

An artifact of LiteRT or ExecuTorch does not show the values inside it. So its program is run here with the plan's groups rounded, in the ranges of
the calibration, and the regions are read from it as from any artifact that can be looked into (``verification/taken_regions.py``). Selectors stay in
floats; the tokens that they score are rounded, so that regions near a threshold change.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.export import ExportedProgram

from edgekit.evaluate import output_names
from edgekit.interface import MethodSpec
from edgekit.planner.groups import groups_of
from edgekit.planner.plan import Plan
from edgekit.planner.sensitivity import Recording, record, traced
from edgekit.targets.base import TracedValue
from edgekit.verification.cases import Case
from edgekit.verification.regions import compare_regions
from edgekit.verification.taken_regions import watched

Array = np.ndarray

_SAMPLES = 32
_RANGED_ON = 4


class _Rounded:
    """A program with groups rounded, as something that runs and can be looked into."""

    def __init__(self, recording: Recording, plan: Plan) -> None:
        self.recording, self.plan = recording, plan
        self.methods: tuple[MethodSpec, ...] = ()
        self.halves = False

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the program."""
        return self.trace(method, inputs, lambda _: None)

    def at(self, numerics: Literal["fp32", "fp16"]) -> "_Rounded":  # noqa: ARG002 - there is one way
        """Return itself."""
        return self

    def trace(self, method: str, inputs: Mapping[str, Array], observe: Callable[[TracedValue], None]) -> dict[str, Array]:
        """Run the program and show every tensor on the way."""

        def look(node: Any, value: Any) -> None:
            if isinstance(value, torch.Tensor):
                observe(TracedValue(operator=str(node.target), name=node.name, node=node.name, position=None, value=value.numpy()))

        groups = groups_of({method: self.recording.program})
        kinds = {row.key: row for row in self.plan.groups}
        chosen = [group for group in groups if kinds[group.key].quantized]
        stored = [group for group in groups if not kinds[group.key].quantized and kinds[group.key].weight_bits == 8]
        tensors = [torch.from_numpy(value.copy()) for value in inputs.values()]
        outputs = traced(self.recording, method, chosen, stored, tensors, look)
        return dict(zip(output_names(self.recording.program), (value.numpy() for value in outputs), strict=False))


def compare_selected(plan: Plan, program: ExportedProgram, case: Case, names: Sequence[str]) -> dict[str, Any] | None:
    """Return on how many pictures the rounded program takes eager's regions; ``None`` for a network whose regions cannot be read.

    :param names: of the case's samples.
    """
    inputs = case.inputs[:_SAMPLES]
    recording = record(program, [tuple(torch.from_numpy(value.copy()) for value in row.values()) for row in inputs[:_RANGED_ON]])
    inner = watched(_Rounded(recording, plan), program, case.module, case.example())
    if inner is None:
        return None
    for row in inputs:
        inner.run(case.method, row)
    found, _ = compare_regions(case, inner.taken, names[:_SAMPLES], None)
    return {
        "computed_by": "the captured program, rounded as the plan says",
        "samples": found.samples,
        "same": found.samples - len(found.differing),
        "other_regions": sum(len(rows) for rows in found.differing.values()),
        "furthest": found.furthest,
    }
