"""Finds a target's implementation by name, importing the vendor's packages only then."""

import importlib
import importlib.util
from typing import cast

from edgekit.capabilities import TargetFacts, target_facts
from edgekit.errors import MissingExtraError
from edgekit.targets.base import Target


def missing_modules(facts: TargetFacts) -> list[str]:
    """Return the packages the target needs that are not installed, without importing any."""
    return [name for name in facts.modules if importlib.util.find_spec(name) is None]


def get_target(name: str) -> Target:
    """Return the target of this name or alias.

    :raises UnknownNameError: no such target.
    :raises MissingExtraError: its packages are not installed.
    """
    facts = target_facts(name)
    missing = missing_modules(facts)
    if missing:
        raise MissingExtraError(f"target {facts.name}", facts.extra, missing)
    return cast(Target, importlib.import_module(f"edgekit.targets.{facts.name}").TARGET)
