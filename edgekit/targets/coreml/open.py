"""Opens an ``.mlpackage`` and runs its program in edgekit's interpreter. Core ML itself runs on Apple's systems only."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from edgekit.interface import TensorSpec
from edgekit.mil.interpreter import Interpreter, Numerics, ProgramError, UnknownOperatorError
from edgekit.mil.program import Operator, Program, read_program
from edgekit.targets.base import Array, CannotRunHere, TracedValue
from edgekit.targets.calls import check_inputs, find_method
from edgekit.targets.coreml.methods import blue_first, methods_of
from edgekit.targets.coreml.package import Package, read_package

_SUFFIX = re.compile(r"(_cast|_to)_fp16(_\d+)?$|_cast_fp32(_\d+)?$")
"""What Core ML Tools' fp16 pass appends to a value's name, with a number where the name is taken."""


class CoreMLExecutable:
    """A package's program, ready to be computed. One instance serves one thread."""

    def __init__(self, package: Package, program: Program, numerics: Numerics, threads: int) -> None:
        self._threads = threads
        self.methods = methods_of(package)
        self.numerics = numerics
        self._package = package
        self._program = program
        self._interpreter = Interpreter(program, numerics)

    @property
    def halves(self) -> bool:
        """Whether the program declares any value fp16, so that the two numerics differ."""
        functions = self._program.functions.values()
        types = (output.type for function in functions for operator in function.block.walk() for output in operator.outputs)
        return any(getattr(type_, "dtype", None) == "fp16" for type_ in types)

    def at(self, numerics: Numerics) -> "CoreMLExecutable":
        """Return the same program in other numerics."""
        return CoreMLExecutable(self._package, self._program, numerics, self._threads)

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute a method on arrays by input name, shaped as its spec says; a picture is uint8 ``(1, 3, H, W)``.

        :raises UnknownNameError: no method of this name. :raises BadInputError: an input does not fit.
        :raises CannotRunHere: the program has an operator that the interpreter does not know; the sentence is ``op <name>``.
        """
        return self._run(method, inputs, None)

    def trace(self, method: str, inputs: Mapping[str, Array], observe: Callable[[TracedValue], None]) -> dict[str, Array]:
        """Compute a method as :meth:`run` does, and show every value on the way, named after the captured program's nodes."""

        def show(operator: Operator, results: tuple[object, ...]) -> None:
            for position, (output, value) in enumerate(zip(operator.outputs, results, strict=True)):
                if isinstance(value, torch.Tensor):
                    several = position if len(operator.outputs) > 1 else None
                    observe(
                        TracedValue(
                            operator=operator.kind, name=output.name, node=node_name(operator, position), position=several, value=value.numpy()
                        )
                    )

        return self._run(method, inputs, show)

    def _run(self, method: str, inputs: Mapping[str, Array], observe: Callable[[Operator, tuple[object, ...]], None] | None) -> dict[str, Array]:
        spec = find_method(self.methods, method)
        check_inputs(spec, inputs)
        swapped = blue_first(self._package, method)
        tensors = {name: torch.from_numpy(_as_held(value, reverse=name in swapped)) for name, value in inputs.items()}
        function = method if method in self._program.functions else next(iter(self._program.functions))
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)  # also because two threads on a busy machine take fifty times as long as one
        try:
            results = self._interpreter.run(function, tensors, observe=observe)
        except UnknownOperatorError as error:
            raise CannotRunHere(error.summary, what=error.what, why=error.why) from error
        finally:
            torch.set_num_threads(before)
        missing = [tensor.name for tensor in spec.outputs if tensor.name not in results]
        if missing:
            raise ProgramError(f"the program of {self._package.path.name} does not give its output {missing[0]}")
        return {tensor.name: _as_declared(results[tensor.name].numpy(), tensor, reverse=tensor.name in swapped) for tensor in spec.outputs}


def _as_held(value: Array, *, reverse: bool) -> Array:
    """Return an input as the program takes it: pixels and halves are numbers to it, and the channels may come in reverse."""
    dtype = np.dtype(np.float32) if value.dtype.kind in "fu" else value.dtype
    return np.array(value[:, ::-1] if reverse else value, dtype=dtype)


def _as_declared(value: Array, spec: TensorSpec, *, reverse: bool) -> Array:
    """Return a result as the description declares it; a picture's pixels are rounded and clipped."""
    if spec.dtype == "image":
        pixels = np.clip(np.rint(value), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels[:, ::-1]) if reverse else pixels
    return value.astype(spec.dtype if spec.dtype in ("float16", "float32", "float64", "int32") else np.float32)


def node_name(operator: Operator, position: int = 0) -> str:
    """Return the name of the captured program's node that a result stands for; Core ML Tools keeps it but for suffixes.

    Several results are numbered: ``split_1`` is the second of ``split``, and not of the program's next split, ``split_1``.
    """
    name = operator.outputs[position].name
    if len(operator.outputs) > 1:
        name = name.removesuffix(f"_{position}")
    return _SUFFIX.sub("", name)


def open_package(path: Path, *, threads: int = 1, numerics: Numerics = "fp16") -> CoreMLExecutable:
    """Read a package's methods and program.

    :param numerics: ``fp16`` rounds where the program says so, as a phone would; ``fp32`` never.
    :raises ArtifactError: no ML program package, incomplete, truncated, damaged, or pointing outside itself.
    """
    package = read_package(path)
    return CoreMLExecutable(package, read_program(package.spec.mlProgram, package.spec_path.parent), numerics, threads)
