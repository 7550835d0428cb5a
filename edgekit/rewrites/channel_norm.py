"""Recognises layer norm over the channels of a ``(B, C, H, W)`` map: permute, layer norm over the last axis, permute back."""

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of, site_of

LAYER_NORM = torch.ops.aten.layer_norm.default
PERMUTE = torch.ops.aten.permute.default


@frozen(kw_only=True)
class ChannelNorm:
    """A matched norm: its input node, sizes and parameters. ``weight`` and ``bias`` are ``(C,)`` or ``None``."""

    x: fx.Node
    site: str
    channels: int
    eps: float
    weight: Tensor | None
    bias: Tensor | None


def match_channel_norm(node: fx.Node, editor: ProgramEditor) -> ChannelNorm | None:
    """Return the norm that ends at ``node`` (the permute back), or ``None``."""
    if not is_call(node, PERMUTE) or list(argument(node, 1, "dims")) != [0, 3, 1, 2]:
        return None
    norm = argument(node, 0, "input")
    if not is_call(norm, LAYER_NORM) or len(norm.users) != 1 or len(argument(norm, 1, "normalized_shape")) != 1:
        return None
    there = argument(norm, 0, "input")
    if not is_call(there, PERMUTE) or list(argument(there, 1, "dims")) != [0, 2, 3, 1]:
        return None
    weight_node, bias_node = argument(norm, 2, "weight"), argument(norm, 3, "bias")
    weight, bias = editor.constant(weight_node), editor.constant(bias_node)
    if (weight_node is not None and weight is None) or (bias_node is not None and bias is None):
        return None
    x = argument(there, 0, "input")
    return ChannelNorm(x=x, site=site_of(norm), channels=shape_of(x)[1], eps=argument(norm, 4, "eps", 1e-5), weight=weight, bias=bias)
