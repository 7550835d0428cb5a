"""Names of systems and backends, and which of them came with what."""

BACKENDS = ("xnnpack", "coreml", "vulkan", "portable")
DEPLOYMENT_TARGETS = ("iOS17", "iOS16", "iOS18", "iOS26")
FIRST_WITH_FUNCTIONS = "iOS18"
"""The oldest system whose Core ML packages hold several functions."""
WITHOUT_FUNCTIONS = ("iOS16", "iOS17")
"""Systems whose Core ML packages hold one."""
FIRST_WITH_PRECISION = {"w8a8": "iOS17", "w4a32": "iOS18"}
"""The oldest system whose Core ML packages hold a precision, where that is not the oldest of all."""


def is_older(system: str, other: str) -> bool:
    """Whether a deployment target came before another."""
    return int(system.removeprefix("iOS")) < int(other.removeprefix("iOS"))
