"""What rounding each group to 8 bits does to a method's outputs, by itself: from a few backward passes, not a run for each group.

    values, weights      v                    recorded on calibration samples, with their ranges
    rounding errors      d = round(v) - v     of each value that the group reads or writes, and of its weights
    outputs              J d                  to first order; its power is E |r . J d|^2 over random directions r

One backward pass of ``r . outputs`` gives ``r J`` for every value at once, so eight passes a sample tell all groups apart. That errors are small
is what makes the first order do: at 8 bits a group alone is far below the signal. All groups together are measured, not added up.

Source of the estimator: Hutchinson, "A stochastic estimator of the trace", 1990.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from edgekit.evaluate import output_names
from edgekit.planner.groups import Group, clipped_product, kind_of, nodes_of
from edgekit.quantization.ranges import Histogram

_PROBES = 8
_LEVELS = 255
_WEIGHT_LEVEL = 127
WITH_WEIGHTS = ("conv", "depthwise", "linear")
"""Kinds of groups whose weights are rounded, too."""


@frozen
class Recording:
    """A method's program and what it computes on a few samples.

    :param ranges: of every value in floats that a node writes or that comes from outside, by node.
    """

    program: ExportedProgram
    inputs: tuple[tuple[Tensor, ...], ...]
    ranges: dict[str, tuple[float, float]] = field(repr=False)
    outputs: tuple[str, ...] = ()


class _Run(fx.Interpreter):
    """Runs a program; every argument and every result of a node may be replaced on the way."""

    def __init__(self, program: ExportedProgram, read: Callable[[fx.Node, fx.Node, Any], Any], wrote: Callable[[fx.Node, Any], Any]) -> None:
        super().__init__(program.graph_module)
        self.program, self.read, self.wrote = program, read, wrote

    def run_node(self, n: fx.Node) -> Any:
        if n.op != "call_function":
            return super().run_node(n)
        args, kwargs = pytree.tree_map_only(fx.Node, lambda source: self.read(n, source, self.env[source]), (n.args, n.kwargs))
        target: Any = n.target
        if not _writes_in_place(target):
            return self.wrote(n, target(*args, **kwargs))
        # What is written to may be a weight, or a value whose gradient is asked for; who reads it later reads what was written.
        value = self.wrote(n, target(args[0].clone(), *args[1:], **kwargs))
        self.env[n.args[0]] = value  # type: ignore[index]
        return value

    def go(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        given = iter(inputs)
        arguments = []
        for spec in self.program.graph_signature.input_specs:
            if spec.kind == InputKind.USER_INPUT:
                arguments.append(next(given))
            else:
                name = str(spec.target)
                arguments.append(self.program.state_dict[name] if name in self.program.state_dict else self.program.constants[name])
        return list(self.run(*arguments))


def _writes_in_place(target: Any) -> bool:
    """Whether an operator writes to its first argument: ``relu_``, ``add_``."""
    return isinstance(target, torch._ops.OpOverload) and target._schema.arguments[:1] != [] and target._schema.arguments[0].is_write  # noqa: SLF001


def record(program: ExportedProgram, inputs: Sequence[tuple[Tensor, ...]]) -> Recording:
    """Run a program on samples and note the range of every value.

    :param inputs: by sample, in the order and layout of the program.
    """
    seen: dict[str, Histogram] = {}

    def note(node: fx.Node, value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            seen.setdefault(node.name, Histogram()).add(value.detach().numpy())
        return value

    def read(_: fx.Node, source: fx.Node, value: Any) -> Any:
        if source.op == "placeholder" and source.name not in constants:
            note(source, value)
        return value

    constants = _constants(program)
    run = _Run(program, read, note)
    with torch.no_grad():
        for row in inputs:
            run.go(row)
    ranges = {name: histogram.range() for name, histogram in seen.items()}
    # A runtime rounds what a clip leaves of a product, not the product: 8 bits over all that is cut off would leave few for the rest.
    ranges |= {
        product.name: ranges[node.name] for node in program.graph.nodes if (product := clipped_product(node)) is not None and node.name in ranges
    }
    return Recording(program, tuple(inputs), ranges, tuple(output_names(program)))


def noise_by_group(recording: Recording, method: str, groups: Sequence[Group]) -> dict[tuple[str, str, str], float]:
    """Return for each group of a method the power of the outputs' error over the power of the outputs, to first order.

    Outputs that are no floats, or no answers but what another method goes on with, count like any other.
    """
    group_of = nodes_of(groups, method)
    powers: dict[tuple[str, str, str], list[float]] = {group.key: [] for group in groups if group.method == method}
    generator = torch.Generator().manual_seed(0)
    for row in recording.inputs:
        for key, power in _noise_on(recording, row, group_of, generator).items():
            powers[key].append(power)
    return {key: float(np.mean(found)) if found else 0.0 for key, found in powers.items()}


def _noise_on(
    recording: Recording, row: tuple[Tensor, ...], group_of: Mapping[str, Group], generator: torch.Generator
) -> dict[tuple[str, str, str], float]:
    """Return the relative error power of each group on one sample."""
    errors: dict[tuple[str, str, str], list[tuple[Tensor, Tensor]]] = {}  # by group, values and their rounding errors
    constants = _constants(recording.program)
    clipped = {product.name for node in recording.program.graph.nodes if (product := clipped_product(node)) is not None}  # rounded once, behind

    def note(group: Group, value: Tensor, coarse: Tensor) -> Tensor:
        errors.setdefault(group.key, []).append((value, coarse - value.detach()))
        return value

    def read(node: fx.Node, source: fx.Node, value: Any) -> Any:
        group = group_of.get(node.name)
        if group is None or not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        if source.name in constants:
            return note(group, _leaf(value), _rounded_weight(value)) if _is_weight(group, value) else value
        bounds = None if source.name in clipped else recording.ranges.get(source.name)
        # A view, because the others who read the value are another group's.
        return value if bounds is None else note(group, _tracked(value).view_as(value), rounded(value.detach(), bounds))

    def wrote(node: fx.Node, value: Any) -> Any:
        group = group_of.get(node.name)
        if group is None or not isinstance(value, Tensor) or not value.is_floating_point() or node.name in clipped:
            return value
        return note(group, _tracked(value), rounded(value.detach(), recording.ranges[node.name]))

    with torch.enable_grad():
        outputs = [value for value in _Run(recording.program, read, wrote).go(row) if isinstance(value, Tensor) and value.requires_grad]
    signal = sum(float(value.detach().square().mean()) > 0 for value in outputs)
    values = [value for found in errors.values() for value, _ in found]
    power = dict.fromkeys(errors, 0.0)
    for _ in range(_PROBES if values and signal else 0):
        # Each output by its own power, so that features of large numbers do not hide the logits.
        probes = [
            torch.randn(value.shape, generator=generator) / math.sqrt(max(float(value.detach().square().sum()), 1e-30) * signal) for value in outputs
        ]
        gradients = iter(torch.autograd.grad(outputs, values, probes, retain_graph=True, allow_unused=True))
        for key, found in errors.items():
            moved = sum(float((gradient * error).sum()) for _, error in found if (gradient := next(gradients)) is not None)
            power[key] += moved**2 / _PROBES
    return power


def _leaf(value: Tensor) -> Tensor:
    return value.detach().clone().requires_grad_()


def _tracked(value: Tensor) -> Tensor:
    """Return a value that gradients are known for: what only constants and inputs went into has none yet."""
    return value if value.requires_grad else _leaf(value)


def _is_weight(group: Group, value: Tensor) -> bool:
    return group.kind in WITH_WEIGHTS and value.ndim > 1


def together(recording: Recording, method: str, groups: Sequence[Group], *, stored: Sequence[Group] = ()) -> list[float]:
    """Run a method with all of these groups rounded, and return the power of the error over that of the signal, an output each.

    Over all samples of the recording; outputs in the program's order, those that are no floats left out.

    :param stored: groups of which only the weights are rounded.
    """
    read, wrote = _rounding(recording, method, groups, stored)
    exact = _Run(recording.program, lambda _node, _source, value: value, lambda _node, value: value)
    coarse = _Run(recording.program, read, wrote)
    noise: list[float] = []
    signal: list[float] = []
    with torch.no_grad():
        for row in recording.inputs:
            pairs = [(want, got) for want, got in zip(exact.go(row), coarse.go(row), strict=True) if want.is_floating_point()]
            noise = [a + float((want - got).square().sum()) for a, (want, got) in zip(noise or [0.0] * len(pairs), pairs, strict=True)]
            signal = [a + float(want.square().sum()) for a, (want, _) in zip(signal or [0.0] * len(pairs), pairs, strict=True)]
    return [n / s if s else 0.0 for n, s in zip(noise, signal, strict=True)]


def traced(
    recording: Recording,
    method: str,
    groups: Sequence[Group],
    stored: Sequence[Group],
    inputs: Sequence[Tensor],
    observe: Callable[[fx.Node, Any], None],
) -> list[Tensor]:
    """Run a method with these groups rounded, as :func:`together` does, and show every node's value on the way; return the outputs."""
    read, wrote = _rounding(recording, method, groups, stored)

    def seen(node: fx.Node, value: Any) -> Any:
        value = wrote(node, value)
        observe(node, value)
        return value

    with torch.no_grad():
        return _Run(recording.program, read, seen).go(inputs)


def _rounding(
    recording: Recording, method: str, groups: Sequence[Group], stored: Sequence[Group]
) -> tuple[Callable[[fx.Node, fx.Node, Any], Any], Callable[[fx.Node, Any], Any]]:
    """Return what rounds the values that a run reads and writes."""
    group_of = nodes_of(groups, method)
    only_weights = nodes_of(stored, method)
    constants = _constants(recording.program)
    weights: dict[str, Tensor] = {}

    def read(node: fx.Node, source: fx.Node, value: Any) -> Any:
        group = group_of.get(node.name, only_weights.get(node.name))
        if group is None or not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        if source.name in constants:
            return weights.setdefault(source.name, _rounded_weight(value)) if _is_weight(group, value) else value
        if node.name in only_weights:
            return value
        bounds = recording.ranges.get(source.name)
        return value if bounds is None else rounded(value, bounds)

    def wrote(node: fx.Node, value: Any) -> Any:
        if node.name not in group_of or not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        return rounded(value, recording.ranges[node.name])

    return read, wrote


def rounded(value: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Return a value as 8 bits hold it: 256 levels from low to high, zero one of them."""
    low, high = bounds
    scale = (high - low) / _LEVELS
    if scale <= 0:
        return value
    zero = round(-low / scale)
    return (torch.clamp(torch.round(value / scale) + zero, 0, _LEVELS) - zero) * scale


def _rounded_weight(weight: Tensor) -> Tensor:
    """Return a weight as 8 bits hold it: symmetric, a scale for each output channel."""
    weight = weight.detach()
    scale = weight.abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True).clamp(min=1e-12) / _WEIGHT_LEVEL
    return torch.round(weight / scale) * scale


def _constants(program: ExportedProgram) -> frozenset[str]:
    return frozenset(spec.arg.name for spec in program.graph_signature.input_specs if spec.kind != InputKind.USER_INPUT and hasattr(spec.arg, "name"))


def working(program: ExportedProgram) -> dict[str, fx.Node]:
    """Return the nodes of a program that compute or move floats, by name, in order."""
    return {node.name: node for node in program.graph.nodes if kind_of(node) is not None}
