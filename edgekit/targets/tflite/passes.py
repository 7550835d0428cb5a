"""Runs litert_torch's passes over a program, and leaves one out where it changes nothing but the time.

The converter traces every program anew three times: to decompose it, after its layout pass (``CanonicalizePass``), and
before it is lowered. The second makes plain operators of the Python functions that the layout pass put in the graph, for
the passes that follow; the third does so again. Without it a program of convolutions is lowered in three quarters of the time,
into the same graph; a tensor outside of any module may be called after another node.
"""

from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload
from torch.export import ExportedProgram

_OPAQUE_TO_NOBODY = {"conv_nhwc", "tensor_to_nchw", "tensor_to_nhwc"}
"""Functions of the layout pass that hide no operator a later pass looks for; the one round a pooling does."""

_HIGHEST_RANK = 4
"""``ReduceViewRankPass`` folds what unsqueezes a tensor above this."""


def run_passes(program: ExportedProgram) -> Any:
    """Return the program, decomposed, channels last, with the converter's composites marked. ``program`` is used up.

    :raises Exception: whatever litert_torch raises.
    """
    from litert_torch import fx_infra
    from litert_torch._convert import fx_passes
    from litert_torch.generative.fx_passes import run_generative_passes

    decompositions = fx_infra.decomp.pre_convert_decomp()
    program = fx_infra.safe_run_decompositions(fx_infra.graph_utils.reset_from_node_meta(program), decompositions, can_skip=False)
    program = run_generative_passes(program)
    program = fx_infra.run_passes(
        program, [fx_passes.LowerTorchAOPass(), fx_passes.EliminateDeadCodePass(), fx_passes.OptimizeLayoutTransposesPass()]
    )
    if not _can_wait(program.graph):
        program = fx_infra.run_passes(program, [fx_passes.CanonicalizePass()])
    return fx_infra.run_passes(
        program,
        [
            fx_passes.ReduceViewRankPass(),
            fx_passes.BuildAtenCompositePass(),
            fx_passes.RemoveNonUserOutputsPass(),
            fx_passes.CastInputsBf16ToF32Pass(),
        ],
    )


def _can_wait(graph: fx.Graph) -> bool:
    """Whether the passes after the layout pass find the same in this graph as in one that is traced anew.

    They look for operators by name, which functions may hide, and read the shapes of two: nodes turned round keep their old shapes.
    """
    return all(_says_all(node) for node in graph.nodes if node.op == "call_function")


def _says_all(node: fx.Node) -> bool:
    target = node.target
    if isinstance(target, OpOverload):
        resized = target.overloadpacket in (torch.ops.aten.upsample_bilinear2d, torch.ops.aten.upsample_nearest2d)
        raised = target is torch.ops.aten.unsqueeze.default and node.meta["val"].dim() > _HIGHEST_RANK
        return not resized and not raised
    return getattr(target, "__module__", "") in ("_operator", "operator") or getattr(target, "__name__", "") in _OPAQUE_TO_NOBODY
