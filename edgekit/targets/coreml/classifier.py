"""Turns a package's program into a classifier that keeps its logits.

    before   ... -> logits, probabilities
    after    ... -> classLabel, classLabel_probs, logits        classLabel, classLabel_probs = classify(probabilities)

Core ML Tools' own ``ClassifierConfig`` does the same, but stops with an ``IndexError`` (9.0) when the program has
another output beside the probabilities and the outputs are named. Source of the form: its ``mb.classify``.
"""

from collections.abc import Sequence
from typing import Any

LABEL = "classLabel"
LABEL_PROBABILITIES = "classLabel_probs"


def make_classifier(spec: Any, probabilities: str, labels: Sequence[str]) -> None:
    """Replace the output ``probabilities``, ``(1, len(labels))``, of the only function by a label and a dictionary."""
    (function,) = spec.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    _append_classify(block.operations.add(), probabilities, labels)
    kept = [name for name in block.outputs if name != probabilities]
    del block.outputs[:]
    block.outputs.extend([LABEL, LABEL_PROBABILITIES, *kept])

    description = spec.description
    features = [feature for feature in description.output if feature.name != probabilities]
    label, dictionary = type(features[0])(name=LABEL), type(features[0])(name=LABEL_PROBABILITIES)
    label.type.stringType.SetInParent()
    dictionary.type.dictionaryType.stringKeyType.SetInParent()
    del description.output[:]
    description.output.extend([label, dictionary, *features])
    description.predictedFeatureName = LABEL
    description.predictedProbabilitiesName = LABEL_PROBABILITIES


def _append_classify(operation: Any, probabilities: str, labels: Sequence[str]) -> None:
    """Fill an ``Operation`` message with MIL's ``classify``."""
    string, double = _data_type(operation, "STRING"), _data_type(operation, "FLOAT64")
    operation.type = "classify"
    operation.inputs["probabilities"].arguments.add().name = probabilities
    classes = operation.inputs["classes"].arguments.add().value
    classes.type.listType.type.tensorType.dataType = string
    classes.type.listType.length.constant.size = len(labels)
    for label in labels:
        value = classes.immediateValue.list.values.add()
        value.type.tensorType.dataType = string
        value.immediateValue.tensor.strings.values.append(label)
    operation.outputs.add(name=LABEL).type.tensorType.dataType = string
    dictionary = operation.outputs.add(name=LABEL_PROBABILITIES).type.dictionaryType
    dictionary.keyType.tensorType.dataType = string
    dictionary.valueType.tensorType.dataType = double
    name = operation.attributes["name"]
    name.type.tensorType.dataType = string
    name.immediateValue.tensor.strings.values.append("classify")


def _data_type(operation: Any, name: str) -> int:
    """Return the number of a MIL data type, from the message's own schema."""
    return int(operation.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_name[name].number)
