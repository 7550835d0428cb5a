"""Core AI: ``.aimodel`` folders, for iOS and macOS from version 27 on; executed here by the reference runtime of ``coreai-core``."""

from pathlib import Path

from attrs import frozen

from edgekit.targets.base import Counterparts, Executable, Inspection, LoweringJob


@frozen
class CoreAITarget:
    """The target; each method imports its part, and Core AI's packages with it, when called."""

    name: str = "coreai"
    executed_by: str = "coreai"
    runtime_module: str = "coreai.runtime"
    keeps_names: bool = False

    def lower(self, job: LoweringJob) -> Counterparts:
        """Write ``job.destination``; see :func:`edgekit.targets.coreai.lower.lower`."""
        from edgekit.targets.coreai.lower import lower

        lower(job)
        return {}

    def counterparts(self, job: LoweringJob) -> Counterparts:  # noqa: ARG002 - the protocol's
        """Return nothing: the file's values keep no names of nodes."""
        return {}

    def open(self, path: Path, *, threads: int = 1) -> Executable:
        """Load an asset for running; see :func:`edgekit.targets.coreai.open.open_asset`."""
        from edgekit.targets.coreai.open import open_asset

        return open_asset(path, threads=threads)

    def inspect(self, path: Path) -> Inspection:
        """Look inside; see :func:`edgekit.targets.coreai.inspect.inspect_asset`."""
        from edgekit.targets.coreai.inspect import inspect_asset

        return inspect_asset(path)


TARGET = CoreAITarget()
