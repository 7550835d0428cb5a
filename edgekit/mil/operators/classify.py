"""What makes a program a classifier."""

from edgekit.mil.operators.context import Tensor

Label = str | int


def classify(*, probabilities: Tensor, classes: Tensor | str | tuple[Tensor | str, ...]) -> tuple[Label, dict[Label, float]]:
    """The label of the largest probability (the first of equal ones), and all probabilities by label.

    :raises ValueError: there are not as many labels as probabilities.
    """
    labels = [label if isinstance(label, str) else int(label) for label in (classes if isinstance(classes, tuple) else (classes,))]
    by_label = dict(zip(labels, probabilities.flatten().tolist(), strict=True))
    return labels[int(probabilities.flatten().argmax())], by_label


OPERATORS = {"classify": classify}
