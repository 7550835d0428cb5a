"""Rounds what convolutions and linear layers read to 8-bit integers and back, in ranges seen on samples: in place, before a converter sees it.

    before   x                                                    y = conv2d(x, w)
    after    x -> q = quantize(x, s, z) -> d = dequantize(q, s, z)  y = conv2d(d, w)      once for all that read x

A target whose accelerator multiplies integers finds them between the two. What is in full precision stays unrounded, it decides something.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, fx
from torch.ao.quantization.fx import _decomposed  # noqa: F401  it registers quantized_decomposed
from torch.export import ExportedProgram

from edgekit.evaluate import evaluate
from edgekit.full_precision import in_full_precision
from edgekit.quantization.ranges import Histogram

_LOWEST, _HIGHEST = -128, 127
_LEAST_SCALE = 2.0**-14
"""The smallest normal number of half precision, in which targets keep scales."""


def round_inputs(program: ExportedProgram, readers: Sequence[fx.Node], calibration: Sequence[Mapping[str, np.ndarray]]) -> int:
    """Round what the readers read, in ranges of what the program gives on samples; return how many values that are.

    :param calibration: inputs by name in the program's order, one mapping a sample; one at least.
    """
    read = [reader.all_input_nodes[0] for reader in readers if not in_full_precision(reader)]
    sources = [source for source in dict.fromkeys(read) if not in_full_precision(source)]
    seen = {source.name: Histogram() for source in sources}
    for inputs in calibration if sources else ():
        values = evaluate(program, [torch.from_numpy(value) for value in inputs.values()], set(seen))
        for name, histogram in seen.items():
            histogram.add(values[name].numpy())
    for source in sources:
        scale, zero_point = _steps(*seen[source.name].range())
        _round(program.graph, source, [reader for reader in readers if reader.all_input_nodes[0] is source], scale, zero_point)
    program.graph_module.recompile()
    return len(sources)


def _steps(low: float, high: float) -> tuple[float, int]:
    """Return scale, a number of half precision, and zero point of a range that zero lies in."""
    exact = max((high - low) / (_HIGHEST - _LOWEST), _LEAST_SCALE)
    half = np.float16(min(exact, float(np.finfo(np.float16).max)))
    scale = float(half if float(half) >= exact else np.nextafter(half, np.float16(np.inf)))
    return scale, int(np.clip(round(_LOWEST - low / scale), _LOWEST, _HIGHEST))


def _round(graph: fx.Graph, source: fx.Node, readers: Sequence[fx.Node], scale: float, zero_point: int) -> None:
    grid = (scale, zero_point, _LOWEST, _HIGHEST, torch.int8)
    operators = torch.ops.quantized_decomposed
    with graph.inserting_before(min(readers)):
        quantized = graph.call_function(operators.quantize_per_tensor.default, (source, *grid))
        back = graph.call_function(operators.dequantize_per_tensor.default, (quantized, *grid))
    value: Tensor = source.meta["val"]
    with value.fake_mode:  # type: ignore[attr-defined]
        quantized.meta["val"] = value.to(torch.int8)
    back.meta["val"] = value
    for reader in readers:
        reader.replace_input_with(source, back)
