"""The whole request for one artifact: frozen, closed, loaded strictly from TOML.

model = "emov2-5m"
target = "coreml"
precision = "fp16"
"""

import difflib
import hashlib
import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any, Self

import attrs
from attrs import field, frozen

from edgekit.batches import largest_batch
from edgekit.capabilities import (
    BACKENDS,
    DEPLOYMENT_TARGETS,
    FIRST_WITH_FUNCTIONS,
    FIRST_WITH_PRECISION,
    WITHOUT_FUNCTIONS,
    TargetFacts,
    is_older,
    target_facts,
)
from edgekit.errors import RecipeError, UnknownNameError, UsageError
from edgekit.plugins import factory_of
from edgekit.quantization.scheme import SCHEMES, Scheme, scheme_of

EARLY_EXIT_FORMS = ("methods", "select", "all", "last", "exit=K", "method=K")
"""What can become of a network with exits; the first is what it gets when nothing is asked for."""
IO = ("float", "int8")
"""What an artifact is given and answers, where it computes in integers."""
CALIBRATION_SAMPLES = 128
"""How many pictures choose the ranges of integers where nothing is asked for."""
_PLANNED = "w8a8"


@frozen(kw_only=True)
class Recipe:
    """One model for one target at one precision. Fields left ``None`` take the target's default.

    :param model: a registered name, one of another package's (kept as the factory behind it), ``module:factory`` or ``path/to/file.py:factory``.
    :param target: ``coreml``, ``tflite``, ``executorch`` or ``onnx``.
    :param precision: numeric format of weights and activations inside the artifact.
    :param resolution: input height and width in pixels; the model's default when ``None``.
    :param num_classes: width of the logits; the model's default when ``None``.
    :param weights: a checkpoint; without one the model is untrained.
    :param labels: a text file with one class name a line, written into formats that have a place for them.
    :param input: ``image`` takes 8-bit RGB pixels and normalises inside the graph (Core ML), ``tensor`` normalised floats.
    :param inputs: of a model of one's own, what it is called with: ``ids=1x6:int64:50, mask=1x6``; see :mod:`edgekit.models.inputs`.
    :param backend: ExecuTorch delegate.
    :param deployment_target: oldest system a Core ML package has to run on.
    :param early_exit: what becomes of a network with exits: ``methods``, ``select``, ``all``, ``last``, ``exit=K`` or ``method=K``.
    :param dynamic: ``batch=1..8``: how many inputs one call may take, where the target does that well.
    :param atol: limit for the largest absolute error against eager, instead of the target's table row.
    :param data: pictures to calibrate and judge a quantized artifact with: a data set's name (``cifar10``, ``cifar10:test``), a folder, or a
        CSV file of labels.
    :param num_calibration_samples: how many of them choose the ranges of integers; 128 where the precision needs any.
    :param plan: a file that says what is quantized, instead of a new decision.
    :param accuracy_budget: how many points of top-1 accuracy (percent) quantizing may cost.
    :param sqnr: lowest signal to quantization noise ratio of the logits, in dB.
    :param costs: a table of what operators cost, measured where the artifact will run, instead of edgekit's own; ``edgekit bench --costs`` writes it.
    :param io: ``int8``: inputs and outputs of a quantized LiteRT file are integers with a scale, and the app converts; ``float`` where not asked for.
    :raises UnknownNameError: a name that is not on its list.
    :raises UsageError: an option the target does not have.
    """

    model: str = field(converter=factory_of)
    target: str
    precision: str = field(default=None)
    resolution: int | None = None
    num_classes: int | None = None
    weights: Path | None = field(default=None, converter=attrs.converters.optional(Path))
    labels: Path | None = field(default=None, converter=attrs.converters.optional(Path))
    input: str = field(default=None)
    inputs: str | None = None
    backend: str | None = None
    deployment_target: str | None = None
    early_exit: str | None = None
    dynamic: str | None = None
    atol: float | None = None
    data: str | None = field(default=None, converter=attrs.converters.optional(str))
    num_calibration_samples: int | None = None
    plan: Path | None = field(default=None, converter=attrs.converters.optional(Path))
    accuracy_budget: float | None = None
    sqnr: float | None = None
    costs: Path | None = field(default=None, converter=attrs.converters.optional(Path))
    io: str | None = None

    def __attrs_post_init__(self) -> None:
        facts = target_facts(self.target)
        defaults: dict[str, Any] = {
            "target": facts.name,  # resolves the alias litert
            "precision": facts.precisions[0],
            "input": facts.inputs[0],
            "backend": BACKENDS[0] if facts.name == "executorch" else None,
        }
        if SCHEMES.get(self.precision or facts.precisions[0], SCHEMES["fp32"]).calibrated:
            defaults["num_calibration_samples"] = CALIBRATION_SAMPLES
        for name, value in defaults.items():
            if name == "target" or getattr(self, name) is None:
                object.__setattr__(self, name, value)
        self._check(facts)

    def _check(self, facts: TargetFacts) -> None:
        known = {
            "precision": tuple(SCHEMES),
            "input": ("image", "tensor"),
            "backend": BACKENDS,
            "deployment_target": DEPLOYMENT_TARGETS,
        }
        for name, values in known.items():
            value = getattr(self, name)
            if value is not None and value not in values:
                raise UnknownNameError(name.replace("_", " "), value, values)
        if (refused := facts.precision(self.precision).refused) is not None:
            raise UsageError(
                f"{facts.name} cannot be written at precision {self.precision}",
                what=f"{facts.name} takes {', '.join(facts.precisions)}",
                why=refused,
            )
        if self.input not in facts.inputs:
            raise UsageError(
                f"{facts.name} has no {self.input} input",
                why="only Core ML has a picture type; the other formats carry plain tensors",
                hint="leave out --input, or use --input tensor",
            )
        for name, owner in (("backend", "executorch"), ("deployment_target", "coreml")):
            if getattr(self, name) is not None and facts.name != owner:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{facts.name} has no {name.replace('_', ' ')}", why=f"{option} is for {owner}", hint=f"leave out {option}")
        self._check_values()
        self._check_dynamic(facts)

    def _check_dynamic(self, facts: TargetFacts) -> None:
        if self.dynamic is None:
            return
        largest_batch(self.dynamic)
        row = next((limit for limit in facts.limits if limit.rule == "dynamic_batch"), None)
        if row is None or row.value is not True:
            raise UsageError(
                f"{facts.name} is not written for batches that change",
                what=f"--dynamic {self.dynamic}",
                why=None if row is None else row.breaks,
                hint="run one picture after the other, or give a model of your own one fixed batch: --input image=4x3x224x224",
            )
        if self.scheme.quantized or self.early_exit is not None:
            what = f"precision {self.precision}" if self.scheme.quantized else f"--early-exit {self.early_exit}"
            raise UsageError(f"--dynamic {self.dynamic} goes with floats and one method", what=what, hint="leave out one of them")

    def _check_values(self) -> None:
        if self.num_classes is not None and self.num_classes < 1:
            raise UsageError(f"num_classes is {self.num_classes}; a classifier has at least 1")
        if self.resolution is not None and self.resolution < 1:
            raise UsageError(f"resolution is {self.resolution}; an image has at least 1 pixel")
        if self.early_exit is not None:
            check_early_exit(self.early_exit)
        if self.early_exit == "methods" and self.deployment_target in WITHOUT_FUNCTIONS:
            raise UsageError(
                f"{self.deployment_target} has no Core ML packages with a function an exit",
                why=f"a package holds several functions from {FIRST_WITH_FUNCTIONS} on",
                hint=f"--deployment-target {FIRST_WITH_FUNCTIONS}, or leave out --early-exit: one graph with all exits, to be chosen from outside",
            )
        first = FIRST_WITH_PRECISION.get(self.precision)
        if first is not None and self.deployment_target is not None and is_older(self.deployment_target, first):
            raise UsageError(
                f"{self.deployment_target} has no Core ML packages of {self.precision}",
                why=f"they came with {first}",
                hint=f"--deployment-target {first}, or leave it out",
            )
        if self.atol is not None:
            check_atol(self.atol)
        self._check_quantization()

    def _check_quantization(self) -> None:
        scheme, name = self.scheme, self.precision
        needless = {
            "data": not scheme.quantized,
            "accuracy_budget": not scheme.quantized,
            "sqnr": not scheme.quantized,
            "num_calibration_samples": not scheme.calibrated,
            "plan": not scheme.calibrated,
            "costs": not scheme.calibrated,
            "io": not scheme.calibrated,
        }
        for option, is_needless in needless.items():
            if is_needless and getattr(self, option) is not None:
                flag = f"--{option.replace('_', '-')}"
                why = "it chooses no ranges of integers" if scheme.quantized else "it quantizes nothing"
                raise UsageError(f"{flag} says nothing to precision {name}", why=why, hint=f"leave it out, or ask for --precision {_PLANNED}")
        if self.num_calibration_samples is not None and self.num_calibration_samples < 1:
            raise UsageError(f"{self.num_calibration_samples} samples choose no ranges", hint=f"leave it out: {CALIBRATION_SAMPLES} are taken")
        for option, most in (("accuracy_budget", 100.0), ("sqnr", 150.0)):
            value = getattr(self, option)
            if value is not None and not 0 <= value <= most:
                raise UsageError(f"{option.replace('_', ' ')} is {value}", what=f"a number from 0 to {most:g}")
        if self.accuracy_budget is not None and self.sqnr is not None:
            raise UsageError("--accuracy-budget and --sqnr are two limits of one thing", hint="give one of them")
        if self.plan is not None and self.costs is not None:
            raise UsageError("a plan decides already what is quantized", hint="give --plan, or --costs to plan by")
        if self.io is not None:
            self._check_io()
        if self.plan is not None and (self.accuracy_budget is not None or self.sqnr is not None):
            raise UsageError("a plan decides already what is quantized", hint="give --plan, or a limit to plan under")

    def _check_io(self) -> None:
        if self.io not in IO:
            raise UnknownNameError("io", str(self.io), IO)
        if self.io == "int8" and self.target != "tflite":
            raise UsageError(
                f"{self.target} has no inputs and outputs in integers",
                why="LiteRT's files say with each tensor what its integers stand for; the others' do not",
                hint="leave out --io: what is given and answered is floats, what is computed is not",
            )
        if self.io == "int8" and self.early_exit is not None:
            raise UsageError("--io int8 goes with one method", what=f"--early-exit {self.early_exit}", hint="leave out one of them")

    @property
    def largest_batch(self) -> int:
        """How many inputs one call of the artifact may take."""
        return largest_batch(self.dynamic)

    @property
    def scheme(self) -> Scheme:
        """What the precision is."""
        return scheme_of(self.precision)

    def for_exits(self) -> Self:
        """Return the recipe for a network with exits, its form named.

        Where none was asked for: ``methods``, or one graph with ``all`` exits on a system whose packages hold one function.
        """
        if self.early_exit is not None:
            return self
        return attrs.evolve(self, early_exit="all" if self.deployment_target in WITHOUT_FUNCTIONS else "methods")

    def for_methods(self, count: int) -> Self:
        """Return the recipe for an artifact with this many methods: where nothing was asked for, the oldest system that can hold them."""
        if self.target != "coreml" or self.deployment_target is not None:
            return self
        usual = DEPLOYMENT_TARGETS[0] if count == 1 else FIRST_WITH_FUNCTIONS
        first = FIRST_WITH_PRECISION.get(self.precision, usual)
        return attrs.evolve(self, deployment_target=first if is_older(usual, first) else usual)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a recipe file; the files it names are relative to its own folder and may not leave it.

        :raises RecipeError: not readable, not TOML, an unknown or missing key, a value of the wrong type.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:  # not TOML, not text, or an integer with thousands of digits
            raise RecipeError(f"cannot read recipe {path}", why=str(error)) from error
        return cls.from_table(table, source=path)

    @classmethod
    def from_table(cls, table: dict[str, Any], *, source: Path) -> Self:
        """Build a recipe from a parsed TOML table; ``source`` is the file that holds it.

        :raises RecipeError: an unknown or missing key, a value of the wrong type or outside what is offered.
        """
        numbers: dict[str, Any] = {
            "resolution": int,
            "num_classes": int,
            "num_calibration_samples": int,
            **dict.fromkeys(("atol", "accuracy_budget", "sqnr"), (int, float)),
        }
        types = {f.name: numbers.get(f.name, str) for f in attrs.fields(cls)}
        for key, value in table.items():
            if key not in types:
                near = difflib.get_close_matches(key, types, n=1)
                raise RecipeError(
                    f"unknown key {key!r}", where=str(source), hint=f"did you mean {near[0]!r}?" if near else f"keys: {', '.join(types)}"
                )
            if not isinstance(value, types[key]) or isinstance(value, bool):
                raise RecipeError(f"{key} = {value!r} is not of the right type", where=str(source))
        for key in ("model", "target"):
            if key not in table:
                raise RecipeError(f"no {key!r} in the recipe", where=str(source))
        values = _beside(source, table)
        try:
            return cls(**values)
        except UsageError as error:
            raise RecipeError(error.summary, what=error.what, where=str(source), why=error.why, hint=error.hint) from error

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for the manifest. Files appear by name; their hashes stand beside it."""
        values = {key: value.name if isinstance(value, Path) else value for key, value in attrs.asdict(self).items()}
        for rare in ("inputs", "dynamic", "costs", "io"):
            if values[rare] is None:
                del values[rare]  # most have none
        return values | {"model": portable_name(self.model), "data": portable_data(self.data)}

    def digest(self) -> str:
        """The sha256 of the canonical JSON form."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


def portable_name(model: str) -> str:
    """Return a model's name as it stands in artifacts and manifests: ``/home/me/net.py:build`` -> ``net.py:build``."""
    file, colon, factory = model.rpartition(":")
    return f"{Path(file).name}{colon}{factory}" if file.endswith(".py") else model


def portable_data(data: str | None) -> str | None:
    """Return what ``--data`` named as it stands in manifests: a data set's name as it is, of a folder the last part."""
    if data is None or not _has_folders(data):
        return data
    return Path(data).expanduser().resolve().name


def check_atol(atol: float) -> None:
    """Refuse what is no limit.

    :raises UsageError: negative, infinite or not a number.
    """
    if not 0 <= atol <= math.nextafter(math.inf, 0):  # of an integer with more digits than a float has isfinite makes no float
        raise UsageError(f"atol is {atol}; a limit is a number, zero or more")


def check_early_exit(form: str) -> None:
    """Refuse a form that does not exist.

    :raises UsageError: it does not.
    """
    plain = [known for known in EARLY_EXIT_FORMS if not known.endswith("=K")]
    if form not in plain and not re.fullmatch(r"(exit|method)=[1-9]\d{0,2}", form):
        raise UsageError(f"unknown early-exit form {form!r}", what=f"forms: {', '.join(EARLY_EXIT_FORMS)}", hint="exit=3 cuts at the third exit")


def _beside(recipe: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's table with the files that it names as paths."""
    values = dict(table)
    for key in ("weights", "labels", "plan", "costs"):
        if key in values:
            values[key] = _inside(recipe, key, values[key])
    if "data" in values and _is_place(recipe, values["data"]):
        values["data"] = str(_inside(recipe, "data", values["data"]))
    file, colon, factory = values["model"].rpartition(":")
    if file.endswith(".py"):
        values["model"] = f"{_inside(recipe, 'model', file)}{colon}{factory}"
    return values


def _has_folders(name: str) -> bool:
    return "/" in name or "\\" in name or name.startswith(("~", "."))


def _is_place(recipe: Path, name: str) -> bool:
    """Whether a recipe's ``data`` is a folder or file beside it, rather than the name of a data set."""
    return _has_folders(name) or (recipe.parent / name).exists()


def _inside(recipe: Path, key: str, name: str) -> Path:
    """Return the file a recipe names, which lies in the recipe's folder or below."""
    folder = recipe.parent.resolve()
    try:
        file = (folder / name).resolve()
    except (OSError, ValueError) as error:
        raise RecipeError(f"{key} = {name!r} is not the name of a file", where=str(recipe), why=str(error)) from error
    if not file.is_relative_to(folder):
        hint = "name the model on the command line instead" if key == "model" else f"pass it with --{key} instead"
        raise RecipeError(f"{key} = {name!r} leaves the recipe's folder", where=str(recipe), hint=hint)
    return file
