"""All rules, by the target whose artifacts they are for. Order: as they are shown, what hurts most first."""

from collections.abc import Mapping

from edgekit.lint import litert_gpu, neural_engine, xnnpack
from edgekit.lint.rules import Rule

RULES: Mapping[str, tuple[Rule, ...]] = {
    "coreml": neural_engine.RULES,
    "tflite": (*litert_gpu.RULES, *xnnpack.TFLITE_RULES),
    "executorch": xnnpack.PTE_RULES,
}
"""A target that is not here has no rules."""
