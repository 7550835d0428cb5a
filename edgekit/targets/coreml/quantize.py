"""Gives a prepared program the weights and the activations that its package has, by a scheme. In place, like every preparation.

    palette8, palette6, palette4   a table of 256, 64 or 16 values a weight; from iOS 18 on as many as cost 4% of its indices
    w8a32, w8a8                    8-bit integers, a scale a row
    w4a32                          4-bit integers, a scale for 32 weights of a row; iOS 18
    w8a8                           also, what these weights' readers read is rounded to 8 bits and back

The weights that a package holds are then those of its program, to the last bit: the two can be compared operator by operator. All
else is computed in half precision, as in a package that is not quantized.
"""

from torch.export import ExportedProgram

from edgekit.capabilities import FIRST_WITH_PRECISION, is_older
from edgekit.errors import LoweringError
from edgekit.quantization.job import Quantization
from edgekit.targets.rounded_inputs import round_inputs
from edgekit.targets.stored_weights import Grain, store_weights

_FIRST_WITH_GROUPS = "iOS18"
_COARSE = Grain()
_FINE = Grain(tables=0.04, block=32)


def quantize(program: ExportedProgram, method: str, quantization: Quantization, system: str) -> None:
    """Quantize a prepared program for packages that ``system``, ``iOS17`` say, reads.

    :raises LoweringError: the system has no such weights or activations, or there are no samples to choose ranges from.
    """
    scheme = quantization.scheme
    first = FIRST_WITH_PRECISION.get(scheme.name, system)
    if is_older(system, first):
        raise LoweringError(
            f"a Core ML package for {system} cannot be {scheme.name}", why=f"it came with {first}", hint=f"--deployment-target {first}"
        )
    grain = _COARSE if is_older(system, _FIRST_WITH_GROUPS) else _FINE
    readers = store_weights(program, lambda node: quantization.keeps_weights(method, node), scheme, grain)
    if scheme.calibrated:
        samples = quantization.calibration.get(method, ())
        if not samples:
            raise LoweringError(f"method {method} cannot be quantized as {scheme.name}", why="there are no samples to choose ranges from")
        round_inputs(program, [reader for reader in readers if not quantization.keeps(method, reader.name)], samples)
