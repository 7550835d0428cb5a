"""A core block that is applied four times is stored once, and so is everything else: file sizes against the parameters' bytes."""

import attrs
import pytest

from edgekit.artifact import size_bytes
from edgekit.capabilities import target_facts
from edgekit.declared import metadata_for, method_spec
from edgekit.methods import method_sources
from edgekit.models.source import load_source
from edgekit.programs import rewritten_program
from edgekit.requests import recipes_for
from edgekit.targets.base import LoweringJob
from edgekit.targets.registry import get_target
from edgekit.verification.cases import eager_cases
from edgekit.verification.samples import verification_samples


def lowered(model, target, folder):
    """Lower to a target in its default precision, without running it; return the path and the parameters' bytes in that precision."""
    facts = target_facts(target)
    (recipe,) = recipes_for(model, [target])
    source = load_source(model, resolution=None, num_classes=None, weights=None)
    (method,) = method_sources(source.module, None)
    (case,) = eager_cases(source, (method,), verification_samples(source.preprocessing)[:1]).values()
    program, _ = rewritten_program(source.name, method.module, facts, case.example())
    spec = method_spec(attrs.evolve(recipe, resolution=source.resolution), facts, case)
    path = folder / f"sized{facts.suffix}"
    get_target(target).lower(
        LoweringJob(programs={method.name: program}, methods=(spec,), recipe=recipe, metadata=metadata_for(source, ()), destination=path)
    )
    return path, source.parameters * (2 if recipe.precision == "fp16" else 4)


@pytest.mark.parametrize("target", ["coreml", "tflite", "executorch", "onnx", "coreai"])
def test_weights_are_stored_once(target, tmp_path):
    """The graph takes as many bytes for a small network as for a large one: 60 kB in Core ML, 2% of this network's file."""
    path, parameter_bytes = lowered("imcnet-cifar10", target, tmp_path)
    assert get_target(target).inspect(path).sections["weights"] <= 1.01 * parameter_bytes


def test_the_whole_file_of_s16(tmp_path):
    path, parameter_bytes = lowered("imcnet-s16", "coreml", tmp_path)
    assert size_bytes(path) <= 1.01 * parameter_bytes
