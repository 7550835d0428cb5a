"""Opens a ``.pte`` in the ExecuTorch runtime of this host."""

import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekit.errors import ArtifactError, UsageError
from edgekit.interface import MethodSpec
from edgekit.quiet import quiet
from edgekit.targets.base import Array, CannotRunHere
from edgekit.targets.calls import check_inputs, find_method
from edgekit.targets.executorch.lower import missing_kernels
from edgekit.targets.executorch.methods import methods_of
from edgekit.targets.executorch.pte import PteFile, calls_of, read_pte

_TITLES = {"XnnpackBackend": "XNNPACK", "CoreMLBackend": "Core ML", "VulkanBackend": "Vulkan"}


class ExecuTorchExecutable:
    """An opened program. Inputs go by position into the runtime; the names are those of ``methods``."""

    def __init__(self, methods: tuple[MethodSpec, ...], program: Any) -> None:
        self.methods = methods
        self._program = program  # keeps the file's bytes and every loaded method alive
        self._loaded = {method.name: program.load_method(method.name) for method in methods}

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a method; returns copies, which stay valid after the next call.

        :raises UnknownNameError: no such method. :raises BadInputError: other names, shapes or dtypes than its own.
        :raises ArtifactError: a kernel or delegate failed.
        """
        spec = find_method(self.methods, method)
        check_inputs(spec, inputs)
        tensors = [torch.from_numpy(np.require(inputs[t.name], requirements=["C", "W"])) for t in spec.inputs]
        try:
            results = self._loaded[method].execute(tensors)
        except RuntimeError as error:
            raise ArtifactError(
                f"ExecuTorch stopped while running {method}", why=str(error), hint="the file may be damaged; export it again"
            ) from error
        return {t.name: result.numpy() for t, result in zip(spec.outputs, results, strict=True)}


_alive: "weakref.WeakSet[ExecuTorchExecutable]" = weakref.WeakSet()


def open_program(path: Path, *, threads: int = 1) -> ExecuTorchExecutable:
    """Open a program.

    ExecuTorch has one thread pool per process, and what is loaded keeps using it: ``threads`` can only change while
    no other program is open.

    :raises ArtifactError: truncated, foreign or damaged, or it needs a kernel this runtime has not.
    :raises CannotRunHere: delegated to a backend that this host has not.
    :raises UsageError: another program is open with another number of threads.
    """
    file = read_pte(path)
    methods = methods_of(file)
    _require_backends(path, file)
    kernels = {f"{o.name}.{o.overload}".rstrip(".") for plan in file.program.execution_plan for o in plan.operators}
    if missing := missing_kernels(kernels):
        raise ArtifactError(f"{path.name} cannot run", why=f"this runtime has no kernel {', '.join(missing)}")
    with quiet() as tail:
        from executorch.runtime import Runtime

        _set_threads(threads)
        try:
            # Bytes rather than the path: what was checked is what is loaded.
            executable = ExecuTorchExecutable(methods, Runtime.get().load_program(file.content))
        except Exception as error:
            reason = next((line for line in reversed(tail().splitlines()) if line), str(error))
            raise ArtifactError(f"ExecuTorch cannot load {path.name}", why=reason) from error
    _alive.add(executable)
    return executable


def _require_backends(path: Path, file: PteFile) -> None:
    needed = {
        plan.delegates[call.delegate_index].id
        for plan in file.program.execution_plan
        for call in calls_of(plan)
        if type(call).__name__ == "DelegateCall"
    }
    with quiet():
        from executorch.runtime import Runtime

        missing = sorted(name for name in needed if not Runtime.get().backend_registry.is_available(name))
    if missing:
        raise CannotRunHere(
            f"nothing on this host runs {_names(missing)} delegates",
            what=f"{path.name} is delegated to {', '.join(missing)}",
            hint="run it on a phone, or export with --backend xnnpack",
        )


def _names(backends: Iterable[str]) -> str:
    return " and ".join(_TITLES.get(name, name) for name in backends)


def _set_threads(threads: int) -> None:
    from executorch.extension.pybindings import portable_lib

    if threads < 1:
        raise UsageError(f"{threads} threads; a runtime has at least 1")
    if portable_lib._threadpool_get_thread_count() == threads:  # noqa: SLF001 - offered under this name only
        return
    if _alive:
        raise UsageError(
            f"ExecuTorch cannot change to {threads} threads while another program is open",
            why="it has one thread pool for the whole process, and loaded programs hold on to it",
            hint="close the other program first, or open all with the same number of threads",
        )
    portable_lib._unsafe_reset_threadpool(threads)  # noqa: SLF001
