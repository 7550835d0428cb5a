"""ONNX: one self-contained model, executed by onnxruntime; also the reference the other formats are compared with."""

from pathlib import Path

from edgekit.targets.base import Counterparts, Inspection, LoweringJob
from edgekit.targets.onnx.inspect import inspect_onnx
from edgekit.targets.onnx.lower import lower_to_onnx
from edgekit.targets.onnx.open import OnnxExecutable, open_onnx


class OnnxTarget:
    """The ``onnx`` target; see :class:`edgekit.targets.base.Target`."""

    name: str = "onnx"
    executed_by: str = "onnxruntime"
    runtime_module: str = "onnxruntime"
    keeps_names: bool = False

    def lower(self, job: LoweringJob) -> Counterparts:
        """Write ``job.destination``, an ``.onnx`` file with its weights inside."""
        lower_to_onnx(job)
        return {}

    def counterparts(self, job: LoweringJob) -> Counterparts:  # noqa: ARG002 - the protocol's
        """Return nothing: the file's values keep no names of nodes."""
        return {}

    def open(self, path: Path, *, threads: int = 1) -> OnnxExecutable:
        """Load an ``.onnx`` file into an onnxruntime session on the CPU."""
        return open_onnx(path, threads=threads)

    def inspect(self, path: Path) -> Inspection:
        """List an ``.onnx`` file's operators and its bytes."""
        return inspect_onnx(path)


TARGET = OnnxTarget()
