"""Looks inside a ``.pte``: kernels called, operators delegated, bytes by section. Runs nothing."""

from collections import Counter
from pathlib import Path

from edgekit.errors import ArtifactError
from edgekit.targets.base import Inspection
from edgekit.targets.delegated import Delegation
from edgekit.targets.executorch.lower import DESCRIPTION_KEY
from edgekit.targets.executorch.methods import methods_of
from edgekit.targets.executorch.pte import PteFile, calls_of, read_pte
from edgekit.targets.executorch.xnnpack import operators_in

XNNPACK = "XnnpackBackend"


def inspect_program(path: Path) -> Inspection:
    """Inspect a program.

    Operators are kernels as ``aten::permute_copy.out`` and what XNNPACK runs as ``xnnpack::Conv2d``. The share counts
    XNNPACK's own nodes: it merges an activation into its convolution and adds layout changes. Other backends' payloads
    are opaque: with one of them the share is ``None``, unless nothing at all is left outside, which is 1.

    :raises ArtifactError: truncated, foreign or damaged.
    """
    file = read_pte(path)
    outside: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    by_method: dict[str, Counter[str]] = {}
    calls = 0
    opaque = False
    for plan in file.program.execution_plan:
        before = outside + inside
        for call in calls_of(plan):
            if type(call).__name__ == "KernelCall":
                operator = plan.operators[call.op_index]
                outside[f"{operator.name}.{operator.overload}".rstrip(".")] += 1
            elif type(call).__name__ == "DelegateCall":
                calls += 1
                delegate = plan.delegates[call.delegate_index]
                if delegate.id == XNNPACK:
                    inside.update(_xnnpack_operators(path, file.payload(delegate)))
                else:
                    opaque = True
                    inside[f"{delegate.id}::subgraph"] += 1
        by_method[plan.name] = outside + inside - before
    share = _share(inside.total(), outside.total(), opaque=opaque)
    return Inspection(
        methods=methods_of(file),
        operators=dict(sorted((outside + inside).items())),
        operators_by_method=by_method,
        planned_bytes=max(sum(plan.non_const_buffer_sizes) for plan in file.program.execution_plan),
        delegation=Delegation(share=share, not_delegated=dict(sorted(outside.items())), subgraphs=calls),
        sections=_sections(file),
    )


def _share(inside: int, outside: int, *, opaque: bool) -> float | None:
    if inside + outside == 0:
        return None
    if opaque and outside:
        return None
    return inside / (inside + outside)


def _xnnpack_operators(path: Path, payload: bytes) -> list[str]:
    try:
        return [f"xnnpack::{name}" for name in operators_in(payload)]
    except Exception as error:  # the reader follows offsets unchecked
        raise ArtifactError(f"{path.name} holds a damaged XNNPACK payload", why=f"{type(error).__name__}: {error}") from error


def _sections(file: PteFile) -> dict[str, int]:
    """Return bytes by section; they add up to the file. ``other`` is padding between segments."""
    program = file.program
    delegates = {d.processed.index for plan in program.execution_plan for d in plan.delegates if int(d.processed.location) == 1}
    described = {entry.segment_index for entry in program.named_data if entry.key == DESCRIPTION_KEY}
    sections = {"weights": 0, "graph": file.program_bytes, "delegates": 0, "metadata": 0}
    for index, (_, size) in enumerate(file.segments):
        sections["delegates" if index in delegates else "metadata" if index in described else "weights"] += size
    return sections | {"other": len(file.content) - sum(sections.values())}
