"""Quantizes captured programs for XNNPACK: torchao's export path, with edgekit's choice of nodes and of ranges.

    captured program -> module -> silu as sigmoid and product -> observers -> samples -> quantize/dequantize -> captured again

w8a8           weights and values in 8 bits, ranges from samples (:mod:`edgekit.targets.executorch.roles`: which operators)
w8a8-dynamic   weights in 8 bits, the inputs of linear layers and convolutions quantized as they come; results are floats

Weights alone (w8a32) are not offered: XNNPACK has no kernel that multiplies floats by stored integers, so each run would first write out
the weights as floats. Source: executorch 1.5.1, ``backends/xnnpack/partition/config/gemm_configs.py``.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import fx
from torch.export import ExportedProgram

from edgekit.errors import LoweringError
from edgekit.interface import MethodSpec
from edgekit.quantization.job import Quantization


def quantized(program: ExportedProgram, method: MethodSpec, quantization: Quantization) -> ExportedProgram:
    """Return a method's program with its weights, and its values where the scheme says so, as integers; inputs and results stay floats.

    :raises LoweringError: the scheme needs samples and there are none, or nothing can be quantized.
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    from edgekit.targets.executorch.annotate import DynamicQuantizer, StaticQuantizer
    from edgekit.targets.executorch.scales import raise_scales

    samples = [_positional(method, sample) for sample in quantization.calibration.get(method.name, ())]
    if quantization.scheme.calibrated and not samples:
        raise LoweringError(f"no samples to calibrate method {method.name} with", hint="--data DIR")
    module = program.module(check_guards=False)
    kept = split_silu(module.graph, quantization.kept_float.get(method.name, frozenset()))
    module.recompile()
    prepared = prepare_pt2e(module, StaticQuantizer(kept) if quantization.scheme.calibrated else DynamicQuantizer(kept))
    example = tuple(torch.zeros(tensor.shape) for tensor in method.inputs)
    with torch.no_grad():
        for sample in samples if quantization.scheme.calibrated else (example,):  # weights are observed as well
            prepared(*sample)
        raise_scales(prepared)
        converted = convert_pt2e(prepared)
        return torch.export.export(converted, example, strict=False)


def split_silu(graph: fx.Graph, kept: frozenset[str]) -> frozenset[str]:
    """Write every ``silu(x)`` as ``x * sigmoid(x)``, which XNNPACK has in integers; return ``kept`` with the new names of those in it."""
    names = set(kept)
    for node in [node for node in graph.nodes if node.target == torch.ops.aten.silu.default]:
        (x,) = node.args
        with graph.inserting_before(node):
            chance = graph.call_function(torch.ops.aten.sigmoid.default, (x,))
            product = graph.call_function(torch.ops.aten.mul.Tensor, (x, chance))
        chance.meta, product.meta = dict(node.meta), dict(node.meta)
        node.replace_all_uses_with(product)
        graph.erase_node(node)
        if node.name in kept:
            names.update((chance.name, product.name))
    return frozenset(names)


def _positional(method: MethodSpec, sample: Mapping[str, np.ndarray]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.array(sample[tensor.name], dtype=np.float32)) for tensor in method.inputs)
