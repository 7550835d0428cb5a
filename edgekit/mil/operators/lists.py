"""Lists of tensors of one shape, which loops fill."""

import torch
from attrs import evolve, frozen

from edgekit.mil.operators.context import Tensor, flag, integer, integers


@frozen
class TensorList:
    """A MIL list; an element that has not been written has no value."""

    elements: tuple[Tensor | None, ...]
    grows: bool

    def read(self, index: int) -> Tensor:
        """Return an element.

        :raises IndexError: there is none, or nothing has been written to it.
        """
        value = self.elements[index] if 0 <= index < len(self.elements) else None
        if value is None:
            raise IndexError(f"element {index} of a list of {len(self.elements)} has no value")
        return value

    def write(self, index: int, value: Tensor) -> "TensorList":
        """Return the list with an element replaced, longer if it may grow.

        :raises IndexError: the index lies outside a list of fixed length.
        """
        missing = index + 1 - len(self.elements)
        if index < 0 or (missing > 0 and not self.grows):
            raise IndexError(f"index {index} lies outside a list of {len(self.elements)}")
        elements = [*self.elements, *[None] * missing]
        elements[index] = value
        return evolve(self, elements=tuple(elements))


def make_list(*, elem_shape: object, init_length: Tensor | int = 1, dynamic_length: Tensor | bool = True, dtype: str = "fp32") -> TensorList:
    """A list of ``init_length`` elements without a value."""
    del elem_shape, dtype
    return TensorList((None,) * integer(init_length), grows=flag(dynamic_length))


def list_length(*, ls: TensorList) -> Tensor:
    """How many elements the list has."""
    return torch.tensor(len(ls.elements), dtype=torch.int32)


def list_write(*, ls: TensorList, index: Tensor, value: Tensor) -> TensorList:
    """The list with an element replaced."""
    return ls.write(integer(index), value)


def list_read(*, ls: TensorList, index: Tensor) -> Tensor:
    """An element of the list."""
    return ls.read(integer(index))


def list_gather(*, ls: TensorList, indices: Tensor) -> Tensor:
    """Elements of the list, stacked."""
    return torch.stack([ls.read(index) for index in integers(indices)])


def list_scatter(*, ls: TensorList, indices: Tensor, value: Tensor) -> TensorList:
    """The list with elements replaced by the rows of ``value``."""
    for index, row in zip(integers(indices), value, strict=True):
        ls = ls.write(index, row)
    return ls


OPERATORS = {
    "make_list": make_list,
    "list_length": list_length,
    "list_write": list_write,
    "list_read": list_read,
    "list_gather": list_gather,
    "list_scatter": list_scatter,
}
