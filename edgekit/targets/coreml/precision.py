"""What Core ML Tools computes in which precision.

Half precision is given to all operators but those that come from nodes in full precision (``full_precision.py``). Names do not tell
which these are: where Core ML Tools fuses two operators it makes up a new one. It hands on a node's ``debug_handle``, though.
"""

from typing import Any

from torch.export import ExportedProgram

from edgekit.full_precision import in_full_precision
from edgekit.quiet import quiet

_HANDLE = "debug_handle"
_FULL = 1
"""The handle of nodes in full precision. Core ML Tools writes handles nowhere unless asked to."""


def compute_precision(ct: Any, precision: str, program: ExportedProgram) -> Any:
    """Return Core ML Tools' ``compute_precision`` for a program, whose nodes in full precision get a handle here.

    What is quantized computes in half precision: a package of integers in float32 would leave the Neural Engine.
    """
    if precision == "fp32":
        return ct.precision.FLOAT32
    full = [node for node in program.graph.nodes if in_full_precision(node)]
    if not full:
        return ct.precision.FLOAT16
    for node in full:
        node.meta[_HANDLE] = _FULL
    with quiet():
        from coremltools.converters.mil.mil.scope import ScopeSource
    return ct.transform.FP16ComputePrecision(lambda operation: operation.scopes.get(ScopeSource.EXIR_DEBUG_HANDLE) != [_FULL])
