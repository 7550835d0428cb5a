"""Core ML: ``.mlpackage`` folders holding an ML program, for iOS and macOS."""

from pathlib import Path

from attrs import frozen

from edgekit.targets.base import Executable, Inspection, LoweringJob


@frozen
class CoreMLTarget:
    """The target; each method imports its part, and Core ML Tools with it, when called. Core ML itself runs on Apple's systems only."""

    name: str = "coreml"
    executed_by: str | None = None

    def lower(self, job: LoweringJob) -> None:
        """Write ``job.destination``; see :func:`edgekit.targets.coreml.lower.lower`."""
        from edgekit.targets.coreml.lower import lower

        lower(job)

    def open(self, path: Path, *, threads: int = 1) -> Executable:
        """Read a package's methods; see :func:`edgekit.targets.coreml.open.open_package`."""
        from edgekit.targets.coreml.open import open_package

        return open_package(path, threads=threads)

    def inspect(self, path: Path) -> Inspection:
        """Look inside; see :func:`edgekit.targets.coreml.inspect.inspect_package`."""
        from edgekit.targets.coreml.inspect import inspect_package

        return inspect_package(path)


TARGET = CoreMLTarget()
