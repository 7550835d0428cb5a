"""Raises scales that XNNPACK's kernels would refuse when a program is loaded.

    add, sub      2**-10 <= scale of an operand / scale of the result      < 2**8
    mul           2**-16 <= product of the operands' scales / the result's < 2**8
    conv, linear           scale of the input * of the weight / the result's < 2**8

A value below such a ratio is too small to move the result by a step; a coarser scale rounds it to what it does there anyway.
Source: XNNPACK's ``subgraph/add2.c``, ``multiply2.c`` and ``convolution-2d.c``, as in executorch 1.5.1.
"""

import math
from collections.abc import Iterator

import torch
from torch import fx, nn
from torchao.quantization.pt2e.observer import PerChannelMinMaxObserver

from edgekit.targets.executorch.observe import RangeObserver
from edgekit.targets.executorch.roles import CLAMPS, PAIRS, PRODUCTS

_MOST = 2.0**8
_LEAST_OF_SUM = 2.0**-10
_LEAST_OF_PRODUCT = 2.0**-16
_MARGIN = 1.001  # the comparison is in single precision
_ROUNDS = 100


def raise_scales(module: fx.GraphModule) -> None:
    """Raise the scales of observers, in place, until every kernel takes its own; a raised one may ask for another."""
    for _ in range(_ROUNDS):
        raised = [_raise(node, module) for node in module.graph.nodes if node.target in PAIRS | PRODUCTS]
        if not any(raised):
            return


def _raise(node: fx.Node, module: fx.GraphModule) -> bool:
    """Raise what a node asks for; return whether anything was."""
    observed = next(iter(node.users), None)
    if observed is not None and observed.target in CLAMPS:
        observed = next(iter(observed.users), None)
    result = _observer(observed, module)
    operands = [_observer(source, module) for source in node.all_input_nodes[:2]]
    if not isinstance(result, RangeObserver) or None in operands:
        return False
    out = _scale(result)
    scales = [_scale(operand) for operand in operands]
    if node.target in PRODUCTS or node.target == torch.ops.aten.mul.Tensor:
        product = math.prod(scales) if len(scales) == 2 else scales[0] ** 2
        least = 0.0 if node.target in PRODUCTS else _LEAST_OF_PRODUCT
        raised = list(_lift(operands, scales, product / out, least))
        return _at_least(result, product / _MOST) or any(raised)
    lifted = [_at_least(operand, out * _LEAST_OF_SUM) for operand in operands]
    return _at_least(result, max(scales) / _MOST) or any(lifted)


def _lift(operands: list[nn.Module | None], scales: list[float], ratio: float, least: float) -> Iterator[bool]:
    """Raise the smaller of two scales where their product is too small."""
    if ratio < least:
        smaller = operands[scales.index(min(scales))]
        yield _at_least(smaller, min(scales) * least / ratio)


def _at_least(observer: nn.Module | None, scale: float) -> bool:
    if not isinstance(observer, RangeObserver) or _scale(observer) >= scale:
        return False
    observer.least_scale = scale * _MARGIN
    return True


def _observer(node: fx.Node | None, module: fx.GraphModule) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node is not None and node.op == "call_module" else None


def _scale(observer: nn.Module | None) -> float:
    if isinstance(observer, PerChannelMinMaxObserver | RangeObserver):
        return float(observer.calculate_qparams()[0].max())
    return float(observer.scale)  # type: ignore[union-attr, arg-type]  # of a fixed one
