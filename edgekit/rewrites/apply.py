"""Runs rewrites over a model or a program, and proves on the spot that nothing changed but the form.

Each site is compared on its own scale: a whole network can hide a wrong site behind a small residual
factor (EMOv2's LayerScale starts at 1e-6), a site cannot.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edgekit.capabilities import TargetFacts
from edgekit.errors import RewriteError
from edgekit.evaluate import evaluate, output_names
from edgekit.rewrites.base import GraphRewrite, ModuleRewrite, Refusal
from edgekit.rewrites.graph import ProgramEditor, site_of
from edgekit.rewrites.report import Place, RewriteReport, Skip
from edgekit.user_code import model_line

SITE_TOLERANCE = 1e-4
"""Largest allowed difference at a site, relative to its largest value. Float32 reassociation over a few thousand
terms stays under 1e-5 (EMOv2 5M at 224: 5e-6 at the worst site); the tests' wrong rewrites are far above the limit."""


_TWO_SIZES = Refusal("it runs on inputs of different sizes, and a replacement is made for one")


def rewrite_modules(
    model: nn.Module, rewrites: Sequence[ModuleRewrite], target: TargetFacts, example: tuple[Tensor, ...], *, prove: bool = True
) -> tuple[nn.Module, tuple[RewriteReport, ...]]:
    """Return a copy of ``model`` with every matching module replaced, and one report per rewrite.

    :param example: the model's inputs; they are run once to learn what each site sees.
    :param prove: compare each site before and after. Without it, what comes back is for counting and never for lowering.
    :raises RewriteError: a replacement computes something else than the module it replaces.
    """
    # What is only counted needs no weights of its own.
    model = copy.deepcopy(model, {} if prove else {id(parameter): parameter for parameter in model.parameters()})
    wanted = [rewrite for rewrite in rewrites if target.wants(rewrite.name)]
    seen, resized = _inputs_of(model, example, lambda module: any(rewrite.match(module) for rewrite in wanted))
    reports = []
    for rewrite in wanted:
        sites, skips, errors, places = [], [], [], []
        for path, (module, given) in list(seen.items()):
            if not rewrite.match(module):
                continue
            plan = _TWO_SIZES if path in resized and not _takes_any_size(rewrite) else rewrite.check(module, given[0], target)
            if isinstance(plan, Refusal):
                skips.append(Skip(site=path, reason=plan.reason, place=Place(operator=type(module).__name__)))
                continue
            replacement = rewrite.replace(module, plan).eval()
            if prove:
                with torch.no_grad():
                    errors.append(_prove_all(rewrite.name, path, module(*given), replacement(*given)))
            if path:
                model.set_submodule(path, replacement)
            else:
                model = replacement
            seen[path] = (replacement, given)
            sites.append(path)
            places.append(Place(operator=type(module).__name__))
        reports.append(
            RewriteReport(name=rewrite.name, sites=tuple(sites), skips=tuple(skips), max_error=max(errors, default=None), places=tuple(places))
        )
    return model, tuple(reports)


def rewrite_program(
    program: ExportedProgram, rewrites: Sequence[GraphRewrite], target: TargetFacts, example: tuple[Tensor, ...], *, prove: bool = True
) -> tuple[ExportedProgram, tuple[RewriteReport, ...]]:
    """Return the rewritten program and one report per rewrite; ``program`` is left as it is.

    :param example: inputs on which both programs are run and compared at every site.
    :param prove: compare them. Without it, what comes back is for counting and never for lowering.
    :raises RewriteError: a site's value changed.
    """
    editor = ProgramEditor(program)
    original = {node.name for node in program.graph.nodes}
    watched: dict[str, tuple[fx.Node, str, str]] = {}  # original node -> (what holds its value now, rewrite, site)
    drafts: list[tuple[str, list[_Site], list[Skip]]] = []
    for rewrite in rewrites:
        if target.wants(rewrite.name):
            moves, sites, skips = _run(rewrite, editor, target)
            for site, old, new in moves:
                _follow(watched, old, new, rewrite.name, site, original)
            drafts.append((rewrite.name, sites, skips))
    rewritten = editor.finish()
    errors = _compare(program, rewritten, watched, example) if prove else {}
    reports = tuple(
        RewriteReport(
            name=name,
            sites=tuple(site for site, _ in sites),
            skips=tuple(skips),
            max_error=errors.get(name),
            places=tuple(place for _, place in sites),
        )
        for name, sites, skips in drafts
    )
    return rewritten, reports


_Move = tuple[str, fx.Node, fx.Node]
"""A site, the node that held a value there, and the one that holds it now."""

_Site = tuple[str, Place]


def _run(rewrite: GraphRewrite, editor: ProgramEditor, target: TargetFacts) -> tuple[list[_Move], list[_Site], list[Skip]]:
    """Sweep over the graph until a sweep finds nothing to do: a site can make another possible in front of it.

    A node that the rewrite added, or that was a site, is not visited again, so that this ends.
    """
    moves: list[_Move] = []
    sites: list[_Site] = []
    waiting = list(editor.graph.nodes)
    while True:
        visited, more, skips = _sweep(rewrite, waiting, editor, target)
        if not visited:
            return moves, sites, skips
        moves += more
        sites += visited.values()
        waiting = [node for node in waiting if node not in visited]


def _sweep(
    rewrite: GraphRewrite, waiting: Sequence[fx.Node], editor: ProgramEditor, target: TargetFacts
) -> tuple[dict[fx.Node, _Site], list[_Move], list[Skip]]:
    """Visit each node once; return the sites by their node, what moved there, and the refusals."""
    visited: dict[fx.Node, _Site] = {}
    moves: list[_Move] = []
    skips: list[Skip] = []
    alive = set(editor.graph.nodes)
    for node in waiting:
        if node not in alive or not rewrite.match(node, editor):
            continue
        site, place = site_of(node), _place_of(node)
        plan = rewrite.check(node, editor, target)
        if isinstance(plan, Refusal):
            skips.append(Skip(site=site, reason=plan.reason, place=place))
            continue
        for old, new in rewrite.replace(node, plan, editor):
            old.replace_all_uses_with(new, delete_user_cb=_not(new))
            moves.append((site, old, new))
            editor.erase_unused(old)
        alive = set(editor.graph.nodes)
        visited[node] = (site, place)
    return visited, moves, skips


def _place_of(node: fx.Node) -> Place:
    """Return the operator and the model's line; before the node is replaced, after which it has neither."""
    operator = str(node.target) if isinstance(node.target, torch._ops.OpOverload) else getattr(node.target, "__name__", str(node.target))  # noqa: SLF001
    return Place(operator=operator, line=model_line(node.meta.get("stack_trace")))


def _not(new: fx.Node) -> Callable[[fx.Node], bool]:
    return lambda user: user is not new


def _follow(watched: dict[str, tuple[fx.Node, str, str]], old: fx.Node, new: fx.Node, rewrite: str, site: str, original: set[str]) -> None:
    """Note that ``new`` now holds the value of ``old``, and of whatever ``old`` held it for."""
    for name, (current, _, _) in list(watched.items()):
        if current is old:
            watched[name] = (new, rewrite, site)
    if old.name in original:
        watched[old.name] = (new, rewrite, site)


def _compare(
    before: ExportedProgram, after: ExportedProgram, watched: Mapping[str, tuple[fx.Node, str, str]], example: tuple[Tensor, ...]
) -> dict[str, float]:
    """Run both programs, compare every watched value and every output; return the worst error of each rewrite."""
    alive = {node.name for node in after.graph.nodes}
    pairs = {name: (current.name, rewrite, site) for name, (current, rewrite, site) in watched.items() if current.name in alive}
    for ours, theirs in zip(output_names(before), output_names(after), strict=True):
        pairs.setdefault(ours, (theirs, "the rewrites together", "output"))
    if not watched:
        return {}
    expected = evaluate(before, example, set(pairs))
    actual = evaluate(after, example, {name for name, _, _ in pairs.values()})
    errors: dict[str, float] = {}
    for name, (current, rewrite, site) in pairs.items():
        errors[rewrite] = max(errors.get(rewrite, 0.0), _prove(rewrite, site, expected[name], actual[current]))
    return errors


def _takes_any_size(rewrite: ModuleRewrite) -> bool:
    return getattr(rewrite, "any_size", False)


def _prove_all(rewrite: str, site: str, expected: Any, actual: Any) -> float:
    """Return the largest relative error of a module's outputs: a tensor, or tensors nested alike in both."""
    (ours, structure), (theirs, other) = pytree.tree_flatten(expected), pytree.tree_flatten(actual)
    if structure != other:
        raise RewriteError(
            f"rewrite {rewrite} changed {site or 'the model'}",
            what=f"it returns {other} after, {structure} before",
            hint="this is a defect in edgekit: please report it with the model",
        )
    return max((_prove(rewrite, site, *pair) for pair in zip(ours, theirs, strict=True)), default=0.0)


def _prove(rewrite: str, site: str, expected: Tensor, actual: Tensor) -> float:
    """Return the relative error at a site, or raise."""
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        raise RewriteError(
            f"rewrite {rewrite} changed {site or 'the model'}",
            what=f"{actual.dtype} {tuple(actual.shape)} after, {expected.dtype} {tuple(expected.shape)} before",
            hint="this is a defect in edgekit: please report it with the model",
        )
    expected, actual = expected.detach(), actual.detach()
    if not expected.is_floating_point():
        expected, actual = expected.double(), actual.double()  # masks and counts: any difference is a large one
    same = expected == actual  # infinities, which masks are full of, have no difference
    expected, actual = expected.masked_fill(same & expected.isinf(), 0), actual.masked_fill(same & actual.isinf(), 0)
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    error = float((expected - actual).abs().max()) / (scale or 1.0) if expected.numel() else 0.0
    if not error <= SITE_TOLERANCE:  # a NaN is not within any tolerance
        raise RewriteError(
            f"rewrite {rewrite} changed what {site or 'the model'} computes",
            what=f"largest difference {error:.1e} of the largest value there; allowed {SITE_TOLERANCE:.0e}",
            hint="this is a defect in edgekit: please report it with the model",
        )
    return error


def _inputs_of(
    model: nn.Module, example: tuple[Tensor, ...], wanted: Callable[[nn.Module], bool]
) -> tuple[dict[str, tuple[nn.Module, tuple[Any, ...]]], set[str]]:
    """Run the model once; return every module ``wanted`` accepts with what it was given last, and those given several sizes."""
    seen: dict[str, tuple[nn.Module, tuple[Any, ...]]] = {}
    resized: set[str] = set()

    def watch(path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if path in seen and seen[path][1][0].shape != inputs[0].shape:
                resized.add(path)
            seen[path] = (module, inputs)

        return hook

    handles: Iterable[Any] = [module.register_forward_pre_hook(watch(path)) for path, module in model.named_modules() if wanted(module)]
    try:
        if handles:
            with torch.no_grad():
                model(*example)
    finally:
        for handle in handles:
            handle.remove()
    return seen, resized


def merge_reports(methods: Mapping[str, tuple[RewriteReport, ...]]) -> tuple[RewriteReport, ...]:
    """Put the reports of several methods together, one a rewrite; sites then begin with the method's name."""
    if len(methods) == 1:
        return next(iter(methods.values()))
    merged: dict[str, RewriteReport] = {}
    for method, reports in methods.items():
        for report in reports:
            so_far = merged.get(report.name, RewriteReport(name=report.name))
            errors = [error for error in (so_far.max_error, report.max_error) if error is not None]
            merged[report.name] = RewriteReport(
                name=report.name,
                sites=(*so_far.sites, *(f"{method}: {site}" for site in report.sites)),
                skips=(*so_far.skips, *(attrs.evolve(skip, site=f"{method}: {skip.site}") for skip in report.skips)),
                max_error=max(errors, default=None),
                places=(*so_far.places, *report.places),
            )
    return tuple(merged.values())
