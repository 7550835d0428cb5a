"""Which programs can draw an artifact's graph, which of them are installed, and how one is started."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from edgekit.errors import ArtifactError, UnknownNameError, UsageError
from edgekit.runtime.loaded import facts_of_file


@frozen(kw_only=True)
class Viewer:
    """A program that people install themselves.

    :param package: what pip calls it. :param suffixes: what it reads, as of the version named in ``verified``.
    :param command: that opens a file in a browser, after the interpreter.
    """

    name: str
    package: str
    module: str
    suffixes: tuple[str, ...]
    verified: str
    command: tuple[str, ...]

    @property
    def installed(self) -> bool:
        """Whether it can be started here."""
        return importlib.util.find_spec(self.module) is not None


VIEWERS = (
    Viewer(
        name="netron",
        package="netron",
        module="netron",
        suffixes=(".onnx", ".tflite", ".pte", ".mlpackage"),
        verified="9.3.3",
        command=("-c", "import sys, netron; netron.start(sys.argv[1]); netron.wait()"),  # it has no __main__
    ),
    Viewer(
        name="model-explorer",
        package="ai-edge-model-explorer",
        module="model_explorer",
        suffixes=(".tflite",),
        verified="0.1.34",
        command=("-m", "model_explorer"),
    ),
)
"""The first that is installed and reads the file is taken."""


def view(path: Path, *, name: str | None = None, start: Callable[[list[str]], int] = subprocess.call) -> tuple[Viewer, int]:
    """Open an artifact in a viewer, which serves it to a browser of this machine until it is interrupted.

    :param name: of the viewer; ``None``: the first that is installed. :param start: runs a command and returns its exit code.
    :raises ArtifactError: missing or foreign. :raises UsageError: no viewer that is installed reads it.
    """
    suffix = facts_of_file(path).suffix
    if name is not None and name not in [viewer.name for viewer in VIEWERS]:
        raise UnknownNameError("viewer", name, [viewer.name for viewer in VIEWERS])
    able = [viewer for viewer in VIEWERS if suffix in viewer.suffixes and name in (None, viewer.name)]
    if not able:
        told = f"{name} reads no {suffix} files" if name else f"no viewer that is known here reads {suffix} files"
        raise UsageError(told, hint=f"edgekit inspect {path.name} tells what is inside")
    chosen = next((viewer for viewer in able if viewer.installed), None)
    if chosen is None:
        hint = " or ".join(f"pip install {viewer.package}" for viewer in able)
        raise UsageError(f"no viewer for {path.name} is installed", what=f"looked for {', '.join(viewer.name for viewer in able)}", hint=hint)
    return chosen, start([sys.executable, *chosen.command, str(_file_of(path).resolve())])


def _file_of(path: Path) -> Path:
    """Return the file a viewer opens: of a Core ML package the program inside."""
    if not path.is_dir():
        return path
    programs = sorted(place for place in path.rglob("*.mlmodel") if place.is_file() and not place.is_symlink())
    if len(programs) != 1:
        raise ArtifactError(f"{path.name} holds {len(programs)} programs", what="expected one .mlmodel", hint="export it again")
    return programs[0]
