"""Tells torchao which values of a captured program become integers, and which of them share a scale.

    linear (x int8, w int8) -> y int8         any operator in between
    linear (x float, w int8) -> logits float  the last one: 1,000 logits in 256 levels would tie

Weights have a symmetric scale for each output channel; everything else one scale and one zero point. torchao puts an observer behind
every value that is named here, and turns it into ``quantize_per_tensor`` and ``dequantize_per_tensor`` once samples have run.
"""

from collections.abc import Collection

import torch
from torch import fx
from torchao.quantization.pt2e.observer import PerChannelMinMaxObserver, PlaceholderObserver
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY, QuantizationSpecBase

from edgekit.targets.executorch.observe import RangeObserver
from edgekit.targets.executorch.roles import CLAMPS, MOVES, PRODUCTS, clamp_behind, integer_nodes

VALUE = QuantizationSpec(
    dtype=torch.int8, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_affine, observer_or_fake_quant_ctr=RangeObserver.with_args()
)
_CHANCE = FixedQParamsQuantizationSpec(
    dtype=torch.int8, scale=1 / 256, zero_point=-128, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_affine
)
"""A sigmoid's result: 0 to 1, whatever samples show."""
_AT_HAND = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-128,
    quant_max=127,
    qscheme=torch.per_tensor_affine,
    is_dynamic=True,
    observer_or_fake_quant_ctr=PlaceholderObserver.with_args(eps=2**-12),
)
WEIGHT = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-127,
    quant_max=127,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
    observer_or_fake_quant_ctr=PerChannelMinMaxObserver.with_args(eps=1e-8),
)


class StaticQuantizer(Quantizer):
    """Integers wherever XNNPACK has kernels and it pays, with ranges from samples.

    :param kept: names of nodes that stay in floats.
    """

    def __init__(self, kept: Collection[str]) -> None:
        self.kept = kept

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Mark the nodes of a module, in place."""
        chosen = dict.fromkeys(integer_nodes(model.graph, self.kept))
        clamps = {node: clamp for node in chosen if (clamp := clamp_behind(node)) in chosen}
        for node in chosen:
            clamp = clamps.get(node)
            if node in clamps.values():
                continue
            inputs = self._inputs(node, chosen)
            if _gives_result(node):
                _mark(node, inputs | {next(iter(inputs)): _AT_HAND}, None)
            elif clamp is not None:
                _mark(node, inputs, None)
                _mark(clamp, {}, VALUE)
            elif node.target in MOVES or node.target in CLAMPS:
                first = next(iter(inputs))
                _mark(node, inputs, SharedQuantizationSpec((first, node)))
            elif node.target == torch.ops.aten.sigmoid.default:
                _mark(node, inputs, _CHANCE)
            else:
                _mark(node, inputs, VALUE)
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """Nothing to refuse: what cannot be integers was not marked."""

    @staticmethod
    def _inputs(node: fx.Node, chosen: Collection[fx.Node]) -> dict[fx.Node, QuantizationSpecBase]:
        sources = [node.args[0]] if node.target in PRODUCTS else list(node.all_input_nodes)
        given: dict[fx.Node, QuantizationSpecBase] = {}
        for source in sources:
            assert isinstance(source, fx.Node)  # noqa: S101 - a node of these operators reads values only
            if given and node.target in MOVES:  # cat: all that it joins have one scale
                given[source] = SharedQuantizationSpec((next(iter(given)), node))
            else:
                given[source] = SharedQuantizationSpec(source) if source in chosen else VALUE
        if node.target in PRODUCTS:
            weight = node.args[1]
            assert isinstance(weight, fx.Node)  # noqa: S101 - as above
            given[weight] = WEIGHT
        return given


class DynamicQuantizer(Quantizer):
    """Integers inside linear layers and convolutions alone; their inputs are measured when they come, their results are floats.

    :param kept: names of nodes that stay in floats.
    """

    def __init__(self, kept: Collection[str]) -> None:
        self.kept = kept

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Mark the nodes of a module, in place."""
        for node in integer_nodes(model.graph, self.kept):
            if node.target in PRODUCTS and not _is_depthwise(node) and not _is_padded(node):
                source, weight = node.args[:2]
                assert isinstance(source, fx.Node) and isinstance(weight, fx.Node)  # noqa: S101, PT018 - as above
                _mark(node, {source: _AT_HAND, weight: WEIGHT}, None)
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """Nothing to refuse: what cannot be integers was not marked."""


def _gives_result(node: fx.Node) -> bool:
    """Whether a linear layer gives what the program does: its kernel for inputs measured as they come gives floats, of which no two are tied."""
    return node.target == torch.ops.aten.linear.default and all(user.op == "output" for user in node.users)


def _is_depthwise(node: fx.Node) -> bool:
    """Whether each channel has kernels of its own, which XNNPACK has no dynamic kernel for."""
    return node.target == torch.ops.aten.conv2d.default and bool((node.args[6:7] or (1,))[0] != 1)


def _is_padded(node: fx.Node) -> bool:
    """Whether a pad stands before a convolution; measured as they come, its values stop executorch 1.5.1: "Propagating input shapes failed"."""
    source = node.args[0]
    return isinstance(source, fx.Node) and source.target in (torch.ops.aten.pad.default, torch.ops.aten.constant_pad_nd.default)


def _mark(node: fx.Node, inputs: dict[fx.Node, QuantizationSpecBase], output: QuantizationSpecBase | None) -> None:
    node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(input_qspec_map=inputs, output_qspec=output, _annotated=True)
