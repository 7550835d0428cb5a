"""Random numbers: known, so that the refusal says why."""

from typing import NoReturn

from edgekit.mil.operators.context import OperatorError, Tensor


def _refuse() -> NoReturn:
    raise OperatorError("the program does not define the random numbers a device draws, so there is nothing to compare with")


def random_bernoulli(*, shape: Tensor, prob: Tensor | float = 0.5, seed: Tensor | int = -1) -> NoReturn:
    """Ones with a probability, else zeros."""
    del shape, prob, seed
    _refuse()


def random_categorical(*, x: Tensor, mode: str = "logits", size: Tensor | int = 1, seed: Tensor | int = -1) -> NoReturn:
    """Classes drawn by logits or probabilities."""
    del x, mode, size, seed
    _refuse()


def random_normal(*, shape: Tensor, mean: Tensor | float = 0.0, stddev: Tensor | float = 1.0, seed: Tensor | int = -1) -> NoReturn:
    """Normally distributed numbers."""
    del shape, mean, stddev, seed
    _refuse()


def random_uniform(*, shape: Tensor, low: Tensor | float = 0.0, high: Tensor | float = 1.0, seed: Tensor | int = -1) -> NoReturn:
    """Uniformly distributed numbers."""
    del shape, low, high, seed
    _refuse()


OPERATORS = {
    "random_bernoulli": random_bernoulli,
    "random_categorical": random_categorical,
    "random_normal": random_normal,
    "random_uniform": random_uniform,
}
