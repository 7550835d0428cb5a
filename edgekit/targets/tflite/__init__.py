"""TFLite (LiteRT): a flatbuffer with one signature per method, executed by XNNPACK's kernels on the CPU."""

from pathlib import Path

from edgekit.targets.base import Counterparts, Inspection, LoweringJob
from edgekit.targets.tflite.inspect import inspect_tflite
from edgekit.targets.tflite.lower import lower_to_tflite
from edgekit.targets.tflite.open import TfliteExecutable, open_tflite


class TfliteTarget:
    """The ``tflite`` target; see :class:`edgekit.targets.base.Target`."""

    name: str = "tflite"
    executed_by: str = "litert"
    runtime_module: str = "ai_edge_litert.interpreter"
    keeps_names: bool = False

    def lower(self, job: LoweringJob) -> Counterparts:
        """Write ``job.destination``, a ``.tflite`` file."""
        lower_to_tflite(job)
        return {}

    def counterparts(self, job: LoweringJob) -> Counterparts:  # noqa: ARG002 - the protocol's
        """Return nothing: the file's values keep no names of nodes."""
        return {}

    def open(self, path: Path, *, threads: int = 1) -> TfliteExecutable:
        """Load a ``.tflite`` file into a LiteRT interpreter."""
        return open_tflite(path, threads=threads)

    def inspect(self, path: Path) -> Inspection:
        """List a ``.tflite`` file's operators, what XNNPACK takes of them, and its bytes."""
        return inspect_tflite(path)


TARGET = TfliteTarget()
