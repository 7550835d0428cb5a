"""What every target offers: lower a program to a file, open the file and run it, look inside it.

A target is a package ``edgekit.targets.<name>`` whose module offers one object, ``TARGET``, of type
:class:`Target`. Importing it may be slow (vendor packages); ``edgekit.targets.registry`` imports on demand.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from attrs import field, frozen
from torch.export import ExportedProgram

from edgekit.errors import BadInputError
from edgekit.interface import MethodSpec, Preprocessing
from edgekit.quantization.job import Quantization
from edgekit.recipe import Recipe
from edgekit.targets.delegated import Delegation

Array = np.ndarray


class CannotRunHere(BadInputError):  # noqa: N818 - it says what is the case, not that something is wrong
    """The artifact is sound, but nothing on this host can run it: Core ML on Linux, a delegate for a phone's GPU."""


@frozen(kw_only=True)
class Metadata:
    """What an artifact says about itself, written into the file where the format has a place for it."""

    description: str
    author: str
    license: str
    edgekit_version: str
    preprocessing: Preprocessing | None
    labels: tuple[str, ...] = ()
    trained: bool | None = None

    def as_strings(self) -> dict[str, str]:
        """Return flat string pairs, for formats that keep key and value."""
        import json

        import attrs

        pairs = {
            "edgekit.version": self.edgekit_version,
            "edgekit.trained": {True: "true", False: "false", None: "unknown"}[self.trained],
            "description": self.description,
            "author": self.author,
            "license": self.license,
        }
        if self.preprocessing is not None:
            pairs["edgekit.preprocessing"] = json.dumps(attrs.asdict(self.preprocessing), sort_keys=True)
        return pairs


@frozen(kw_only=True)
class LoweringJob:
    """Everything a target needs to write one artifact.

    ``programs`` holds one captured and rewritten program per method, float32, inputs NCHW, in the order of
    ``methods``. ``methods`` is what the written file has to offer: names, shapes and layouts. ``quantization``: what becomes integers,
    ``None`` where nothing does.
    """

    programs: Mapping[str, ExportedProgram]
    methods: tuple[MethodSpec, ...]
    recipe: Recipe
    metadata: Metadata
    destination: Path
    quantization: Quantization | None = None


Counterparts = Mapping[str, ExportedProgram]
"""By method, programs whose nodes' names the artifact's values keep, so that the two can be compared value by value.

Their inputs are those of the artifact: pixels where it takes a picture.
"""


@frozen(kw_only=True)
class WeightFormat:
    """Weights that are stored alike: how many tensors and values they are, and their bytes, tables and scales included."""

    name: str
    tensors: int
    values: int
    size_bytes: int

    @property
    def bits_per_value(self) -> float:
        """Bytes for each value, in bits."""
        return 8 * self.size_bytes / max(1, self.values)


@frozen(kw_only=True)
class Inspection:
    """What is inside an artifact: methods, operators by name, delegation, and bytes by section.

    ``sections`` adds up to the artifact's size: ``weights``, ``graph``, ``metadata``, ``delegates``, ``other``.
    ``operators_by_method`` is empty where the format does not keep its methods' operators apart. ``planned_bytes``: what a run of the
    neediest method takes for values; ``None`` where the file does not say. ``weights``: how they are stored, where the target tells.
    """

    methods: tuple[MethodSpec, ...]
    operators: Mapping[str, int]
    operators_by_method: Mapping[str, Mapping[str, int]] = field(factory=dict)
    planned_bytes: int | None = None
    delegation: Delegation
    sections: Mapping[str, int]
    weights: tuple[WeightFormat, ...] = ()


@frozen(kw_only=True)
class TracedValue:
    """A value inside an artifact, seen while it runs.

    ``node`` is the captured program's node that it stands for, ``position`` its place where the operator has several results.
    """

    operator: str
    name: str
    node: str
    position: int | None
    value: Array


class Executable(Protocol):
    """An opened artifact. Close over whatever has to stay alive; one instance serves one thread."""

    methods: tuple[MethodSpec, ...]

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a method on arrays by input name, shaped as its spec says; return the outputs by name."""
        ...


@runtime_checkable
class Interpreted(Executable, Protocol):
    """An artifact that edgekit computes itself, and so in either numerics, and with a view of every value on the way.

    ``halves``: whether it declares half precision anywhere, so that the numerics differ.
    """

    halves: bool

    def at(self, numerics: Literal["fp32", "fp16"]) -> "Interpreted":
        """Return the same artifact in other numerics: ``fp32`` rounds nothing, ``fp16`` what is declared half."""
        ...

    def trace(self, method: str, inputs: Mapping[str, Array], observe: Callable[[TracedValue], None]) -> dict[str, Array]:
        """Run a method as :meth:`run` does, and show every value on the way."""
        ...


class Target(Protocol):
    """One format.

    ``executed_by`` names the runtime for parity reports, ``runtime_module`` is what running it imports; ``keeps_names``: whether
    :meth:`counterparts` gives any.
    """

    name: str
    executed_by: str
    runtime_module: str
    keeps_names: bool

    def lower(self, job: LoweringJob) -> Counterparts:
        """Write the artifact to ``job.destination`` (nothing is there yet) and return what :meth:`counterparts` would.

        :raises LoweringError: the vendor's converter failed.
        """
        ...

    def counterparts(self, job: LoweringJob) -> Counterparts:
        """Return the programs that the converter is given for a job, without converting them; none where artifacts keep no names."""
        ...

    def open(self, path: Path, *, threads: int = 1) -> Executable:
        """Open an artifact from disk.

        :raises ArtifactError: truncated or foreign.
        :raises CannotRunHere: sound, but it needs what this host lacks. A format that can still be read here may raise it in ``run``.
        """
        ...

    def inspect(self, path: Path) -> Inspection:
        """Look inside an artifact without running it.

        :raises ArtifactError: truncated or foreign.
        """
        ...
