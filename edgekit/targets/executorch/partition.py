"""What a ``.pte`` runs outside its delegates, instruction by instruction. Runs nothing.

The format keeps no names: neither of the nodes nor of the modules an instruction comes from.
"""

from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.targets.executorch.pte import calls_of, read_pte


@frozen(kw_only=True)
class KernelCall:
    """A kernel called outside the delegates: ``aten::topk.values``, and its place among the method's instructions."""

    kernel: str
    instruction: int


@frozen(kw_only=True)
class PteMethod:
    """One method: the backends of its delegate calls in order, and the kernels called between them."""

    method: str
    backends: tuple[str, ...]
    outside: tuple[KernelCall, ...]


def read_methods(path: Path) -> tuple[PteMethod, ...]:
    """Read a program's methods.

    :raises ArtifactError: missing, truncated, foreign or damaged.
    """
    return tuple(_method(plan) for plan in read_pte(path).program.execution_plan)


def _method(plan: Any) -> PteMethod:
    calls = list(enumerate(calls_of(plan)))
    kernels = [(place, plan.operators[call.op_index]) for place, call in calls if type(call).__name__ == "KernelCall"]
    return PteMethod(
        method=plan.name,
        backends=tuple(plan.delegates[call.delegate_index].id for _, call in calls if type(call).__name__ == "DelegateCall"),
        outside=tuple(KernelCall(kernel=f"{kernel.name}.{kernel.overload}".rstrip("."), instruction=place) for place, kernel in kernels),
    )
