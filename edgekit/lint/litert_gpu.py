"""Rules for LiteRT's GPU delegate, from the checks in its own sources.

The delegate runs the largest part of a graph that it takes in one piece and leaves the rest to the CPU. Not checked: the newest
version of each operator that it accepts.
"""

from collections.abc import Iterator

from edgekit.lint.rules import Hit, Rule
from edgekit.targets.tflite.graph import Tensor, TfliteGraph, TfliteOperator

_ACCELERATOR = "LiteRT GPU"
_TREE = "https://github.com/google-ai-edge/LiteRT/blob/main/tflite/"
_PARSERS = _TREE + "delegates/gpu/common/model_builder.cc"
_FORMS = _TREE + "tools/versioning/gpu_compatibility.cc"
_VERIFIED = "2026-11-21"

_MAX_RANK = 4
_PARSED = """
    ABS ADD ADD_N AVERAGE_POOL_2D BATCH_MATMUL CAST CONCATENATION CONV_2D COS CUMSUM DENSIFY DEPTHWISE_CONV_2D DEPTH_TO_SPACE
    DEQUANTIZE DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS
    LESS_EQUAL LOG LOGICAL_AND LOGISTIC LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK PAD PADV2 POW
    PRELU QUANTIZE REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR RSQRT SELECT SELECT_V2 SIGN SIN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE
    STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV UNPACK
    Convolution2DTransposeBias MaxPoolingWithArgmax2D MaxUnpooling2D Resampler
"""
_SUPPORTED = frozenset(_PARSED.split())
"""What ``NewOperationParser`` has a parser for."""

_DTYPES = frozenset({"float32", "float16", "int8", "uint8"})
"""The 8-bit ones by its quantization flag, which is on unless an app turns it off; they are computed in floats."""

_COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
_ALSO_READS = {"CAST": {"bool", "int32"}, "ONE_HOT": {"int32"}, "GATHER": {"int32"}, "LOGICAL_AND": {"bool"}, "SELECT": {"bool"}}
_ALSO_READS |= {"SELECT_V2": {"bool"}}
_ALSO_WRITES = {"CAST": {"bool", "int32"}, "LOGICAL_AND": {"bool"}} | {kind: {"bool"} for kind in _COMPARISONS}
_REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")

_INSTEAD = {
    "ARG_MAX": "return the logits and take the largest outside",
    "ARG_MIN": "return the values and take the smallest outside",
    "TOPK_V2": "return the values and select outside, or compare with a threshold",
    "GATHER_ND": "one-dimensional int32 indices (GATHER), or a product with a mask",
    "BROADCAST_TO": "let the next operator broadcast",
    "TRANSPOSE_CONV": "resize, then convolve",
}


def _hit(graph: TfliteGraph, operator: TfliteOperator, problem: str, *, hint: str | None = None) -> Hit:
    return Hit(
        method=graph.method, operator=operator.kind, name=operator.name, problem=problem, node=operator.node, module=operator.module, hint=hint
    )


def _rank(graph: TfliteGraph) -> Iterator[Hit]:
    for operator in graph.operators:
        tensors = [tensor for tensor in (*operator.operands, *operator.results) if tensor is not None]
        widest = max(tensors, key=lambda tensor: len(tensor.shape), default=None)
        if widest is not None and len(widest.shape) > _MAX_RANK:
            yield _hit(graph, operator, f"a tensor of rank {len(widest.shape)}: {widest}")


def _unsupported(graph: TfliteGraph) -> Iterator[Hit]:
    for operator in graph.operators:
        if operator.kind not in _SUPPORTED:
            yield _hit(graph, operator, f"the delegate has no {operator.kind}", hint=_INSTEAD.get(operator.kind))


def _dtype(graph: TfliteGraph) -> Iterator[Hit]:
    for operator in graph.operators:
        if operator.kind not in _SUPPORTED:
            continue
        reads = [tensor for tensor in operator.operands if tensor is not None and not tensor.stored]
        wrong = [tensor for tensor in reads if tensor.dtype not in _DTYPES | _ALSO_READS.get(operator.kind, set())]
        wrong += [tensor for tensor in operator.results if tensor.dtype not in _DTYPES | _ALSO_WRITES.get(operator.kind, set())]
        if wrong:
            yield _hit(graph, operator, f"computes on {wrong[0]}")


def _dynamic(graph: TfliteGraph) -> Iterator[Hit]:
    for operator in graph.operators:
        found = next((tensor for tensor in operator.tensors if None in tensor.shape), None)
        if found is not None:
            yield _hit(graph, operator, f"a size that is known at run time only: {found}")


def _form(graph: TfliteGraph) -> Iterator[Hit]:
    for operator in graph.operators:
        fault = _fault(operator)
        if fault is not None:
            yield _hit(graph, operator, fault)


def _fault(operator: TfliteOperator) -> str | None:
    """Return which published condition an operator breaks; ranks above 4 have a rule of their own."""
    operands = [tensor for tensor in operator.operands if tensor is not None]
    first, second = (*operands, None, None)[:2]
    if first is None or second is None:
        return None
    match operator.kind:
        case "SLICE" | "STRIDED_SLICE" if len(first.shape) < 3:
            return f"slices {first}, not three or four axes"
        case "PAD" | "PADV2" | "MIRROR_PAD" if second.shape not in ((3, 2), (4, 2)) and len(first.shape) <= _MAX_RANK:
            return f"pads {first}, not three or four axes"
        case kind if kind in _REDUCTIONS and not (second.stored and second.dtype == "int32"):
            return "its axes are not stored as int32"
        case "GATHER" if len(second.shape) != 1 or second.dtype != "int32":
            return f"its indices are {second}, not one axis of int32"
        case "SELECT" | "SELECT_V2":
            odd = next((tensor for tensor in operands[1:] if tensor.shape != operator.results[0].shape and not _is_scalar(tensor)), None)
            return None if odd is None else f"a branch of shape {odd} is broadcast"
        case "ADD" | "MUL" if not _broadcasts(first, second):
            return f"{first} with {second}"
    return None


def _is_scalar(tensor: Tensor) -> bool:
    return all(size == 1 for size in tensor.shape)


def _broadcasts(first: Tensor, second: Tensor) -> bool:
    """Whether the delegate takes two operands of these ranks; it is less free than LiteRT itself."""
    long, short = sorted((first.shape, second.shape), key=len, reverse=True)
    if len(short) <= 1 or len(long) == len(short):
        return True
    if len(long) != 4:
        return False
    if len(short) == 3:
        return long[0] == 1
    return (long[0] == 1 and short == (1, 1)) or (long[0], long[3]) == short


def _batch(graph: TfliteGraph) -> Iterator[Hit]:
    shapes = (tensor.shape for operator in graph.operators for tensor in operator.tensors if tensor.shape)
    batch = next((shape[0] for shape in shapes), None)
    for operator in graph.operators:
        odd = next((tensor for tensor in operator.results if tensor.shape and len(tensor.shape) <= _MAX_RANK and tensor.shape[0] != batch), None)
        if odd is not None:
            yield _hit(graph, operator, f"{odd}: a batch of {odd.shape[0]} where the input has {batch}")


RULES: tuple[Rule, ...] = (
    Rule(
        id="gpu-rank",
        accelerator=_ACCELERATOR,
        severity="warning",
        statement="operators with a tensor of rank 5 or more run on the CPU",
        hint="move windows or heads into another axis, in several steps of rank 4",
        source=_PARSERS,
        verified=_VERIFIED,
        check=_rank,
    ),
    Rule(
        id="gpu-operator",
        accelerator=_ACCELERATOR,
        severity="warning",
        statement="operators that the delegate has no parser for run on the CPU",
        hint="another operator of the delegate's list, or the same outside the model",
        source=_PARSERS,
        verified=_VERIFIED,
        check=_unsupported,
    ),
    Rule(
        id="gpu-dtype",
        accelerator=_ACCELERATOR,
        severity="warning",
        statement="values are float32, float16, or 8-bit quantized; int32 and bool in a few operators only",
        hint="keep integers out of the graph, or store them as constants",
        source=_PARSERS,
        verified=_VERIFIED,
        check=_dtype,
    ),
    Rule(
        id="gpu-static-shapes",
        accelerator=_ACCELERATOR,
        severity="warning",
        statement="the delegate does not take graphs with sizes known at run time only",
        hint="one signature for each shape",
        source=_TREE + "core/subgraph.cc",
        verified=_VERIFIED,
        check=_dynamic,
    ),
    Rule(
        id="gpu-form",
        accelerator=_ACCELERATOR,
        severity="warning",
        statement="some operators are taken in some forms only",
        hint="reshape to a form it takes",
        source=_FORMS,
        verified=_VERIFIED,
        check=_form,
    ),
    Rule(
        id="gpu-batch",
        accelerator=_ACCELERATOR,
        severity="info",
        statement="OpenGL, where the delegate goes without OpenCL, takes the first axis for the batch and stops where it changes",
        hint="keep the first axis as it is: a leading axis of size 1 before windows and heads, where the rank allows",
        source=_TREE + "delegates/gpu/gl/api2.cc",
        verified=_VERIFIED,
        check=_batch,
    ),
)
