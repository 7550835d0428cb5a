"""How each small network is trained: one row a network, all on CIFAR-10's first 45,000 training pictures.

The last 5,000 are held out: thresholds of early exits are fitted on them, never on the test set.
"""

from attrs import frozen

TRAINED_ON = 45_000
"""Pictures: the split ``cifar10:fit``."""


@frozen(kw_only=True)
class TrainingRecipe:
    """One network's training.

    :param epochs: passes over the training pictures.
    :param learning_rate: the highest; it rises for ``warmup`` of the steps and falls to zero along a cosine.
    :param averaging: decay of the running average of the weights, which is what is stored.
    :param smoothing: label smoothing.
    :param bfloat16: matrix products and convolutions in bfloat16; depth-wise convolutions are slower in it on a CPU.
    :param erased: side of the square that is blanked in every training picture, in pixels; 0: none.
    """

    model: str
    epochs: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    batch: int = 128
    warmup: float = 0.1
    averaging: float = 0.998
    smoothing: float = 0.05
    erased: int = 0
    bfloat16: bool = False
    seed: int = 0


RECIPES = (
    TrainingRecipe(model="emov2-nano", epochs=18, optimizer="adamw", learning_rate=3e-3, weight_decay=0.05, erased=8),
    TrainingRecipe(model="imcnet-nano", epochs=28, optimizer="adamw", learning_rate=1e-3, weight_decay=0.05, bfloat16=True),
    TrainingRecipe(model="chase-nano", epochs=20, optimizer="sgd", learning_rate=0.1, weight_decay=5e-4, erased=8),
)


def recipe_for(model: str) -> TrainingRecipe:
    """Return the row of a network.

    :raises KeyError: there is none.
    """
    return {recipe.model: recipe for recipe in RECIPES}[model]
