"""Takes the conditions out of a model that is to be exported: exits become stages, the others selections; each is proved."""

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edgekit.capture import capture
from edgekit.conditions.assembled import with_conditions
from edgekit.conditions.chain import Chain, Exit, chain_of, line_of, needed, without_exits
from edgekit.conditions.cut import cut
from edgekit.conditions.decision import Decision, decision_of, is_max_softmax
from edgekit.conditions.functional import functional
from edgekit.conditions.network import SelectedNetwork, SplitNetwork
from edgekit.conditions.paths import conditions_in
from edgekit.conditions.proof import prove, run_forced
from edgekit.errors import CaptureError
from edgekit.interface import LOGITS
from edgekit.models.naming import is_factory
from edgekit.models.source import SourceModel
from edgekit.ops.early_exit import EarlyExitNetwork
from edgekit.outputs import named_outputs
from edgekit.rewrites.report import RewriteReport, Skip

_PROVED_ON = 9
"""How many images: as many as an export is verified on unless more are asked for."""

_CODE = "    "  # stands between a line's place and its code


def without_conditions(source: SourceModel, images: Sequence[Tensor]) -> tuple[SourceModel, tuple[RewriteReport, ...]]:
    """Replace a model that holds conditions by a network with exits, or without conditions, and say what was done; one without is what it was.

    Registered models, those that declare their stages, and those that take other than one picture are what they are. Where Python branches on what
    tensors hold, both ways become a condition. A model that cannot be captured otherwise is left to the capture of each method, which says why.

    :param images: each ``(1, 3, R, R)``; both are run on the first nine and compared.
    :raises CaptureError: it writes to its buffers. :raises RewriteError: what it computes was changed.
    """
    if not is_factory(source.name) or isinstance(source.module, EarlyExitNetwork) or source.inputs is not None:
        return source, ()
    images = images[:_PROVED_ON]
    try:
        program = capture(source.name, source.module, (images[0],))
    except CaptureError:
        found = with_conditions(source.name, source.module, images[0])
        if found is None:
            return source, ()
        program = found
    if not any(conditions_in(program.graph_module)):
        return source, ()
    network, reports = unconditional(source.name, program, images)
    worst = 0.0
    with torch.no_grad():
        for image in images:
            expected, actual = source.module(image.clone()), network(image.clone())
            if isinstance(network, SplitNetwork):
                expected = tuple(named_outputs(expected).values())[network.position]
            worst = max(worst, prove(source.name, "what it computes", pytree.tree_leaves(expected), pytree.tree_leaves(actual)))
    reports = tuple(attrs.evolve(report, max_error=worst if report.sites else None) for report in reports)
    return attrs.evolve(source, module=network.eval()), reports


def unconditional(name: str, program: ExportedProgram, images: Sequence[Tensor]) -> tuple[nn.Module, tuple[RewriteReport, ...]]:
    """Take the conditions out of a captured program.

    :param name: the model's, for errors.
    :raises CaptureError: it writes to its buffers. :raises RewriteError: an exit was changed.
    """
    program = functional(name, program)
    chain = chain_of(program)
    position = _logits_position(program, chain.exits, chain.paths.image) if len(chain.exits) > 1 else 0
    if isinstance(position, str):
        chain = without_exits(program, position)
        position = 0
    if len(chain.exits) == 1:
        return _selected(program, chain)
    logits = [exit_.outputs[position] for exit_ in chain.exits]
    decisions = [
        decision_of(exit_.predicate, chain.paths.constants, leaves_when=exit_.leaves_when) for exit_ in chain.exits if exit_.predicate is not None
    ]
    alike = all(is_max_softmax(decision, last) for decision, last in zip(decisions, logits, strict=False))
    thresholds = tuple(decision.threshold for decision in decisions)
    network = SplitNetwork(cut(chain, [[last] for last in logits], decisions), thresholds, "max_softmax" if alike else None, position)
    for image in images:
        _prove_exits(name, program, chain.exits, network, image)
    return network, _reports(chain, decisions)


def _selected(program: ExportedProgram, chain: Chain) -> tuple[nn.Module, tuple[RewriteReport, ...]]:
    (last,) = chain.exits
    (part,) = cut(chain, [last.outputs], [])
    return SelectedNetwork(part, program.call_spec.out_spec), _reports(chain, [])


def _logits_position(program: ExportedProgram, exits: Sequence[Exit], image: fx.Node) -> int | str:
    """Return which of the outputs are the logits, or why none is: a sentence."""
    rows = list(zip(*(exit_.outputs for exit_ in exits), strict=True))
    names = list(_output_names(program, len(rows)))
    computed = [position for position, row in enumerate(rows) if any(_reads(value, image) for value in row)]
    if len(computed) != 1:
        return (
            f"it ends the forward, but what an exit returns has to be its {LOGITS} alone, and numbers that do not depend on the image; "
            f"here it is {', '.join(names[position] for position in computed) or 'nothing'}"
        )
    shapes = {tuple(map(int, value.meta["val"].shape)) for value in rows[computed[0]] if isinstance(value, fx.Node)}
    if any(len(shape) != 2 or shape[0] != 1 or shape[1] < 2 for shape in shapes) or len(shapes) != 1:
        words = " or ".join(str(shape) for shape in sorted(shapes))
        return f"it ends the forward, but what an exit returns is {words} and not logits of one image, (1, classes)"
    return computed[0]


def _output_names(program: ExportedProgram, count: int) -> Sequence[str]:
    structure: pytree.TreeSpec = program.call_spec.out_spec
    return tuple(named_outputs(pytree.tree_unflatten([torch.empty(0)] * count, structure)))


def _reads(value: Any, image: fx.Node) -> bool:
    return isinstance(value, fx.Node) and image in needed([value])


def _prove_exits(name: str, program: ExportedProgram, exits: Sequence[Exit], network: SplitNetwork, image: Tensor) -> None:
    """Compare every exit's logits with those of the program that is made to leave there."""
    features: tuple[Tensor, ...] = (image,)
    sides: dict[fx.Node, bool] = {}
    with torch.no_grad():
        for number, (exit_, stage) in enumerate(zip(exits, network.stages, strict=True), start=1):
            logits, features = stage(features)
            here = {} if exit_.condition is None else {exit_.condition: exit_.leaves_when}
            prove(name, f"exit {number}", [run_forced(program, image, sides | here)[network.position]], [logits])
            sides |= {condition: not side for condition, side in here.items()}


def _reports(chain: Chain, decisions: Sequence[Decision]) -> tuple[RewriteReport, ...]:
    exits = tuple(
        f"exit_{number} ({_place(line_of(exit_.condition))}): leaves where confidence >= {decision.threshold:.9g}"
        for number, (exit_, decision) in enumerate(zip(chain.exits, decisions, strict=False), start=1)
        if exit_.condition is not None
    )
    skips = tuple(
        Skip(site=_place(each.line), reason=f"{each.reason}; both of its branches are computed, and one is selected") for each in chain.selected
    )
    split = RewriteReport(name="split_exits", sites=exits, skips=skips)
    return (split, RewriteReport(name="select_branches", sites=tuple(_place(each.line) for each in chain.selected)))


def _place(line: str | None) -> str:
    return "a condition" if line is None else line.partition(_CODE)[0].partition(",")[0]
