"""All readers there are, from one network's artifacts."""

from collections.abc import Mapping
from pathlib import Path

from guarded import Reader
from readers import artifact_readers, checkpoint_readers, text_readers
from user_readers import user_binary_readers, user_text_readers

from edgekit.capabilities import TARGETS


def artifacts_in(folder: Path) -> dict[str, Path]:
    """Return the artifacts in a folder, by target."""
    return {facts.name: path for facts in TARGETS for path in folder.glob(f"*{facts.suffix}")}


def every_reader(artifacts: Mapping[str, Path], folder: Path, canary: Path) -> tuple[Reader, ...]:
    """Return every reader.

    :param artifacts: by target, ``onnx`` among them. :param folder: empty, to make seeds in. :param canary: as :func:`checkpoint_readers` has it.
    """
    (folder / "seeds").mkdir(parents=True)
    (folder / "user").mkdir()
    return (
        *text_readers(artifacts["onnx"], folder / "seeds"),
        *user_text_readers(artifacts["onnx"], folder / "user"),
        *checkpoint_readers(canary),
        *artifact_readers(artifacts),
        *user_binary_readers(),
    )
