"""Builds small MIL programs with Core ML Tools' builder, saves them as packages, and runs them in the interpreter."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekit.mil.interpreter import Interpreter, Numerics
from edgekit.mil.program import Program, read_program
from edgekit.quiet import quiet
from edgekit.targets.coreml.package import read_package
from edgekit.targets.coreml.toolbox import coremltools


def saved_program(build: Callable[..., Any], inputs: Mapping[str, np.ndarray], *, ios: int = 17, half: bool = False) -> Program:
    """Return the program of a package written to disk.

    :param build: ``build(mb, **variables)`` puts operators together and returns the result, or a tuple of results.
    :param inputs: shapes and dtypes of the program's inputs; floats are fp32, or fp16 with ``half``.
    """
    ct = coremltools()
    from coremltools.converters.mil.mil import Builder, types

    kinds = {"f": types.fp16 if half else types.fp32, "i": types.int32, "b": types.bool}
    specs = [Builder.TensorSpec(shape=array.shape, dtype=kinds[array.dtype.kind]) for array in inputs.values()]
    names = list(inputs)
    arguments = ", ".join(names)
    scope: dict[str, Any] = {"_build": build, "_mb": Builder}
    exec(f"def main({arguments}):\n    return _build(_mb, {', '.join(f'{n}={n}' for n in names)})", scope)
    target = getattr(ct.target, f"iOS{ios}")
    with quiet(), tempfile.TemporaryDirectory() as folder:
        program = Builder.program(input_specs=specs, opset_version=target)(scope["main"])
        model = ct.convert(
            program,
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT32,
            minimum_deployment_target=target,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
        path = Path(folder) / "small.mlpackage"
        model.save(str(path))
        package = read_package(path)
        return read_program(package.spec.mlProgram, package.spec_path.parent)


def computed(
    build: Callable[..., Any], inputs: Mapping[str, np.ndarray], *, ios: int = 17, half: bool = False, numerics: Numerics = "fp32"
) -> list[np.ndarray]:
    """Return what the interpreter computes for a small program, in the order of its results."""
    program = saved_program(build, inputs, ios=ios, half=half)
    (name,) = program.functions
    tensors = {key: torch.from_numpy(array) for key, array in inputs.items()}
    return [value.numpy() for value in Interpreter(program, numerics).run(name, tensors).values()]
