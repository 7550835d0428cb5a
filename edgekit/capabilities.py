"""What each target can take, as rows: a rule, its value, where that is known from, the version it held for.

Rewrites receive a :class:`TargetFacts` and read its limits and forms; no code branches on a target's name.
"""

from typing import Any

from attrs import frozen

from edgekit.errors import UnknownNameError

BACKENDS = ("xnnpack", "coreml", "vulkan", "portable")
DEPLOYMENT_TARGETS = ("iOS17", "iOS16", "iOS18", "iOS26")


@frozen(kw_only=True)
class Limit:
    """A hard fact about a target: break ``rule`` and ``breaks`` happens."""

    rule: str
    value: Any
    verified: str
    source: str
    breaks: str


@frozen(kw_only=True)
class Form:
    """Which of several exact spellings a target gets, and the measurement that chose it."""

    rewrite: str
    measured: str


@frozen(kw_only=True)
class TargetFacts:
    """One target: its files, what it needs installed, what it can hold, and the rewrites it gets.

    ``precisions`` and ``inputs`` list the default first. ``forms`` are the rewrites applied, by name.
    """

    name: str
    alias: str | None = None
    suffix: str
    about: str
    extra: str
    modules: tuple[str, ...]
    precisions: tuple[str, ...]
    inputs: tuple[str, ...]
    image_layout: str
    limits: tuple[Limit, ...]
    forms: tuple[Form, ...]

    def limit(self, rule: str) -> Any:
        """Return the value of a rule, or ``None`` where the target states none."""
        return next((limit.value for limit in self.limits if limit.rule == rule), None)

    def wants(self, rewrite: str) -> bool:
        """Whether the rewrite of this name is applied for the target."""
        return any(form.rewrite == rewrite for form in self.forms)


_FOLDS = tuple(
    Form(rewrite=name, measured="PENDING")
    for name in (
        "fold_attention_scale",
        "drop_key_bias",
        "merge_coincident_windows",
        "fold_batch_norm",
        "fold_batch_norm_forward",
        "fold_channel_scale",
        "fold_layer_norm_affine",
        "merge_projections",
        "merge_permutes",
    )
)

_COREML_VERSION = "coremltools 9.0"
_TFLITE_VERSION = "litert-torch 0.10.0, ai-edge-litert 2.3.0"
_EXECUTORCH_VERSION = "executorch 1.5.1"

TARGETS: tuple[TargetFacts, ...] = (
    TargetFacts(
        name="coreml",
        suffix=".mlpackage",
        about="Core ML ML program, for iOS and macOS",
        extra="coreml",
        modules=("coremltools",),
        precisions=("fp16", "fp32"),
        inputs=("image", "tensor"),
        image_layout="NCHW",
        limits=(
            Limit(
                rule="max_rank",
                value=5,
                verified=_COREML_VERSION,
                source="https://github.com/apple/coremltools/issues/1723",
                breaks="a reshape to rank 6 fails at conversion: 'Core ML only supports tensors with rank <= 5'",
            ),
        ),
        forms=(Form(rewrite="static_windows_rank5_channels_first", measured="PENDING"), *_FOLDS),
    ),
    TargetFacts(
        name="tflite",
        alias="litert",
        suffix=".tflite",
        about="LiteRT flatbuffer, XNNPACK on the CPU",
        extra="tflite",
        modules=("litert_torch", "ai_edge_litert"),
        precisions=("fp32",),
        inputs=("tensor",),
        image_layout="NHWC",
        limits=(
            Limit(
                rule="max_rank",
                value=6,
                verified=_TFLITE_VERSION,
                source="XNNPACK XNN_MAX_TENSOR_DIMS = 6, and LiteRT's own transpose kernel stops there too",
                breaks="a transpose of rank 7 has no kernel",
            ),
        ),
        forms=(
            Form(rewrite="static_windows_rank6_channels_last", measured="PENDING"),
            Form(rewrite="layer_norm_as_arithmetic", measured="PENDING"),
            *_FOLDS,
        ),
    ),
    TargetFacts(
        name="executorch",
        suffix=".pte",
        about="ExecuTorch program, XNNPACK delegate (or Core ML, Vulkan, portable kernels)",
        extra="executorch",
        modules=("executorch",),
        precisions=("fp32",),
        inputs=("tensor",),
        image_layout="NCHW",
        limits=(
            Limit(
                rule="max_rank",
                value=6,
                verified=_EXECUTORCH_VERSION,
                source="XNNPACK XNN_MAX_TENSOR_DIMS = 6",
                breaks="a permute of rank 7 is delegated, then fails at load: 'Failed to define tensor 0 ... xnn_status_unsupported_parameter'",
            ),
        ),
        forms=(
            Form(rewrite="static_windows_rank6_channels_last", measured="PENDING"),
            Form(rewrite="layer_norm_as_convs", measured="PENDING"),
            Form(rewrite="transpose_keys", measured="PENDING"),
            Form(rewrite="keep_mean_axes", measured="PENDING"),
            *_FOLDS,
        ),
    ),
    TargetFacts(
        name="onnx",
        suffix=".onnx",
        about="ONNX model, for onnxruntime and as a reference",
        extra="onnx",
        modules=("onnx", "onnxscript", "onnxruntime"),
        precisions=("fp32",),
        inputs=("tensor",),
        image_layout="NCHW",
        limits=(),
        forms=(Form(rewrite="static_windows_rank6_channels_last", measured="PENDING"), *_FOLDS),
    ),
)


def target_facts(name: str) -> TargetFacts:
    """Return the row of a target by its name or alias.

    :raises UnknownNameError: no such target.
    """
    for target in TARGETS:
        if name in (target.name, target.alias):
            return target
    raise UnknownNameError("target", name, [n for t in TARGETS for n in (t.name, t.alias) if n])
