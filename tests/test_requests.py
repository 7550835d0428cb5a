import pytest

from edgekit.errors import UnknownNameError, UsageError
from edgekit.requests import recipes_for


def test_one_recipe_per_target_in_the_order_asked_for():
    recipes = recipes_for("emov2-1m", ["onnx", "litert", "coreml"], resolution=64)
    assert [(r.target, r.precision, r.resolution) for r in recipes] == [("onnx", "fp32", 64), ("tflite", "fp32", 64), ("coreml", "fp16", 64)]


def test_an_option_of_one_target_goes_to_that_one():
    coreml, executorch = recipes_for("emov2-1m", ["coreml", "executorch"], input="image", backend="portable", deployment_target="iOS18")
    assert (coreml.input, coreml.backend, coreml.deployment_target) == ("image", None, "iOS18")
    assert (executorch.input, executorch.backend, executorch.deployment_target) == ("tensor", "portable", None)


@pytest.mark.parametrize(("option", "value"), [("backend", "xnnpack"), ("deployment_target", "iOS17"), ("input", "image")])
def test_an_option_that_no_target_takes(option, value):
    with pytest.raises(UsageError, match="onnx has no"):
        recipes_for("emov2-1m", ["onnx", "tflite"], **{option: value})


def test_a_precision_that_one_of_them_lacks():
    with pytest.raises(UsageError, match="tflite cannot be written at precision fp16"):
        recipes_for("emov2-1m", ["coreml", "tflite"], precision="fp16")


def test_refusals():
    with pytest.raises(UsageError, match="no target"):
        recipes_for("emov2-1m", [])
    with pytest.raises(UsageError, match="asked for twice"):
        recipes_for("emov2-1m", ["tflite", "onnx", "litert"])
    with pytest.raises(UnknownNameError, match="unknown target 'tflit'"):
        recipes_for("emov2-1m", ["tflit"])
    with pytest.raises(UsageError, match="targets is the text 'onnx'") as caught:
        recipes_for("emov2-1m", "onnx")
    assert caught.value.hint == "targets=['onnx']"
