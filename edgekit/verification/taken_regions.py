"""Reads which regions an artifact takes from the values inside it, while it runs.

    captured   places = moves[p](scores)      P (1, 1 + k, 1 + n)      row r has a 1 for the token that comes as number r
    artifact   the value of the same node, by name                     its columns number the rows of the pass before

So following the ones from pass to pass gives each row's region in the network's own numbering. What is read is what the
artifact multiplies its tokens with, not what it says about itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgekit.errors import UsageError
from edgekit.interface import MethodSpec
from edgekit.ops.percentile_selection import PercentileSelection, kept_count
from edgekit.ops.selective_passes import HierarchicalPasses
from edgekit.targets.base import Interpreted, TracedValue
from edgekit.verification.forced_regions import Regions

Array = np.ndarray


@frozen
class _Site:
    """A module that selects: how many regions are there before its first pass, and in each."""

    path: str
    counts: tuple[int, ...]

    def moves(self) -> dict[int, str]:
        """Return the modules that take regions out in the static form, by pass; where all stay there is none, nor a value where none stays."""
        steps = enumerate(zip(self.counts[:-1], self.counts[1:], strict=True))
        return {index: f"{self.path}.moves.{index}" for index, (before, after) in steps if 0 < after < before}


class Watched:
    """An artifact that keeps of each run which regions it took; otherwise as it is."""

    def __init__(self, executable: Interpreted, sites: Sequence[_Site], nodes: Mapping[str, str]) -> None:
        self.methods: tuple[MethodSpec, ...] = executable.methods
        self.taken: list[Regions | None] = []
        """Of each run so far; ``None`` where what was seen is no selection."""
        self._executable = executable
        self._sites = sites
        self._nodes = nodes

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a method, as :meth:`Executable.run` does."""
        seen: dict[str, Array] = {}

        def look_at(traced: TracedValue) -> None:
            move = self._nodes.get(traced.node)
            # Beside the matrix (1, 1 + k, 1 + n) there is the column of those left, (1, 1 + n, 1). The last value seen is the one that is used.
            if move is not None and traced.value.ndim == 3 and traced.value.shape[2] > 1:
                seen[move] = traced.value

        results = self._executable.trace(method, inputs, look_at)
        regions = {site.path: _regions(site, seen) for site in self._sites}
        known = {path: masks for path, masks in regions.items() if masks is not None}
        self.taken.append(known if len(known) == len(regions) else None)
        return results


def watched(executable: Interpreted, program: ExportedProgram | None, model: nn.Module, example: Sequence[Tensor]) -> Watched | None:
    """Return an artifact that shows its regions; ``None`` where the model selects none, or the artifact's cannot be read.

    :param program: the one it was lowered from, whose nodes' names its values keep. :param model: eager; ``example``: what it takes.
    """
    sites = _sites(model, example)
    if program is None or not sites:
        return None
    # Of a module that is called twice (path@1) it is not known which call a value belongs to.
    wanted = {move for site in sites for move in site.moves().values()}
    paths = {node.name: _module(node.meta) for node in program.graph.nodes}
    nodes = {name: path for name, path in paths.items() if path in wanted}
    twice = any(path.partition("@")[0] in wanted and "@" in path for path in paths.values())
    return None if twice or set(nodes.values()) != wanted else Watched(executable, sites, nodes)


def _sites(model: nn.Module, example: Sequence[Tensor]) -> list[_Site]:
    """Run a model once for the numbers of tokens that its selecting modules get; none if percentiles do not tell how many are kept."""
    regions: dict[str, int] = {}
    modules = {path: module for path, module in model.named_modules() if isinstance(module, HierarchicalPasses)}

    def count(path: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, given: regions.update({path: given[0].shape[1] - 1})

    handles = [module.register_forward_pre_hook(count(path)) for path, module in modules.items()]
    try:
        if modules:
            with torch.no_grad():
                model(*example)
    finally:
        for handle in handles:
            handle.remove()
    sites = []
    for path, before in regions.items():
        counts = [before]
        for selection in modules[path].selections:
            try:
                counts.append(kept_count(counts[-1], cast(PercentileSelection, selection).beta))
            except UsageError:
                return []
        sites.append(_Site(path, tuple(counts)))
    return sites


def _module(meta: Mapping[str, object]) -> str:
    """Return the path of the innermost module that a node comes from."""
    stack = meta.get("nn_module_stack")
    return str(list(stack.values())[-1][0]) if isinstance(stack, dict) and stack else ""


def _regions(site: _Site, seen: Mapping[str, Array]) -> tuple[Tensor, ...] | None:
    """Follow the ones from pass to pass."""
    up = np.arange(site.counts[0])  # the region of each row, in the artifact's order
    moves, masks = site.moves(), []
    for index, (before, after) in enumerate(zip(site.counts[:-1], site.counts[1:], strict=True)):
        if after == 0:
            up = up[:0]
        elif index in moves:
            columns = _columns(seen.get(moves[index]), (1, 1 + after, 1 + before))
            if columns is None:
                return None
            up = up[columns]
        mask = torch.zeros(site.counts[0], dtype=torch.bool)
        mask[torch.from_numpy(up)] = True
        masks.append(mask)
    return tuple(masks)


def _columns(matrix: Array | None, shape: tuple[int, ...]) -> Array | None:
    """Return the region that each row but the class token's takes; ``None`` for what is no selection: one 1 a row, none twice, class token first."""
    if matrix is None or matrix.shape != shape:
        return None
    rows = matrix[0]
    ones = rows == 1
    if not (ones | (rows == 0)).all() or (ones.sum(1) != 1).any() or (ones.sum(0) > 1).any() or not ones[0, 0]:
        return None
    return np.asarray(rows[1:, 1:].argmax(1))
