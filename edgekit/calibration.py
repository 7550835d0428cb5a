"""Pictures for quantizing: three draws to choose ranges from, and others, in none of them, to judge with.

    all pictures, in the order of seed 0    | held out, to judge | ... the rest ...            |
    the rest, in the order of seed 0, 1, 2  | draw 0 |   | draw 1 |   | draw 2 |       each may share pictures with another

What is published was calibrated on draw 0; the others tell how much of the result is the draw.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import frozen

from edgekit.data.open import open_data
from edgekit.data.part import Part
from edgekit.data.pictures import Pictures, check_labels
from edgekit.data.stream import SampleStream, Taken
from edgekit.errors import BadInputError, UsageError
from edgekit.interface import IMAGE, MethodSpec, Preprocessing
from edgekit.methods import MethodSource
from edgekit.models.source import SourceModel
from edgekit.ops.exit_selection import SelectedExit
from edgekit.quantization.scheme import Scheme
from edgekit.recipe import CALIBRATION_SAMPLES
from edgekit.verification.cases import eager_cases
from edgekit.verification.feeding import as_input
from edgekit.verification.samples import Sample

Array = np.ndarray

DRAWS = 3
"""Calibrations that are compared."""
JUDGED = 256
"""Pictures to judge with, at the most."""
FEWEST_JUDGED = 16
_SPLITS = ("hold-out", "train", "test")
"""Of a data set that names none: the first that it has."""


@frozen(kw_only=True)
class Draws:
    """What was drawn.

    :param judged: pictures to judge with. :param drawn: to calibrate on, one a draw; none where the scheme needs no ranges.
    :param labels: of the judged pictures, int64 ``(N,)``; ``None``: not known, or of other classes than the model's, then ``note`` says so.
    """

    judged: Taken
    drawn: tuple[Taken, ...]
    labels: Array | None
    note: str | None = None

    def record(self) -> dict[str, Any]:
        """Return what a manifest says of them."""
        return {"judged": self.judged.record(), "calibrated": [taken.record() for taken in self.drawn], "note": self.note}

    @property
    def skipped(self) -> tuple[str, ...]:
        """The names of all pictures that could not be read."""
        return tuple(dict.fromkeys(one.name for taken in (self.judged, *self.drawn) for one in taken.skipped))


def check_data(scheme: Scheme, data: str | None) -> None:
    """Refuse to choose ranges from nothing.

    :raises UsageError: the scheme is calibrated, and no pictures were given.
    """
    if scheme.calibrated and data is None:
        raise UsageError(
            f"{scheme.name} needs pictures to choose the ranges of integers from",
            what="no --data",
            why="noise in their place costs tens of points of accuracy",
            hint="--data DIR, of pictures as the app will see them; or edgekit data pull cifar10, then --data cifar10",
        )


def draw(data: str, scheme: Scheme, preprocessing: Preprocessing, *, count: int | None, classes: int) -> Draws:
    """Draw the pictures of an export; none of the judged is in any calibration.

    :param count: to calibrate on. :param classes: of the model.
    :raises BadInputError: there are too few, too many cannot be read, or the labels are not the model's.
    """
    pictures = open_pictures(data)
    count = 0 if not scheme.calibrated else CALIBRATION_SAMPLES if count is None else count
    available = len(pictures)
    if available < count + FEWEST_JUDGED:
        raise BadInputError(
            f"there are fewer pictures in {pictures.origin} than are asked for",
            what=f"{available}, for {count} to calibrate on and {FEWEST_JUDGED} others to judge with",
            hint=_fewer(available),
        )
    labelled, note = _usable_labels(pictures, classes)
    # Half of what is left over stays with the rest, so that the draws are not all the same pictures.
    judged = SampleStream(pictures=pictures, preprocessing=preprocessing).take(min(JUDGED, max(FEWEST_JUDGED, (available - count) // 2)))
    taken = {sample.name for sample in judged.samples} | {one.name for one in judged.skipped}
    rest = Part(whole=pictures, numbers=tuple(index for index in range(available) if pictures.name(index) not in taken))
    drawn = (
        [SampleStream(pictures=rest, preprocessing=preprocessing, seed=seed, whole=available).take(count) for seed in range(DRAWS)] if count else []
    )
    return Draws(judged=judged, drawn=tuple(drawn), labels=judged.labels if labelled else None, note=note)


def open_pictures(data: str) -> Pictures:
    """Return a set of pictures; of a data set that names no split the one that networks are not fitted to.

    :raises UsageError: there is no such data set or split. :raises BadInputError: it is not there or not usable.
    """
    for split in _SPLITS:
        try:
            return open_data(data, split=split)
        except UsageError:
            if split == _SPLITS[-1] or ":" in data:
                raise
    raise AssertionError  # the last split returned or raised


def _fewer(available: int) -> str:
    most = available - FEWEST_JUDGED
    return f"--num-calibration-samples {most}, or more pictures" if most > 0 else f"give more pictures: {CALIBRATION_SAMPLES} to calibrate on do well"


def _usable_labels(pictures: Pictures, classes: int) -> tuple[bool, str | None]:
    """Return whether the labels are of the model's classes, and a sentence where they are there and are not."""
    if all(pictures.label(index) is None for index in range(len(pictures))):
        return False, None
    if pictures.classes and len(pictures.classes) != classes:
        return False, f"{pictures.origin} has {len(pictures.classes)} classes and the model {classes}: its labels are passed over"
    check_labels(pictures, classes)
    return True, None


def as_samples(taken: Taken) -> tuple[Sample, ...]:
    """Return drawn pictures as the model's inputs."""
    return tuple(Sample(name=one.name, tensor=taken.tensor(index), pixels=one.pixels) for index, one in enumerate(taken.samples))


def calibration_inputs(
    source: SourceModel, sources: Sequence[MethodSource], methods: Sequence[MethodSpec], samples: Sequence[Sample]
) -> dict[str, tuple[Mapping[str, Array], ...]]:
    """Return what each method takes on each sample, in its layout, float32: an image, or what eager's method before it hands on."""
    if all(method.after is None and not isinstance(method.module, SelectedExit) for method in sources):
        given: dict[str, Sequence[Mapping[str, Array]]] = {method.name: [{IMAGE: sample.tensor} for sample in samples] for method in sources}
    else:
        with torch.no_grad():
            given = {name: case.inputs for name, case in eager_cases(source, sources, samples).items()}
    return {
        method.name: tuple(
            {spec.name: as_input(row[spec.name], sample, spec).astype(np.float32) for spec in method.inputs}
            for row, sample in zip(given[method.name], samples, strict=True)
        )
        for method in methods
    }
