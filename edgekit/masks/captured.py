"""Captures a model whose forward may index by boolean masks, as a program with static shapes.

    notice      capture as it is; a model that indexes by no mask is done
    observe     run the model on the example, and note how many places each mask keeps
    capture     again, each mask keeping that many
    prove       that it does so whatever the values are, but for equal ones; what cannot be proved is refused

Static from the start, because much of what follows a boolean index is not captured otherwise: ``scaled_dot_product_attention`` asks whether
there are any rows, a reshape whether it copies. Eager may keep more or fewer where two scores are equal, or none where one is not
a number; a static graph cannot: :func:`check_samples` stops an export where a sample does.
"""

from collections.abc import Sequence

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgekit.capture import capture
from edgekit.errors import CaptureError, ParityError
from edgekit.masks.dynamic import refuse_dynamic
from edgekit.masks.proof import ProvedMask, proved
from edgekit.masks.watch import Assuming, Noticing, Observing


@frozen
class Captured:
    """A program with static shapes, and the masks by which it indexes, in the order in which the forward does."""

    program: ExportedProgram
    masks: tuple[ProvedMask, ...] = ()


def captured(name: str, model: nn.Module, example: tuple[Tensor, ...]) -> Captured:
    """Capture ``model`` for inputs shaped like ``example``; each boolean index is :func:`edgekit.ops.kept_places.kept_places`.

    :raises CaptureError: ``torch.export`` stops. :raises DataDependentError: a size depends on values; both name the user's line.
    """
    noticing = Noticing()
    try:
        with noticing:
            found = Captured(capture(name, model, example))
    except CaptureError:
        if not noticing.noticed:
            raise
    if noticing.noticed:
        counts = kept_counts(model, example)
        with (assuming := Assuming(counts)):
            program = capture(name, model, example)
        if len(assuming.lines) != len(counts):
            raise CaptureError(
                f"cannot capture {name}: it selects by {len(assuming.lines)} masks while it is captured, by {len(counts)} when it is run",
                hint="forward has to do the same each time it is called",
            )
        found = Captured(*proved(name, program, assuming.lines))
    refuse_dynamic(name, found.program)
    return found


def kept_counts(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[int]:
    """Run a model and return how many places each of its masks keeps, in the order in which they index."""
    with torch.no_grad(), Observing() as observing:
        model(*inputs)
    return observing.counts


def check_samples(name: str, model: nn.Module, masks: Sequence[ProvedMask], samples: Sequence[tuple[Tensor, ...]]) -> None:
    """Run a model on all samples and require that each mask keeps as many places as was proved of distinct scores.

    :param masks: of :func:`captured`; nothing is run where there are none.
    :raises ParityError: a mask keeps another number: eager computes what a static graph cannot.
    """
    for number, sample in enumerate(samples if masks else (), start=1):
        for mask, kept in zip(masks, kept_counts(model, sample), strict=True):
            if kept != mask.kept:
                raise ParityError(
                    f"{name} selects another number of values where scores are equal, or not numbers",
                    what=f"a mask of {mask.places} places keeps {kept} on sample {number} of {len(samples)}; of distinct scores it keeps {mask.kept}",
                    where=mask.line,
                    why="the graph is static and takes as many as of distinct scores",
                    hint="let no two scores be equal, for example by adding positions before they are computed",
                )
