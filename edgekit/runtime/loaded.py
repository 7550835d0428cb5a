"""An artifact opened on this host: run its methods by name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from attrs import frozen

from edgekit.artifact import Manifest, model_name, read_manifest
from edgekit.capabilities import TARGETS, TargetFacts
from edgekit.errors import ArtifactError, PolicyError, UnknownNameError, UsageError
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.manifest import methods_from_json, native_method
from edgekit.policy.policy import Policy
from edgekit.policy.section import ExitSection, section_of
from edgekit.runtime.early_exit import EarlyExit, check_exits, check_policy, run_early_exit
from edgekit.targets.base import Executable
from edgekit.targets.registry import get_target

Array = np.ndarray

OLD_COREML = ".mlmodel"
"""An ending that is told apart from unknown ones: Core ML's files before 2021, whose layers are no program."""


def facts_of_file(path: Path) -> TargetFacts:
    """Return the target an artifact belongs to, by its ending.

    :raises ArtifactError: nothing is there, or the ending is none of edgekit's.
    """
    if not path.exists():
        raise ArtifactError(f"no artifact {path.name}", what=f"looked for {path}", hint="edgekit export MODEL --target T writes one")
    for facts in TARGETS:
        if path.suffix == facts.suffix:
            return facts
    if path.suffix == OLD_COREML:
        raise ArtifactError(
            f"{path.name} is no Core ML package",
            why="a single .mlmodel file is the older neural network format",
            hint="convert the model again with convert_to='mlprogram'",
        )
    raise ArtifactError(f"{path.name} is not an artifact edgekit knows", what=f"endings: {', '.join(facts.suffix for facts in TARGETS)}")


@frozen(kw_only=True)
class LoadedArtifact:
    """An opened artifact.

    ``methods`` tells names, shapes, dtypes and layouts: from the manifest where there is one, else from the file.
    """

    path: Path
    target: TargetFacts
    manifest: Manifest | None
    methods: tuple[MethodSpec, ...]
    executable: Executable
    exits: ExitSection | None = None
    """What the manifest says of its exits, the policy among it."""

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a method on arrays by input name and return its outputs by name.

        An input may also be given in the model's own layout, ``(1, 3, H, W)``, where the artifact takes
        ``(1, H, W, 3)``: it is transposed. Nothing else is converted.

        :raises UnknownNameError: no such method.
        :raises UsageError: an input is missing, unknown, or of another shape or dtype.
        """
        spec = next((m for m in self.methods if m.name == method), None)
        if spec is None:
            raise UnknownNameError("method", method, [m.name for m in self.methods])
        if inputs.keys() != {tensor.name for tensor in spec.inputs}:
            raise UsageError(f"{method} takes {', '.join(t.name for t in spec.inputs)}", what=f"given: {', '.join(inputs) or 'nothing'}")
        # The file's own names, by position: some formats store none.
        own = native_method(self.executable.methods, spec)
        given = {native.name: _fitted(inputs[tensor.name], tensor, spec) for native, tensor in zip(own.inputs, spec.inputs, strict=True)}
        results = self.executable.run(method, given)
        return {tensor.name: results[native.name] for native, tensor in zip(own.outputs, spec.outputs, strict=True)}

    @property
    def model(self) -> str | None:
        """The name of the model it is of, where that is known."""
        return None if self.manifest is None else model_name(self.manifest)

    def run_early_exit(self, images: Array, policy: Policy | None = None) -> EarlyExit:
        """Run pictures ``(B, ...)``, each as the first method takes it, until the policy lets each go; report where that was.

        :param policy: ``None``: the one in the manifest, or else the network's own thresholds.
        :raises PolicyError: the policy is for another network, or there is none.
        :raises BadInputError: the artifact has no exits, or the pictures are not of the shape it takes.
        """
        rule = policy or (None if self.exits is None else self.exits.policy or self.exits.own)
        if rule is None:
            check_exits(self.methods)
            raise PolicyError(f"{self.path.name} holds no policy", hint=f"give one, or edgekit policy attach {self.path.name} --policy FILE")
        confidence = None if self.exits is None else self.exits.confidence
        return run_early_exit(self.run, self.methods, images, rule, model=self.model, confidence=confidence)


def _fitted(array: Array, spec: TensorSpec, method: MethodSpec) -> Array:
    if not isinstance(array, np.ndarray):
        raise UsageError(f"input {spec.name} is a {type(array).__name__}", what="expected a NumPy array", hint="numpy.asarray(...)")
    if array.shape != spec.shape and spec.layout == "NHWC" and array.ndim == 4 and array.transpose(0, 2, 3, 1).shape == spec.shape:
        array = np.ascontiguousarray(array.transpose(0, 2, 3, 1))
    if not method.fits(array.shape, spec):
        raise UsageError(f"input {spec.name} has shape {array.shape}", what=f"expected {spec.shape} ({spec.layout})")
    expected = "uint8" if spec.dtype == "image" else spec.dtype
    if array.dtype != expected:
        hint = f"array.astype({expected!r})" if spec.scale is None else "stored() of its TensorSpec rounds floats to what its integers stand for"
        raise UsageError(f"input {spec.name} is {array.dtype}", what=f"expected {expected}", hint=hint)
    return array


def load_artifact(path: str | Path, *, threads: int = 1) -> LoadedArtifact:
    """Open an artifact from disk, checking it against its manifest where there is one.

    :param threads: threads the runtime may use, where it lets itself be told.
    :raises ArtifactError: missing, truncated, foreign, or not what its manifest says. :raises PolicyError: the policy stored there is none, or
        for another network.
    :raises MissingExtraError: the runtime is not installed.
    """
    path = Path(path)
    facts = facts_of_file(path)
    manifest = read_manifest(path)
    executable = get_target(facts.name).open(path, threads=threads)
    methods = executable.methods if manifest is None else methods_from_json(manifest.document.get("methods"))
    for method in methods:
        native_method(executable.methods, method)
    exits = None if manifest is None else section_of(manifest)
    if manifest is not None and exits is not None and exits.policy is not None:
        check_policy(exits.policy, methods, model_name(manifest))
    return LoadedArtifact(path=path, target=facts, manifest=manifest, methods=methods, executable=executable, exits=exits)
