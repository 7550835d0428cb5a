"""What each target can take, as rows: a rule, its value, where that is known from, the version it held for.

    facts      what a row is        systems   names of systems and backends
    forms      rows of several targets      one file a target: its own

Rewrites receive a :class:`TargetFacts` and read its limits and forms; no code branches on a target's name.
"""

from attrs import evolve

from edgekit.capabilities import coreai, coreml, executorch, onnx, tflite
from edgekit.capabilities.facts import Form, Limit, TargetFacts
from edgekit.capabilities.systems import BACKENDS, DEPLOYMENT_TARGETS, FIRST_WITH_FUNCTIONS, FIRST_WITH_PRECISION, WITHOUT_FUNCTIONS, is_older
from edgekit.errors import UnknownNameError
from edgekit.plugins import plugin_forms
from edgekit.precision_rows import Precision

__all__ = [
    "BACKENDS",
    "DEPLOYMENT_TARGETS",
    "FIRST_WITH_FUNCTIONS",
    "FIRST_WITH_PRECISION",
    "TARGETS",
    "WITHOUT_FUNCTIONS",
    "Form",
    "Limit",
    "Precision",
    "TargetFacts",
    "is_older",
    "target_facts",
]

TARGETS: tuple[TargetFacts, ...] = (coreml.ROW, tflite.ROW, executorch.ROW, onnx.ROW, coreai.ROW)
"""In the order in which they are listed."""


def target_facts(name: str) -> TargetFacts:
    """Return the row of a target by its name or alias, with the forms that other packages add.

    :raises UnknownNameError: no such target.
    """
    for target in TARGETS:
        if name in (target.name, target.alias):
            added = plugin_forms().get(target.name, ())
            return evolve(target, forms=(*target.forms, *added)) if added else target
    raise UnknownNameError("target", name, [n for t in TARGETS for n in (t.name, t.alias) if n])
