"""From what the user names, a registered model or a factory of their own, to a model ready to be captured."""

import contextlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import frozen
from torch import Tensor, nn

from edgekit.errors import ModelSourceError, UnknownNameError, UsageError
from edgekit.interface import Preprocessing
from edgekit.models.build import build_model
from edgekit.models.checkpoints import file_sha256, load_checkpoint
from edgekit.models.inputs import TensorInput, parse_inputs, with_inputs
from edgekit.models.naming import default_resolution, is_factory, slug_of
from edgekit.models.registry import MODELS, model_entry
from edgekit.plugins import factory_of
from edgekit.recipe import portable_name
from edgekit.user_code import user_frame


@frozen(kw_only=True)
class SourceModel:
    """An eager model and what is known about it.

    ``name`` holds no folder, and ``slug`` is the part of file names that stands for it. ``trained`` is ``False`` for
    a registered model without a checkpoint, ``True`` with one, ``None`` for a user's factory, whose weights edgekit
    cannot judge. ``code_sha256`` is the hash of the file that holds the factory, ``None`` for one in a package. ``inputs`` are those of
    ``module``, ``None`` where that is one picture.
    """

    name: str
    slug: str
    module: nn.Module
    resolution: int
    preprocessing: Preprocessing
    trained: bool | None
    weights_sha256: str | None
    code_sha256: str | None = None
    inputs: tuple[TensorInput, ...] | None = None

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.module.parameters())

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the image input, ``(1, 3, R, R)``."""
        return (1, 3, self.resolution, self.resolution)


def load_source(
    name: str, *, resolution: int | None = None, num_classes: int | None = None, weights: Path | None = None, inputs: str | None = None
) -> SourceModel:
    """Build the model a user named.

    :param inputs: what a factory's model is called with, ``ids=1x6:int64:50``, where neither the factory says it nor it is a picture.
    :raises UnknownNameError: not a registered name.
    :raises UsageError: an option the model cannot take.
    :raises ModelSourceError: the user's file or factory does not give a model.
    :raises CheckpointError: the weights cannot be loaded.
    """
    name = factory_of(name)
    resolution = default_resolution(name) if resolution is None else resolution
    if is_factory(name):
        if resolution < 1:
            raise UsageError(f"resolution is {resolution}; an image has at least 1 pixel")
        module, given = _call_factory(name, resolution=resolution, num_classes=num_classes)
        if weights is not None:
            load_checkpoint(module, weights)
        module, taken = _with_inputs(name, module, given, inputs, resolution)
        trained = True if weights is not None else None
    else:
        if inputs is not None:
            raise UsageError(f"{name} takes one picture", what=f"--input {inputs}", hint="leave it out: inputs are given for a model of your own")
        module, taken = build_model(name, resolution=resolution, num_classes=num_classes, weights=weights), None
        trained = weights is not None
    file = name.rpartition(":")[0]
    return SourceModel(
        name=portable_name(name),
        slug=slug_of(name),
        module=module.eval(),
        resolution=resolution,
        preprocessing=preprocessing_of(name, resolution),
        trained=trained,
        weights_sha256=None if weights is None else file_sha256(weights),
        code_sha256=file_sha256(Path(file)) if file.endswith(".py") else None,
        inputs=taken,
    )


def preprocessing_of(name: str, resolution: int) -> Preprocessing:
    """Return how a photograph becomes a model's input; for a user's model, as ImageNet classifiers have it.

    :raises UnknownNameError: not registered and not a factory.
    """
    if is_factory(name):
        return Preprocessing(resolution=resolution)
    return Preprocessing(resolution=resolution, crop_ratio=model_entry(name).crop_ratio)


def _with_inputs(name: str, module: nn.Module, given: Any, asked: str | None, resolution: int) -> tuple[nn.Module, tuple[TensorInput, ...] | None]:
    if given is not None and asked is not None:
        raise UsageError(f"the factory {name} says itself what its model is given", what=f"--input {asked}", hint="leave out --input name=shape")
    if given is None and asked is None:
        return module, None
    return with_inputs(name, module.eval(), parse_inputs(asked) if asked is not None else given, resolution)


def _call_factory(name: str, *, resolution: int, num_classes: int | None) -> tuple[nn.Module, Any]:
    """Return a factory's model, and the inputs that it returned beside it."""
    place, _, attribute = name.rpartition(":")
    factory = _find_factory(place, attribute)
    given: dict[str, Any] = {"resolution": resolution, "num_classes": num_classes}
    try:
        accepted = inspect.signature(factory).parameters
    except (TypeError, ValueError) as error:
        raise ModelSourceError(f"{name} is not a factory of a model", why=str(error), hint="name a function or class of yours") from error
    if num_classes is not None and "num_classes" not in accepted:
        raise UsageError(f"{name} takes no num_classes", where=f"def {attribute}({', '.join(accepted)})", hint="leave out --num-classes")
    try:
        model = factory(**{key: value for key, value in given.items() if key in accepted and value is not None})
    except (Exception, SystemExit) as error:
        raise ModelSourceError(
            f"the factory {name} raised {type(error).__name__}",
            what=str(error) or None,
            where=user_frame(error),
            hint="call it in Python to see the whole trace",
        ) from error
    beside = None
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], nn.Module):
        model, beside = model
    if not isinstance(model, nn.Module):
        raise ModelSourceError(
            f"the factory {name} returned a {type(model).__name__}", why="edgekit exports a torch.nn.Module", where=f"{place}:{attribute}"
        )
    return model, beside


def _find_factory(place: str, attribute: str) -> Callable[..., Any]:
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    try:
        factory = getattr(module, attribute)
    except AttributeError:
        callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ModelSourceError(
            f"{place} has no {attribute!r}", what=f"callables there: {', '.join(sorted(callables)) or 'none'}", hint="name one as path.py:factory"
        ) from None
    if not callable(factory):
        raise ModelSourceError(f"{place}:{attribute} is a {type(factory).__name__}, not a function that returns a model")
    return factory


def _import_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise ModelSourceError(
            f"no file {path.name}", what=f"looked for {path}", hint="give the path of a Python file, then a colon and the factory's name"
        )
    # Under the file's own name, so that its classes say where they come from; its folder is importable for helpers beside it.
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelSourceError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    shadowed = sys.modules.get(path.stem)
    if shadowed is None:
        sys.modules[path.stem] = module  # dataclasses and inspect look there; never over another module's name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script that parses arguments, or calls exit()
        if shadowed is None:
            sys.modules.pop(path.stem, None)
        raise ModelSourceError(f"importing {path.name} raised {type(error).__name__}", what=str(error) or None, where=_error_line(error)) from error
    finally:
        with contextlib.suppress(ValueError):  # the file took it out itself
            sys.path.remove(str(path.parent))
    return module


def _import_module(place: str) -> ModuleType:
    if not re.fullmatch(r"[A-Za-z_][\w.]*", place):
        raise UnknownNameError("model", f"{place}:...", [entry.name for entry in MODELS])
    here = str(Path.cwd())
    sys.path.insert(0, here)  # as `python -m` would: a console script does not look into the working folder
    try:
        return importlib.import_module(place)
    except ImportError as error:
        hint = "is it installed in this environment? A file is given with its ending: path/to/file.py:factory"
        raise ModelSourceError(f"cannot import {place}", what=str(error), hint=hint) from error
    except (Exception, SystemExit) as error:
        raise ModelSourceError(f"importing {place} raised {type(error).__name__}", what=str(error) or None, where=_error_line(error)) from error
    finally:
        sys.path.remove(here)


def _error_line(error: BaseException) -> str | None:
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '?').name}:{error.lineno}    {(error.text or '').strip()}"
    return user_frame(error)


def check_runs(name: str, module: nn.Module, example: tuple[Tensor, ...]) -> Any:
    """Run an eager model, or a method of it, once and return its output.

    :param name: the model's, for the error.
    :raises ModelSourceError: it does not run on what it will be exported for, or writes into it.
    """
    import torch

    try:
        with torch.no_grad():
            given = tuple(value.clone() for value in example)
            output = module(*given)
    except Exception as error:
        shapes = ", ".join(str(tuple(value.shape)) for value in example)
        raise ModelSourceError(
            f"{name} does not run on {'an image' if len(example) == 1 else 'inputs'} of shape {shapes}",
            what=f"{type(error).__name__}: {traceback.format_exception_only(error)[-1].strip().partition(': ')[2]}",
            where=user_frame(error),
            hint="check --resolution, and that forward takes one image",
        ) from error
    # A number that is none equals nothing, not even itself.
    if not all(bool(((value == before) | (value.isnan() & before.isnan())).all()) for value, before in zip(given, example, strict=True)):
        raise ModelSourceError(
            f"{name} writes into its input", why="an artifact's input is not its to change", hint="begin forward with image = image.clone()"
        )
    return output
