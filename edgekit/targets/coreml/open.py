"""Opens an ``.mlpackage``: reads and checks it. Running it takes Apple's systems."""

from collections.abc import Mapping
from pathlib import Path

from edgekit.interface import MethodSpec
from edgekit.targets.base import Array, CannotRunHere
from edgekit.targets.calls import find_method
from edgekit.targets.coreml.methods import methods_of
from edgekit.targets.coreml.package import read_package


class CoreMLExecutable:
    """A package that can be read but not run here."""

    def __init__(self, path: Path, methods: tuple[MethodSpec, ...]) -> None:
        self.path = path
        self.methods = methods

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:  # noqa: ARG002 - the protocol's
        """Refuse.

        :raises UnknownNameError: no such method. :raises CannotRunHere: always otherwise.
        """
        find_method(self.methods, method)
        raise CannotRunHere(
            "nothing on this host can run Core ML", what=self.path.name, why="Core ML is part of iOS and macOS", hint="use a Mac or an iPhone"
        )


def open_package(path: Path, *, threads: int = 1) -> CoreMLExecutable:  # noqa: ARG001 - the protocol's; nothing runs
    """Read a package's methods.

    :raises ArtifactError: no ML program package, incomplete, truncated, or pointing outside itself.
    """
    return CoreMLExecutable(path, methods_of(read_package(path)))
