"""What an artifact declares: the interface of its methods, and what it says about itself."""

from pathlib import Path
from typing import Any

from edgekit import artifact
from edgekit.capabilities import TargetFacts
from edgekit.errors import BadInputError
from edgekit.interface import IMAGE, Layout, MethodSpec, TensorSpec
from edgekit.models.source import SourceModel
from edgekit.recipe import Recipe
from edgekit.targets.base import Metadata
from edgekit.verification.cases import Case
from edgekit.version import __version__

_MOST_LABEL_BYTES = 1 << 24


def method_spec(recipe: Recipe, facts: TargetFacts, case: Case) -> MethodSpec:
    """Return the interface that a method of the artifact has to offer."""
    inputs = tuple(_image_spec(recipe, facts, value) if name == IMAGE else _spec(name, value) for name, value in case.inputs[0].items())
    outputs = tuple(_spec(name, values[0]) for name, values in case.outputs.items())
    return MethodSpec(name=case.method, inputs=inputs, outputs=outputs, largest_batch=recipe.largest_batch)


def _image_spec(recipe: Recipe, facts: TargetFacts, value: Any) -> TensorSpec:
    batch, channels, height, width = value.shape
    layout: Layout = "NHWC" if facts.image_layout == "NHWC" else "NCHW"
    shape = (batch, height, width, channels) if layout == "NHWC" else (batch, channels, height, width)
    return TensorSpec(name=IMAGE, dtype="image" if recipe.input == "image" else "float32", shape=shape, layout=layout)


def _spec(name: str, value: Any) -> TensorSpec:
    return TensorSpec(name=name, dtype=str(value.dtype), shape=tuple(value.shape), layout="NC" if value.ndim == 2 else "other")


def metadata_for(source: SourceModel, labels: tuple[str, ...]) -> Metadata:
    """Return what the artifact says about itself."""
    state = {True: "", False: ", untrained", None: ", weights as its factory made them"}[source.trained]
    return Metadata(
        description=f"{source.name} image classifier for {source.resolution} x {source.resolution} RGB images{state}",
        author="exported with edgekit",
        license="see the licence of the model and its weights",
        edgekit_version=__version__,
        preprocessing=source.preprocessing,
        labels=labels,
        trained=source.trained,
    )


def read_labels(path: Path | None, logits: TensorSpec) -> tuple[tuple[str, ...], str | None]:
    """Read class names, one a line, and the file's sha256.

    :raises BadInputError: unreadable, or not one line for each class.
    """
    if path is None:
        return (), None
    if logits.layout != "NC":
        raise BadInputError(f"labels {path.name} belong to no output", why=f"{logits.name} has shape {logits.shape}, not (batch, classes)")
    classes = logits.shape[-1]
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_LABEL_BYTES + 1)
        if len(content) > _MOST_LABEL_BYTES:
            raise BadInputError(f"{path.name} has more than {_MOST_LABEL_BYTES >> 20} MiB", hint="one class name a line, in the order of the logits")
        labels = tuple(line.strip() for line in content.decode().splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"cannot read labels {path.name}", why=str(error)) from error
    if len(labels) != classes:
        raise BadInputError(
            f"{path.name} has {len(labels)} labels, the model {classes} classes", hint="one class name a line, in the order of the logits"
        )
    return labels, artifact.digest(path)
