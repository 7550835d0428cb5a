"""Which precision each target is written in: a row for each of the two, with what makes it, or why it cannot be had.

The first that can be had is the target's default. ``edgekit targets`` prints the table.
"""

from attrs import frozen


@frozen(kw_only=True)
class Precision:
    """One precision at one target.

    :param name: of a row of :mod:`edgekit.quantization.scheme`.
    :param by: what makes it, and what of a network takes part.
    :param refused: why the target cannot be written in it; ``None``: it can.
    :param kinds: of work that may become integers there, as :data:`edgekit.planner.groups.KINDS`; all others compute in floats, for them
        weights may be integers all the same. Empty: a cost table tells.
    """

    name: str
    by: str = ""
    refused: str | None = None
    kinds: tuple[str, ...] = ()


def _refused(reason: str, *names: str) -> tuple[Precision, ...]:
    return tuple(Precision(name=name, refused=reason) for name in names)


_FLOAT = Precision(name="fp32", by="weights and arithmetic in float32")
_NOT_WRITTEN = "edgekit does not write it for this target"
_NO_TABLES = "the runtime has no weights that are looked up in a table: they would be stored, and read, in full"
_PALETTES = {"palette8": 256, "palette6": 64, "palette4": 16}
_WITH_WEIGHTS = ("conv", "depthwise", "linear")
_IN_HALVES = "arithmetic in half precision"
_IN_FLOATS = "arithmetic in float32"

COREML = (
    Precision(name="fp16", by="weights and arithmetic in half precision, but for what decides"),
    _FLOAT,
    Precision(
        name="w8a8", by=f"8-bit weights, and what convolutions and linear layers read rounded to 8 bits; all else: {_IN_HALVES}", kinds=_WITH_WEIGHTS
    ),
    *_refused("Core ML rounds activations in fixed ranges only", "w8a8-dynamic"),
    Precision(name="w8a32", by=f"8-bit weights, a scale a row; {_IN_HALVES}"),
    Precision(name="w4a32", by=f"4-bit weights, a scale for 32 of a row, from iOS 18 on; {_IN_HALVES}"),
    *(
        Precision(name=name, by=f"weights looked up in a table of {size}, from iOS 18 on in several; {_IN_HALVES}")
        for name, size in _PALETTES.items()
    ),
)
TFLITE = (
    _FLOAT,
    *_refused("XNNPACK computes float models in float32; weights stored in half would be widened when the file is loaded", "fp16"),
    Precision(name="w8a8", by="ai-edge-quantizer, integers where a plan finds them cheaper; float32 inputs and outputs"),
    Precision(name="w8a8-dynamic", by="ai-edge-quantizer: convolutions and linear layers, ranges of the values at hand"),
    Precision(name="w8a32", by="ai-edge-quantizer: weights in 8 bits, widened when the file is loaded"),
    Precision(name="w4a32", by="ai-edge-quantizer: weights in 4 bits, widened when the file is loaded; depthwise convolutions in floats"),
    *_refused(_NO_TABLES, *_PALETTES),
)
EXECUTORCH = (
    _FLOAT,
    *_refused("edgekit lowers to XNNPACK in float32", "fp16"),
    Precision(name="w8a8", by="torchao's export path for XNNPACK, integers where a plan finds them cheaper; float32 inputs and outputs"),
    Precision(
        name="w8a8-dynamic",
        by="torchao: linear layers and convolutions, ranges of the values at hand; depthwise and padded ones in floats",
    ),
    *_refused("XNNPACK multiplies no floats by stored integers, and ExecuTorch would widen the weights at every run", "w8a32", "w4a32"),
    *_refused(_NO_TABLES, *_PALETTES),
)
ONNX = (
    _FLOAT,
    *_refused("onnxruntime's CPU kernels compute in float32; half precision would be converted at every operator", "fp16"),
    Precision(name="w8a8", by="onnxruntime's static quantizer, integers where a plan finds them cheaper; float32 inputs and outputs"),
    *_refused(_NOT_WRITTEN, "w8a8-dynamic"),
    Precision(name="w8a32", by="8-bit weights, a scale a row; onnxruntime widens them"),
    *_refused(_NOT_WRITTEN, "w4a32"),
    *_refused(_NO_TABLES, *_PALETTES),
)
COREAI = (
    _FLOAT,
    Precision(name="fp16", by="weights and arithmetic in half precision, but for what decides"),
    Precision(
        name="w8a8", by=f"8-bit weights, and what convolutions and linear layers read rounded to 8 bits; all else: {_IN_FLOATS}", kinds=_WITH_WEIGHTS
    ),
    *_refused(_NOT_WRITTEN, "w8a8-dynamic"),
    Precision(name="w8a32", by=f"8-bit weights, a scale a row; {_IN_FLOATS}"),
    Precision(name="w4a32", by=f"4-bit weights, a scale for 32 of a row; {_IN_FLOATS}"),
    *(Precision(name=name, by=f"weights looked up in tables of {size}; {_IN_FLOATS}") for name, size in _PALETTES.items()),
)
