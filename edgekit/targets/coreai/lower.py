"""Lowers captured programs to one ``.aimodel``: one entry point a method, weights that are equal stored once."""

from typing import Any

from torch.export import ExportedProgram

from edgekit.errors import LoweringError
from edgekit.quiet import quiet
from edgekit.targets.base import LoweringJob
from edgekit.targets.blame import blame
from edgekit.targets.coreai.asset import seal
from edgekit.targets.coreai.canonical import canonicalise
from edgekit.targets.coreai.guard import vouch_for
from edgekit.targets.coreai.half import in_half_precision
from edgekit.targets.coreai.methods import interface_of, methods_of, stored
from edgekit.targets.coreai.quantize import quantized
from edgekit.targets.coreai.toolbox import Toolbox, coreai
from edgekit.targets.layouts import layouts_as_text


def lower(job: LoweringJob) -> None:
    """Write ``job.destination``, a folder.

    A method's 64-bit outputs are of 32 bits in the file: Core AI has no wider type. Methods
    share their weights: equal ones are stored once.

    :raises LoweringError: Core AI's converter failed, or its file offers another interface than asked for.
    """
    tools = coreai()
    try:
        with quiet():
            program = _convert(tools, job)
            program.save_asset(job.destination)
    except LoweringError:
        raise
    except Exception as error:
        raise blame("coreai", error, job.programs) from error
    _check_interface(program, job)
    seal(job.destination, job.metadata, job.methods)
    vouch_for(job.destination)


def _convert(tools: Toolbox, job: LoweringJob) -> Any:
    """Return the ``AIProgram``."""
    converter = tools.TorchConverter(mode=tools.TorchConverter.Mode.RELEASE)
    for method in job.methods:
        converter.add_exported_program(
            _prepared(tools, job, method.name),
            entrypoint_name=method.name,
            input_names=[tensor.name for tensor in method.inputs],
            output_names=[tensor.name for tensor in method.outputs],
        )
    program = converter.to_coreai()
    canonicalise(tools, program)
    return program


def _prepared(tools: Toolbox, job: LoweringJob, method: str) -> ExportedProgram:
    """Return the program in the precision and the operators that the converter takes. Its table keeps gelu, silu and layer_norm whole."""
    program = job.programs[method]
    if job.quantization is not None:
        program = quantized(program, method, job.quantization)
    if job.recipe.precision == "fp16":
        program = in_half_precision(program)
    return program.run_decompositions(tools.get_decomp_table())


def _check_interface(program: Any, job: LoweringJob) -> None:
    written = {method.name: method for method in methods_of(program, layouts_as_text(job.methods))}
    for method in job.methods:
        found = written.get(method.name)
        if found != stored(method):
            raise LoweringError(
                "cannot lower to coreai: the converter wrote another interface",
                what=interface_of(found) if found else f"no method {method.name}",
                why=f"asked for: {interface_of(method)}",
            )
