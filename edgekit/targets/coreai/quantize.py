"""Gives a program the weights and the activations that its asset has, by a scheme, in Core AI's own operators.

    looked_up(indices, lut)            coreai::lut_to_dense(indices, lut (G, 1, .., entries, 1), axis)
    scaled(integers, scales, bits)     coreai::constexpr_blockwise_shift_scale(integers, scales, -, -, int4 or int8, -)
    quantize_per_tensor, dequantize    coreai::quantize, coreai::dequantize

``coreai-torch`` finds indices and integers of fewer than 8 bits by these operators and packs them; it tells indices and table apart by
their names. All else is computed in float32: an asset in half precision may be wrong on the Neural Engine.
"""

from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edgekit.errors import LoweringError
from edgekit.quantization.job import Quantization
from edgekit.targets.rounded_inputs import round_inputs
from edgekit.targets.stored_weights import Grain, add_constant, store_weights

_GRAIN = Grain(tables=0.04, entry_bytes=4, block=32)
_DTYPES = {8: torch.int8, 4: torch.int4}  # type: ignore[attr-defined]
_STORED = torch.ops.edgekit
_STEPS = torch.ops.quantized_decomposed


def quantized(program: ExportedProgram, method: str, quantization: Quantization) -> ExportedProgram:
    """Return a quantized program; the given one is left as it is. Core AI's operators are registered by importing ``coreai_torch``.

    :raises LoweringError: there are no samples to choose ranges from.
    """
    scheme = quantization.scheme
    program = program.run_decompositions({})
    readers = store_weights(program, lambda node: quantization.keeps_weights(method, node), scheme, _GRAIN)
    if scheme.calibrated:
        samples = quantization.calibration.get(method, ())
        if not samples:
            raise LoweringError(f"method {method} cannot be quantized as {scheme.name}", why="there are no samples to choose ranges from")
        round_inputs(program, [reader for reader in readers if not quantization.keeps(method, reader.name)], samples)
    for node in list(program.graph.nodes):
        _replace(program, node)
    program.graph_module.recompile()
    return program


def _replace(program: ExportedProgram, node: fx.Node) -> None:
    """Turn one operator into Core AI's, in place."""
    own, given = torch.ops.coreai, cast("tuple[Any, ...]", node.args)
    if node.target is _STORED.looked_up.default:
        indices, lut = given
        groups, entries = lut.meta["val"].shape
        _reshape(program, lut, (groups, *[1] * (indices.meta["val"].ndim - 1), entries, 1))
        node.target, node.args = own.lut_to_dense.default, (indices, lut, 0)
    elif node.target is _STORED.scaled.default:
        integers, scales, bits = given
        node.target, node.args = own.constexpr_blockwise_shift_scale.default, (integers, scales, None, None, _DTYPES[bits], None)
    elif node.target is _STEPS.quantize_per_tensor.default:
        value, scale, zero_point, _, _, dtype = given
        steps = [add_constant(program, f"{node.name}_{part}", one) for part, one in _constants(scale, zero_point).items()]
        for back in list(node.users):
            back.target, back.args = own.dequantize.default, (node, *steps, None, 0, dtype, None)
        node.target, node.args = own.quantize.default, (value, steps[0], dtype, steps[1], None, 0)


def _constants(scale: float, zero_point: int) -> dict[str, Tensor]:
    return {"scale": torch.tensor(scale), "zero_point": torch.tensor(zero_point, dtype=torch.int8)}


def _reshape(program: ExportedProgram, node: fx.Node, shape: tuple[int, ...]) -> None:
    """Give a constant another shape."""
    spec = next(spec for spec in program.graph_signature.input_specs if spec.arg.name == node.name)
    program.state_dict[str(spec.target)] = program.state_dict[str(spec.target)].reshape(shape)
    node.meta["val"] = node.meta["val"].reshape(shape)
