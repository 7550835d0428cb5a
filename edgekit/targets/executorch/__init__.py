"""ExecuTorch: ``.pte`` programs for XNNPACK, Core ML, Vulkan or the portable kernels."""

from pathlib import Path

from attrs import frozen

from edgekit.targets.base import Counterparts, Executable, Inspection, LoweringJob


@frozen
class ExecuTorchTarget:
    """The target; each method imports its part, and the vendor's packages with it, when called."""

    name: str = "executorch"
    executed_by: str = "executorch"
    runtime_module: str = "executorch.runtime"
    keeps_names: bool = False

    def lower(self, job: LoweringJob) -> Counterparts:
        """Write ``job.destination``; see :func:`edgekit.targets.executorch.lower.lower`."""
        from edgekit.targets.executorch.lower import lower

        lower(job)
        return {}

    def counterparts(self, job: LoweringJob) -> Counterparts:  # noqa: ARG002 - the protocol's
        """Return nothing: the file's values keep no names of nodes."""
        return {}

    def open(self, path: Path, *, threads: int = 1) -> Executable:
        """Open a program; see :func:`edgekit.targets.executorch.open.open_program`."""
        from edgekit.targets.executorch.open import open_program

        return open_program(path, threads=threads)

    def inspect(self, path: Path) -> Inspection:
        """Look inside; see :func:`edgekit.targets.executorch.inspect.inspect_program`."""
        from edgekit.targets.executorch.inspect import inspect_program

        return inspect_program(path)


TARGET = ExecuTorchTarget()
