"""Every operator that Core ML Tools can write is computed here, or refused for a stated reason."""

from edgekit.mil.interpreter import _Run
from edgekit.mil.operators.registry import OPERATORS
from edgekit.targets.coreml.toolbox import coremltools

REFUSED = {
    "_const_symbolic": "exists inside the converter only",
    "conv_quantized": "experimental; how its scale and bias broadcast is not defined",
}


def registered():
    """Return the classes that define each operator, one per operator set that changed it."""
    coremltools()
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    found = {name: set(versions.values()) for name, versions in SSAOpRegistry.core_ops.items()}
    assert all(".ops.defs.iOS1" in version.__module__ for versions in found.values() for version in versions)
    return found | {"coreml_update_state": {SSAOpRegistry.dialect_ops["coreml_update_state"]}}


def test_every_operator_is_computed_or_refused():
    known = OPERATORS.keys() | _Run.CONTROL.keys()
    assert sorted(registered().keys() - known - REFUSED.keys()) == []
    assert sorted(known & REFUSED.keys()) == []
    assert sorted(REFUSED.keys() - registered().keys()) == []


def test_no_operator_is_invented():
    assert sorted(OPERATORS.keys() - registered().keys()) == []


def test_every_parameter_is_accepted():
    known = registered()
    wrong = {}
    for operator, entry in OPERATORS.items():
        for version in known[operator]:
            inputs = version.input_spec.input_types
            needed = {name for name, given in inputs.items() if not given.optional}
            if complaints := (inputs.keys() - entry.accepted) | (entry.required - needed):
                wrong[operator] = sorted(complaints)
    assert wrong == {}
