"""What each method is given for each sample, and what eager answers: the reference of a comparison."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from edgekit.errors import ModelSourceError
from edgekit.interface import IMAGE, THRESHOLDS
from edgekit.methods import MethodSource, handed_on
from edgekit.models.source import SourceModel, check_runs
from edgekit.ops.exit_selection import SelectedExit, forcing_thresholds
from edgekit.outputs import named_outputs
from edgekit.verification.samples import Sample

Array = np.ndarray


@frozen(kw_only=True)
class Case:
    """One method on all samples: ``inputs`` by sample, then by name, in the order that the method takes them; ``outputs`` by name, then by sample.

    ``module`` is the eager method that gave the outputs.
    """

    method: str
    module: nn.Module
    after: str | None
    inputs: tuple[Mapping[str, Array], ...]
    outputs: Mapping[str, Sequence[Array]]

    def example(self) -> tuple[Tensor, ...]:
        """Return the first sample's inputs, as the eager method takes them."""
        return tuple(torch.from_numpy(value.copy()) for value in self.inputs[0].values())


def eager_cases(source: SourceModel, methods: Sequence[MethodSource], samples: Sequence[Sample]) -> dict[str, Case]:
    """Run the eager model's methods, in order, on every sample; each gets what eager's method before it hands on.

    :raises ModelSourceError: a method does not run, or returns what NumPy cannot hold.
    """
    outputs: dict[str, list[dict[str, Array]]] = {}
    inputs: dict[str, list[dict[str, Array]]] = {}
    for sample in samples:
        for method in methods:
            given = _given(source, method, sample, len(inputs.get(method.name, [])), outputs)
            result = check_runs(source.name, method.module, tuple(torch.from_numpy(value) for value in given.values()))
            inputs.setdefault(method.name, []).append(given)
            outputs.setdefault(method.name, []).append({name: _as_array(source.name, name, value) for name, value in named_outputs(result).items()})
    return {
        method.name: Case(
            method=method.name,
            module=method.module,
            after=method.after,
            inputs=tuple(inputs[method.name]),
            outputs={name: [row[name] for row in outputs[method.name]] for name in outputs[method.name][0]},
        )
        for method in methods
        if method.in_file
    }


def _given(
    source: SourceModel, method: MethodSource, sample: Sample, index: int, outputs: Mapping[str, Sequence[Mapping[str, Array]]]
) -> dict[str, Array]:
    """Return what a method takes on a sample: thresholds, too, if it chooses an exit itself, and then each exit in turn is chosen."""
    if method.after is not None:
        return handed_on(outputs[method.after][-1])
    if source.inputs is not None:
        return {given.name: given.on(sample.tensor, index) for given in source.inputs}
    if not isinstance(method.module, SelectedExit):
        return {IMAGE: sample.tensor}
    thresholds = forcing_thresholds(method.module, torch.from_numpy(sample.tensor), index % len(method.module.stages) + 1, refusal=index)
    return {IMAGE: sample.tensor, THRESHOLDS: thresholds.numpy()}


def _as_array(model: str, name: str, value: torch.Tensor) -> Array:
    try:
        return value.detach().cpu().numpy().copy()  # a copy: a model may return its own buffer
    except (TypeError, RuntimeError) as error:
        raise ModelSourceError(
            f"{model} returns {name} as {value.dtype}", why=f"NumPy has no such type: {error}", hint="return float32: value.float()"
        ) from error
