"""Puts the vendor's plain export of the same eager model beside an artifact, so that both are timed in one run.

The model is built again from the artifact's manifest and given to the vendor's converter as its documentation shows. That may fail: many
networks that edgekit rewrites cannot be converted otherwise. A failure is a result, with the stage it came at.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import nn

from edgekit.artifact import read_manifest
from edgekit.bench.naive import EXPORTERS
from edgekit.errors import ArtifactError, UsageError
from edgekit.methods import AllExits, has_exits
from edgekit.models.source import SourceModel
from edgekit.ops.early_exit import stages_of
from edgekit.progress import Listener, stage
from edgekit.quiet import quiet
from edgekit.rebuild import eager_source
from edgekit.runtime.loaded import facts_of_file
from edgekit.targets.registry import get_target

NAIVE = "naive"


@frozen(kw_only=True)
class Beside:
    """The vendor's export for one artifact.

    :param path: ``None``: there is none that runs, and ``failure`` says at which stage and why.
    :param max_rel_error: its largest difference from eager relative to eager's largest value, over all outputs of one image.
    """

    artifact: Path
    model: str
    path: Path | None = None
    failure: str | None = None
    max_rel_error: float | None = None


def plain_exports(paths: Sequence[Path], folder: Path, *, model: str | None, weights: Path | None, listener: Listener) -> tuple[Beside, ...]:
    """Export each artifact's model the vendor's way, into a folder of ours.

    :param model: the model's own file, where it lies elsewhere than at the export. :param weights: the checkpoint of the export.
    :raises UsageError: no plain export is known for a target. :raises ArtifactError: an artifact has no manifest, or as ``eager_source``.
    """
    found = []
    for number, path in enumerate(paths):
        facts = facts_of_file(path)
        if facts.name not in EXPORTERS:
            raise UsageError(f"there is no plain export to {facts.name} to compare with", what=f"targets: {', '.join(sorted(EXPORTERS))}")
        manifest = read_manifest(path)
        if manifest is None:
            raise ArtifactError(f"{path.name} has no manifest", why="it tells which model the vendor's converter has to be given")
        _, source = eager_source(path.name, manifest, facts, model=model, weights=weights)
        place = folder / f"{number}" / f"{path.stem}.{NAIVE}{path.suffix}"  # two artifacts may have one name
        place.parent.mkdir()
        with stage(listener, f"plain export of {source.name} to {facts.name}") as running:
            found.append(_export(facts.name, source, path, place))
            running.detail = found[-1].failure or "runs"
    return tuple(found)


def _export(target: str, source: SourceModel, artifact: Path, place: Path) -> Beside:
    module: nn.Module = AllExits(stages_of(source.module), "max_softmax").eval() if has_exits(source.module) else source.module
    image = torch.randn(source.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = _arrays(module(image))
    at = "converting"
    try:
        with torch.no_grad(), quiet():
            EXPORTERS[target](module, image, place)
            at = "loading"
            opened = get_target(target).open(place, threads=1)
            at = "running"
            (method,) = opened.methods
            spec = method.inputs[0]
            given = image.numpy() if spec.shape[1] == 3 else np.ascontiguousarray(image.numpy().transpose(0, 2, 3, 1))
            actual = opened.run(method.name, {spec.name: given})
    except Exception as error:  # noqa: BLE001  vendors raise anything; the failure is the result
        return Beside(artifact=artifact, model=source.name, failure=f"fails when {at}: {_described(error)}")
    return Beside(artifact=artifact, model=source.name, path=place, max_rel_error=_error(expected, list(actual.values())))


def _arrays(answer: Any) -> list[np.ndarray]:
    values = list(answer.values()) if isinstance(answer, Mapping) else list(answer) if isinstance(answer, tuple | list) else [answer]
    return [value.detach().numpy() for value in values]


def _error(expected: list[np.ndarray], actual: list[np.ndarray]) -> float | None:
    """Compare outputs by position where both have as many of the same shapes; nothing is known otherwise."""
    if [value.shape for value in expected] != [value.shape for value in actual]:
        return None
    return max(float(np.abs(got - want).max() / (np.abs(want).max() or 1.0)) for want, got in zip(expected, actual, strict=True))


def _described(error: Exception) -> str:
    """Return an error in one line, without the colours that torch puts into it."""
    return f"{type(error).__name__}: {' '.join(re.sub(chr(27) + '[^m]*m', '', str(error)).split())[:200]}"
