"""What a network, or its artifact, answers on labelled pictures; some of the pictures at a time, by their places in the seeded order.

Exits are numbered, whatever the form: ``exit_1`` .. ``exit_K``; a network without any answers as ``forward``. An artifact is run as an app runs
it: each exit gets what the artifact's own exit before it handed on.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from edgekit.conditions.source import without_conditions
from edgekit.data.pictures import Pictures
from edgekit.data.stream import SampleStream
from edgekit.errors import BadInputError, UsageError
from edgekit.interface import CONFIDENCE, FORWARD, LOGITS, Preprocessing
from edgekit.manifest import native_method
from edgekit.methods import handed_on, has_exits, method_sources
from edgekit.models.source import SourceModel
from edgekit.preprocess import normalise, to_pixels
from edgekit.runtime.loaded import LoadedArtifact
from edgekit.sweep_store.predictions import Predictions, rows_of
from edgekit.verification.cases import eager_cases
from edgekit.verification.feeding import run_method
from edgekit.verification.judged import answering
from edgekit.verification.samples import Sample, verification_samples

Array = np.ndarray
_EXIT = "exit_"

Answers = Callable[[Sample], Mapping[str, tuple[Array, float | None]]]
"""Of one picture, by answer: logits ``(classes,)`` and the confidence, where there is one."""


def predict_pictures(answers: Answers, pictures: Pictures, preprocessing: Preprocessing, start: int, count: int) -> Predictions:
    """Return what is answered on the pictures at ``start`` to ``start + count`` of the seeded order.

    :raises BadInputError: a picture has no label, or one that no answer has; one that cannot be read is noted as that.
    """
    order = SampleStream(pictures=pictures, preprocessing=preprocessing).order()[start : start + count]
    names: tuple[str, ...] | None = None
    rows: list[list[int] | None] = []
    for index in order:
        try:
            pixels = to_pixels(pictures.image(pictures.content(index)), preprocessing)
        except BadInputError:
            rows.append(None)
            continue
        label = pictures.label(index)
        found = answers(Sample(name=pictures.name(index), tensor=normalise(pixels, preprocessing), pixels=pixels))
        names = names or tuple(found)
        classes = min(logits.size for logits, _ in found.values())
        if label is None or not 0 <= label < classes:
            raise BadInputError(f"{pictures.name(index)} in {pictures.origin} has the label {label}", what=f"the network knows {classes} classes")
        rows.append([label, *(value for name in names for value in rows_of(found[name][0], label, found[name][1]))])
    if names is None:
        raise BadInputError(f"none of {len(order)} pictures in {pictures.origin} can be read")
    unreadable = [-1] * (1 + 3 * len(names))
    table = [[start + place, *(row or unreadable)] for place, row in enumerate(rows)]
    return Predictions(answers=names, rows=np.array(table, np.int32))


def of_network(source: SourceModel) -> tuple[SourceModel, Answers]:
    """Return what asks the eager network; of one with conditions, the one without them that exports start from."""
    samples = verification_samples(source.preprocessing)
    source, _ = without_conditions(source, [torch.from_numpy(sample.tensor) for sample in samples])
    sources = method_sources(source.module, "methods" if has_exits(source.module) else None, one_graph=False)

    def ask(sample: Sample) -> dict[str, tuple[Array, float | None]]:
        with torch.no_grad():
            cases = eager_cases(source, sources, [sample])
        return _named({name: {output: values[0] for output, values in case.outputs.items()} for name, case in cases.items()})

    return source, ask


def of_artifact(artifact: LoadedArtifact) -> Answers:
    """Return what asks an artifact.

    :raises UsageError: it answers to more than a picture.
    """
    stages = [method for method in artifact.methods if method.name.startswith(_EXIT)] or list(artifact.methods[:1])
    if len(stages[0].inputs) != 1:
        raise UsageError(f"{artifact.path.name} takes {', '.join(tensor.name for tensor in stages[0].inputs)}", why="there are pictures alone")
    own = {method.name: native_method(artifact.executable.methods, method) for method in stages}
    (first,) = (tensor.name for tensor in stages[0].inputs)

    def ask(sample: Sample) -> dict[str, tuple[Array, float | None]]:
        given: Mapping[str, Array] = {first: sample.tensor}
        found = {}
        for method in stages:
            found[method.name] = run_method(artifact.executable, method, own[method.name], given, sample)
            given = handed_on(found[method.name])
        return _named(found)

    return ask


def _named(outputs: Mapping[str, Mapping[str, Array]]) -> dict[str, tuple[Array, float | None]]:
    """Return all answers, numbered by exit, the network's own last."""
    found: dict[str, tuple[Array, float | None]] = {}
    for method, values in outputs.items():
        numbered = sorted((int(name.rpartition("_")[2]), name) for name in values if name.startswith(f"{LOGITS}_"))
        if numbered:  # all exits in one graph
            for number, name in numbered:
                found[f"{_EXIT}{number}"] = (values[name].reshape(-1), _only(values.get(f"{CONFIDENCE}_{number}")))
        else:
            name = method if method.startswith(_EXIT) else FORWARD
            found[name] = (values[answering(values)[0]].reshape(-1), _only(values.get(CONFIDENCE)))
    return found


def _only(value: Array | None) -> float | None:
    return None if value is None else float(np.asarray(value).reshape(-1)[0])
