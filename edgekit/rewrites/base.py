"""What a rewrite is, of either kind, and what it reports.

A module rewrite replaces an ``nn.Module`` before capture; a graph rewrite changes an ``ExportedProgram``.
Both work in three steps that share nothing but their arguments:

    match    is this a place for me?
    check    can it be done here, for this target?   -> a plan, or a Refusal with the reason in words
    replace  carry the plan out
"""

from collections.abc import Iterable
from typing import Any, Protocol

from attrs import frozen
from torch import Tensor, fx, nn

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.graph import ProgramEditor


@frozen
class Refusal:
    """Why a rewrite leaves a matching place alone; a sentence for people."""

    reason: str


class ModuleRewrite(Protocol):
    """Replaces one module by an equivalent one. ``x`` is the first input seen at the site.

    A replacement that is right for inputs of other sizes, too, says so with an attribute ``any_size``; without it a module that
    runs on several sizes is left alone.
    """

    @property
    def name(self) -> str:
        """The name under which targets ask for it and reports list it."""
        ...

    def match(self, module: nn.Module) -> bool:
        """Whether the module is of the kind this rewrite replaces."""
        ...

    def check(self, module: Any, x: Tensor, target: TargetFacts) -> Any:
        """Return what ``replace`` needs to know, or a :class:`Refusal`."""
        ...

    def replace(self, module: Any, plan: Any) -> nn.Module:
        """Return the replacement; the original is left as it is."""
        ...


class GraphRewrite(Protocol):
    """Replaces the value of one node of a program by an equal one computed otherwise."""

    @property
    def name(self) -> str:
        """The name under which targets ask for it and reports list it."""
        ...

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """Whether a pattern of this rewrite ends at ``node``."""
        ...

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> Any:
        """Return what ``replace`` needs to know, or a :class:`Refusal`."""
        ...

    def replace(self, node: fx.Node, plan: Any, editor: ProgramEditor) -> Iterable[tuple[fx.Node, fx.Node]]:
        """Add the new nodes and return the ``(old, new)`` pairs whose values are equal; the caller rewires the users."""
        ...
