"""Batch normalisation in inference mode, read as a scale and a shift per channel."""

import torch
from torch import Tensor, fx

from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument

BATCH_NORM = torch.ops.aten.batch_norm.default


def read_batch_norm(node: fx.Node, editor: ProgramEditor) -> tuple[Tensor, Tensor] | Refusal:
    """Return float64 ``(scale, shift)``, each ``(C,)``, or why the node is not such a map."""
    weight, bias, mean, var = (editor.constant(node.args[i]) for i in (1, 2, 3, 4))
    if argument(node, 5, "training"):
        return Refusal("batch normalisation is in training mode and takes its statistics from the batch")
    if mean is None or var is None:
        return Refusal("batch normalisation has no constant running statistics")
    if any(given is not None and value is None for given, value in zip(node.args[1:3], (weight, bias), strict=True)):
        return Refusal("batch normalisation's scale or shift is computed while the model runs")
    scale = torch.rsqrt(var.double() + argument(node, 7, "eps"))
    if weight is not None:
        scale = scale * weight.double()
    shift = -mean.double() * scale
    return scale, shift if bias is None else shift + bias.double()
