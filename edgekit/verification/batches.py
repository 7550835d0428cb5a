"""Compares an artifact that takes several inputs at once with eager on each of them, at several batches.

Eager is asked one at a time: a model that mixes the pictures of a batch answers otherwise, and no app means that.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from edgekit.batches import tried
from edgekit.interface import MethodSpec
from edgekit.manifest import native_method
from edgekit.targets.base import Target
from edgekit.verification.cases import Case
from edgekit.verification.parity import Parity, combine, compare
from edgekit.verification.samples import Sample

Array = np.ndarray


def with_batches(parity: Parity, target: Target, path: Path, method: MethodSpec, samples: Sequence[Sample], case: Case) -> Parity:
    """Return the comparison one at a time, and at each batch that is tried; the worst of them is the verdict.

    :param parity: that of one at a time; returned as it is where the method takes no more. :param case: what eager's method answers.
    """
    if method.largest_batch == 1 or parity.tolerance is None:
        return parity
    executable = target.open(path)
    own = native_method(executable.methods, method)
    rows = {"one at a time": parity}
    for size in tried(method.largest_batch):
        batches = [[(start + step) % len(samples) for step in range(size)] for start in range(0, len(samples), size)]
        found: dict[str, list[Array]] = {spec.name: [] for spec in method.outputs}
        for batch in batches:
            given = {native.name: _rows(case.inputs, spec.name, batch) for native, spec in zip(own.inputs, method.inputs, strict=True)}
            ran = executable.run(own.name, given)
            for native, spec in zip(own.outputs, method.outputs, strict=True):
                found[spec.name].append(ran[native.name])
        wanted = {name: [np.concatenate([values[number] for number in batch]) for batch in batches] for name, values in case.outputs.items()}
        names = [f"{size} from {samples[batch[0]].name} on" for batch in batches]
        rows[f"{size} at once"] = compare(wanted, found, names, parity.tolerance, target.executed_by)
    worst = combine(rows, {})
    each = tuple(value for row in rows.values() for value in row.sample_sqnr_db)
    return attrs.evolve(worst, methods={}, samples=sum(row.samples for row in rows.values()), sample_sqnr_db=each, selections=parity.selections)


def _rows(inputs: Sequence[Mapping[str, Array]], name: str, batch: Sequence[int]) -> Array:
    return np.concatenate([inputs[number][name] for number in batch])
