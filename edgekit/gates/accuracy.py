"""Runs an artifact on labelled pictures for a gate.

A network with exits leaves where the policy in its manifest says, as in an app; without one its last exit answers. The pictures are drawn by a seed,
so a gate runs on the same ones everywhere; that kernels differ between processors may still turn a close call.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from attrs import frozen

from edgekit.data.open import open_data
from edgekit.data.stream import SampleStream, Taken
from edgekit.errors import ArtifactError, BadInputError
from edgekit.gates.measure import Metric, exactly
from edgekit.interface import LOGITS, MethodSpec
from edgekit.manifest import preprocessing_from_json
from edgekit.policy.policy import Policy
from edgekit.runtime.early_exit import check_exits
from edgekit.runtime.loaded import LoadedArtifact, load_artifact
from edgekit.sweep_store.store import SweepStore
from edgekit.sweep_store.table import document

Array = np.ndarray
_FIRST = 5


@frozen(kw_only=True)
class Accuracy:
    """On what accuracy is measured: a data set's name, a folder or a CSV file of labels; and on how many pictures of it."""

    data: str
    samples: int = 200
    seed: int = 0


def measure_accuracy(path: Path, wanted: Accuracy) -> Mapping[str, Metric]:
    """Return the shares of labelled pictures that an artifact classifies rightly.

    :raises BadInputError: the pictures cannot be had, are too few, or have no labels or others than the artifact's classes.
    :raises ArtifactError: the artifact is none, or none of a classifier. :raises CannotRunHere: nothing on this host runs it.
    """
    artifact = load_artifact(path)
    if artifact.manifest is None:
        raise ArtifactError(f"{path.name} has no manifest", hint="export it again")
    preprocessing = preprocessing_from_json(artifact.manifest.document.get("preprocessing"))
    taken = SampleStream(pictures=open_data(wanted.data), preprocessing=preprocessing, seed=wanted.seed).take(wanted.samples)
    labels = taken.labels
    if labels is None:
        raise BadInputError(f"{wanted.data} has no labels", hint="class folders, or a CSV file with filename and label")
    logits = np.concatenate([_logits(artifact, _input(artifact.methods[0], taken, index)) for index in range(len(labels))])
    if labels.max() >= logits.shape[1]:
        raise BadInputError(f"{wanted.data} has label {labels.max()}", what=f"{path.name} knows {logits.shape[1]} classes")
    order = np.argsort(-logits, axis=1, kind="stable")
    found = {"accuracy.top1": (order[:, 0] == labels).mean(), "accuracy.top5": (order[:, :_FIRST] == labels[:, None]).any(1).mean()}
    return {name: exactly(float(share)) for name, share in found.items()}


def swept_accuracies(path: Path) -> Mapping[str, Mapping[str, Metric]]:
    """Return the shares that a sweep has found, by the artifact's sha256.

    :raises EvidenceError: the file is no store of a sweep.
    """
    with SweepStore.open(path) as store:
        rows = [row for row in document(store)["results"] if row["sha256"] is not None and row.get("accuracy") is not None]
    return {row["sha256"]: {"accuracy.top1": exactly(row["accuracy"]), "accuracy.top5": exactly(row["accuracy_top5"])} for row in rows}


def _input(method: MethodSpec, taken: Taken, index: int) -> Array:
    """Return one picture as a method takes it: 8-bit pixels or normalised floats, in its layout."""
    spec = method.inputs[0]
    if spec.dtype == "image":
        pixels: Array = taken.samples[index].pixels
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]) if spec.layout == "NCHW" else pixels[None]
    tensor = taken.tensor(index)
    return np.ascontiguousarray(tensor.transpose(0, 2, 3, 1)) if spec.layout == "NHWC" else tensor


def _logits(artifact: LoadedArtifact, image: Array) -> Array:
    first = artifact.methods[0]
    if len(artifact.methods) == 1 and len(first.inputs) == 1:
        answer = artifact.run(first.name, {first.inputs[0].name: image})
        name = next((tensor.name for tensor in reversed(first.outputs) if tensor.name.startswith(LOGITS)), first.outputs[0].name)
        return answer[name].reshape(1, -1)
    exits, (classes,) = check_exits(artifact.methods)
    kept = None if artifact.exits is None else artifact.exits.policy or artifact.exits.own
    last = Policy(kind="anytime", exits=exits, classes=classes, exit=exits)
    return artifact.run_early_exit(image, None if kept is not None else last).logits
