"""Proves each count that was assumed when a program was captured, or refuses it with the user's line.

The proof is made on a functional copy of the program, where no value is written to. It holds for scores of which no two in a row
are equal; :func:`edgekit.masks.captured.check_samples` finds the samples on which some are.
"""

from collections.abc import Sequence

import torch
from attrs import frozen
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from edgekit.errors import DataDependentError
from edgekit.masks.assumed import ASSUMED_PLACES
from edgekit.masks.counts import MaskCounter, NotCounted, made_by, same_mask
from edgekit.masks.dynamic import inside
from edgekit.ops.kept_places import KEPT_PLACES
from edgekit.quiet import quiet
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of
from edgekit.user_code import model_line

_HINT = (
    "keep a fixed share of the values, x[s > torch.quantile(s, q)] with a constant q, or a fixed number, x[torch.topk(s, k).indices]; "
    "or keep all and weigh them, torch.where(mask, x, 0)"
)


@frozen
class ProvedMask:
    """A boolean index: of how many places its mask keeps how many, and the user's line."""

    places: int
    kept: int
    line: str | None


def proved(name: str, program: ExportedProgram, lines: Sequence[str | None]) -> tuple[ExportedProgram, tuple[ProvedMask, ...]]:
    """Prove all counts of a program, and return it with places whose number is known, and its masks in the order of the forward.

    :param name: the model's, for the error. :param lines: the user's, by site.
    :raises DataDependentError: a count depends on the values, or is another one.
    """
    with quiet():
        functional = program.run_decompositions({})
    counter = MaskCounter(_constants(functional))
    sites: dict[int, fx.Node] = {argument(node, 2, "site"): node for node in functional.graph.nodes if is_call(node, ASSUMED_PLACES)}
    masks = {site: _prove(name, node, counter, lines[site]) for site, node in sites.items()}
    first = {site: next(other for other in sites if same_mask(sites[other], node)) for site, node in sites.items()}
    editor = ProgramEditor(program)
    places: dict[int, fx.Node] = {}  # of masks that are computed alike there is one
    for node in list(editor.graph.nodes):
        if is_call(node, ASSUMED_PLACES):
            mask, count, site = (argument(node, place, "") for place in range(3))
            places[site] = places[first[site]] if first[site] != site else editor.call(KEPT_PLACES, mask, count, before=node)
            node.replace_all_uses_with(places[site])
            editor.graph.erase_node(node)
    return editor.finish(), tuple(masks[site] for site in range(len(lines)))


def _prove(name: str, node: fx.Node, counter: MaskCounter, line: str | None) -> ProvedMask:
    mask, assumed = argument(node, 0, "mask"), argument(node, 1, "count")
    (size,) = shape_of(mask)
    try:
        kept = counter.count(mask)
    except NotCounted as reason:
        raise _refused(name, node, line, str(reason)) from None
    if kept == 0:
        raise _refused(name, node, line, f"of {size} distinct values it keeps none, whatever they are")
    if kept != assumed:
        raise _refused(
            name, node, line, f"of {size} distinct values it keeps {kept}, and on the example {assumed}: some are equal there, or not a number"
        )
    return ProvedMask(size, kept, line)


def _refused(name: str, node: fx.Node, line: str | None, why: str) -> DataDependentError:
    mask = argument(node, 0, "mask")
    return DataDependentError(
        f"cannot export {name}: how many values a mask selects is decided by what a tensor holds",
        what=f"a boolean mask of {shape_of(mask)[0]} places, made by {made_by(mask)}{inside(node)}",
        where=line or model_line(node.meta.get("stack_trace")),
        why=f"an exported graph is static; {why}",
        hint=_HINT,
    )


def _constants(program: ExportedProgram) -> dict[str, Tensor]:
    kinds = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
    written = set(program.graph_signature.buffers_to_mutate.values())
    found = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind in kinds and spec.target not in written:
            value = program.state_dict.get(str(spec.target), program.constants.get(str(spec.target)))
            if isinstance(value, torch.Tensor):
                found[spec.arg.name] = value
    return found
