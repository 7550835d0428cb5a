"""Core ML: ``.mlpackage`` folders holding an ML program, for iOS and macOS."""

from pathlib import Path

from attrs import frozen

from edgekit.targets.base import Counterparts, Executable, Inspection, LoweringJob


@frozen
class CoreMLTarget:
    """The target; each method imports its part, and Core ML Tools with it, when called."""

    name: str = "coreml"
    executed_by: str = "mil-interpreter"
    runtime_module: str = "torch"
    keeps_names: bool = True

    def lower(self, job: LoweringJob) -> Counterparts:
        """Write ``job.destination``; see :func:`edgekit.targets.coreml.lower.lower`."""
        from edgekit.targets.coreml.lower import lower

        return lower(job)

    def counterparts(self, job: LoweringJob) -> Counterparts:
        """Return what Core ML Tools is given; see :func:`edgekit.targets.coreml.lower.counterparts`."""
        from edgekit.targets.coreml.lower import counterparts

        return counterparts(job)

    def open(self, path: Path, *, threads: int = 1) -> Executable:
        """Read a package's methods; see :func:`edgekit.targets.coreml.open.open_package`."""
        from edgekit.targets.coreml.open import open_package

        return open_package(path, threads=threads)

    def inspect(self, path: Path) -> Inspection:
        """Look inside; see :func:`edgekit.targets.coreml.inspect.inspect_package`."""
        from edgekit.targets.coreml.inspect import inspect_package

        return inspect_package(path)


TARGET = CoreMLTarget()
