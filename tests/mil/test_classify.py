import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.mil.interpreter import Interpreter
from edgekit.mil.program import read_program
from edgekit.quiet import quiet
from edgekit.targets.coreml.package import read_package
from edgekit.targets.coreml.toolbox import coremltools

PROBABILITIES = np.array([[0.125, 0.5, 0.25]], np.float32)


@pytest.mark.parametrize("labels", [["cat", "dog", "bird"], [7, 42, 3]])
def test_a_classifier_gives_its_label_and_all_probabilities(labels):
    ct = coremltools()
    with quiet(), tempfile.TemporaryDirectory() as folder:
        model = ct.convert(
            torch.jit.trace(torch.nn.ReLU(), torch.from_numpy(PROBABILITIES)),
            inputs=[ct.TensorType("x", PROBABILITIES.shape)],
            classifier_config=ct.ClassifierConfig(labels),
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
        )
        path = Path(folder) / "classifier.mlpackage"
        model.save(str(path))
        package = read_package(path)
        program = read_program(package.spec.mlProgram, package.spec_path.parent)
    label, probabilities = Interpreter(program).run("main", {"x": torch.from_numpy(PROBABILITIES)}).values()
    assert label == labels[1]
    assert probabilities == dict(zip(labels, PROBABILITIES[0].tolist(), strict=True))
