"""Lowers programs to a ``.tflite`` file and makes sure that LiteRT loads it with the interface that was asked for."""

import contextlib
import gc
import io
import weakref
from collections.abc import Callable, Mapping, Sequence

import attrs
from torch.export import ExportedProgram

from edgekit.errors import LoweringError
from edgekit.interface import TensorSpec
from edgekit.quiet import quiet
from edgekit.targets.base import LoweringJob
from edgekit.targets.failure import lowering_error, module_path
from edgekit.targets.layouts import LAYOUTS_KEY, layouts_as_text
from edgekit.targets.tflite.convert import convert
from edgekit.targets.tflite.flatbuffer import methods_of, operators_of, parse, text
from edgekit.targets.tflite.prepare import prepare
from edgekit.targets.tflite.quantize import quantize, tag
from edgekit.targets.tflite.runtime import CannotRunError, ready_interpreter
from edgekit.user_code import user_line

_TAGGED: "weakref.WeakKeyDictionary[ExportedProgram, bytes]" = weakref.WeakKeyDictionary()
"""Float files on their way to be quantized, by the program of their first method, as long as that lives."""


def lower_to_tflite(job: LoweringJob) -> None:
    """Write ``job.destination``, one signature per method, called as the method is.

    :raises LoweringError: litert_torch fails, LiteRT has no kernel for what it wrote, or the file's interface is another.
    """
    content = _convert(job)
    try:
        ready_interpreter(content, threads=1)
    except CannotRunError as error:
        raise _no_kernel(job, content, str(error)) from error
    _check_interface(job, content)
    job.destination.write_bytes(content)


def _convert(job: LoweringJob) -> bytes:
    metadata = {**job.metadata.as_strings(), LAYOUTS_KEY: layouts_as_text(job.methods)}
    try:
        # litert_torch reports progress through sys.stdout, which in a notebook is not the descriptor that quiet() redirects.
        with quiet(), contextlib.redirect_stdout(io.StringIO()):
            if job.quantization is None:
                return _in_floats(job, metadata, None)
            # An export calibrates one job on several draws: the same programs, converted once.
            first = job.programs[job.methods[0].name]
            if first not in _TAGGED:
                _TAGGED[first] = _in_floats(job, metadata, tag)
            return quantize(_TAGGED[first], job, job.quantization)
    except Exception as error:
        raise lowering_error("tflite", error, job.programs) from error
    finally:
        gc.collect()  # the converter's module holds the weights in reference cycles


def _in_floats(job: LoweringJob, metadata: Mapping[str, str], name_of: Callable[[str, str], str] | None) -> bytes:
    programs = [prepare(job.programs[method.name], method) for method in job.methods]
    return convert(programs, job.methods, description=job.metadata.description, metadata=metadata, name_of=name_of)


def _check_interface(job: LoweringJob, content: bytes) -> None:
    """Compare the methods in the file with those asked for.

    :raises LoweringError: they differ; 64-bit integers, for one, become 32-bit.
    """
    written = {method.name: method for method in methods_of(parse(content))}
    for method in job.methods:
        for asked, got in ((method.inputs, written[method.name].inputs), (method.outputs, written[method.name].outputs)):
            wanted = [_in_integers(tensor, got) for tensor in asked] if job.recipe.io == "int8" else asked
            if sorted(wanted, key=lambda tensor: tensor.name) != sorted(got, key=lambda tensor: tensor.name):
                raise LoweringError(
                    "cannot lower to tflite: the converter wrote another interface",
                    what=f"method {method.name}: {', '.join(f'{t.name} {t.dtype} {t.shape}' for t in got)}",
                    why=f"asked for: {', '.join(f'{t.name} {t.dtype} {t.shape}' for t in asked)}",
                )


def _in_integers(asked: TensorSpec, written: Sequence[TensorSpec]) -> TensorSpec:
    """Return what is asked for as integers of 8 bits; what they stand for, the file decides."""
    own = next((tensor for tensor in written if tensor.name == asked.name), asked)
    return attrs.evolve(asked, dtype="int8", scale=own.scale, zero_point=own.zero_point) if asked.dtype == "float32" else asked


def _no_kernel(job: LoweringJob, content: bytes, reason: str) -> LoweringError:
    """Explain a file that was written and cannot be loaded, by the first operator that LiteRT names in its reason."""
    model = parse(content)
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for position, name in enumerate(operators_of(model, graph)):
            if name in reason:
                tensor = text(graph.Tensors(graph.Operators(position).Outputs(0)).Name())
                return LoweringError(f"cannot lower to tflite: LiteRT has no kernel for {name}", where=_place(job, tensor.split(";")[0]), why=reason)
    return LoweringError("cannot lower to tflite: LiteRT cannot load what the converter wrote", why=reason)


def _place(job: LoweringJob, name: str) -> str:
    """Return the user's line behind a tensor's name: a module path, a node outside of any module, or a method's output."""
    for method in job.methods:
        program = job.programs[method.name]
        results = dict(zip((tensor.name for tensor in method.outputs), program.graph_signature.user_outputs, strict=True))
        for node in program.graph.nodes:
            if results.get(name, name) in (node.name, module_path(node)) and (line := user_line(node.meta.get("stack_trace"))):
                return line
    return name
