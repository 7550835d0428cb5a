"""A MIL program as plain data, read from the ``Program`` message of a package.

Program
  functions by name
    Function   inputs, opset
      Block    operators in order, names of the outputs
        Operator   kind, arguments (names or constants), outputs (name, type), inner blocks (branches, loops)
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import field, frozen

from edgekit.errors import ArtifactError
from edgekit.mil.types import TensorType, ValueType, read_type, torch_dtype
from edgekit.mil.weights import WeightsFile, decode

_IN_PACKAGE = "@model_path/"

Constant = torch.Tensor | str | tuple[Any, ...] | Mapping[Any, Any]
"""A stored value: tensors (floats held in float32), strings, a list or a tensor of strings as a tuple, a dictionary."""


@frozen
class Name:
    """An argument that another operator, or an input, gives."""

    name: str


@frozen(kw_only=True)
class Output:
    """One result of an operator."""

    name: str
    type: ValueType


@frozen(kw_only=True)
class Operator:
    """One operator. An argument is a list of bindings: one for most, several for ``concat`` and the like."""

    kind: str
    name: str
    arguments: Mapping[str, tuple[Name | Constant, ...]]
    outputs: tuple[Output, ...]
    blocks: tuple["Block", ...] = ()
    attributes: Mapping[str, Constant] = field(factory=dict)


@frozen(kw_only=True)
class Block:
    """Operators in order; ``inputs`` are a loop's variables, ``outputs`` names of values computed inside or outside."""

    inputs: tuple[Output, ...]
    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]

    def walk(self) -> Iterator[Operator]:
        """Yield all operators, those of inner blocks included."""
        for operator in self.operators:
            yield operator
            for block in operator.blocks:
                yield from block.walk()


@frozen(kw_only=True)
class Function:
    """One entry point. ``opset`` is the operator set it is written in (``CoreML7`` is iOS 17)."""

    name: str
    inputs: tuple[Output, ...]
    block: Block
    opset: str


@frozen(kw_only=True)
class Program:
    """All functions of a package, by name."""

    functions: Mapping[str, Function]


def read_program(message: Any, folder: Path) -> Program:
    """Read the ``Program`` message of a package whose ``model.mlmodel`` lies in ``folder``; its weights files are read from there.

    :raises ArtifactError: something in it is missing, damaged, or of an unknown type.
    """
    reader = _Reader(folder.resolve())
    return Program(functions={name: reader.function(name, function) for name, function in sorted(message.functions.items())})


class _Reader:
    """Turns messages into data; keeps the weights files it has opened, and constants shared by functions once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, WeightsFile] = {}
        self._stored: dict[tuple[str, int, TensorType], torch.Tensor] = {}

    def function(self, name: str, message: Any) -> Function:
        block = message.block_specializations.get(message.opset)
        if block is None:
            raise ArtifactError(f"function {name} has no block for its operator set", what=f"operator set {message.opset}")
        return Function(name=name, inputs=self._outputs(message.inputs), block=self._block(block), opset=message.opset)

    def _block(self, message: Any) -> Block:
        return Block(
            inputs=self._outputs(message.inputs),
            operators=tuple(self._operator(operation) for operation in message.operations),
            outputs=tuple(message.outputs),
        )

    def _operator(self, message: Any) -> Operator:
        attributes = {key: self._value(value) for key, value in message.attributes.items()}
        name = attributes.pop("name", None)
        outputs = self._outputs(message.outputs)
        return Operator(
            kind=message.type,
            name=name if isinstance(name, str) else outputs[0].name if outputs else message.type,
            arguments={key: tuple(self._binding(binding) for binding in argument.arguments) for key, argument in message.inputs.items()},
            outputs=outputs,
            blocks=tuple(self._block(block) for block in message.blocks),
            attributes=attributes,
        )

    def _binding(self, message: Any) -> Name | Constant:
        return Name(message.name) if message.WhichOneof("binding") == "name" else self._value(message.value)

    @staticmethod
    def _outputs(messages: Any) -> tuple[Output, ...]:
        return tuple(Output(name=message.name, type=read_type(message.type)) for message in messages)

    def _value(self, message: Any) -> Constant:
        where = message.WhichOneof("value")
        if where is None:
            raise ArtifactError("the program has a constant without a value")
        kind = message.type.WhichOneof("type")
        if kind == "dictionaryType":
            pairs = [(self._value(pair.key), self._value(pair.value)) for pair in message.immediateValue.dictionary.values]
            return {str(key): value for key, value in pairs}
        if kind == "listType":
            return tuple(self._value(value) for value in message.immediateValue.list.values)
        type_ = read_type(message.type)
        if not isinstance(type_, TensorType) or None in type_.shape:
            raise ArtifactError("the program has a constant that is no tensor", what=str(type_))
        if where == "blobFileValue":
            return self._from_file(message.blobFileValue, type_)
        try:
            return _immediate(message.immediateValue.tensor, type_)
        except ValueError as error:
            raise ArtifactError("the program has a damaged constant", what=str(type_), why=str(error)) from error

    def _from_file(self, message: Any, type_: TensorType) -> torch.Tensor:
        """Return a value of the weights file; the same place gives the same tensor, however many functions use it."""
        key = (message.fileName, message.offset, type_)
        if key not in self._stored:
            if message.fileName not in self._files:
                path = (self._folder / message.fileName.removeprefix(_IN_PACKAGE)).resolve()
                if not path.is_relative_to(self._folder):
                    raise ArtifactError("the program keeps weights outside its package", what=message.fileName)
                self._files[message.fileName] = WeightsFile(path)
            self._stored[key] = as_tensor(self._files[message.fileName].read(message.offset, type_.dtype, _shape(type_)), type_.dtype)
        return self._stored[key]


def _immediate(message: Any, type_: TensorType) -> Constant:
    """Return a value that stands in the program itself.

    :raises ValueError: its content does not fill its type.
    """
    kind, shape = message.WhichOneof("value"), _shape(type_)
    content = getattr(message, kind).values if kind else ()
    if kind == "strings":
        texts = tuple(str(text) for text in content)
        return texts[0] if shape == () and texts else texts
    if kind == "bytes":
        return as_tensor(decode(bytes(content), type_.dtype, shape), type_.dtype)
    values = np.asarray(content, dtype=np.float64 if kind in ("floats", "doubles") else np.int64)
    if values.size == 1:  # a tensor of one repeated value is stored as that value, and kept so
        return as_tensor(values.reshape(()), type_.dtype).expand(shape)
    return as_tensor(values.reshape(shape), type_.dtype)


def _shape(type_: TensorType) -> tuple[int, ...]:
    return tuple(size or 0 for size in type_.shape)


def as_tensor(values: np.ndarray, dtype: str) -> torch.Tensor:
    """Return an array as the interpreter holds a value of this type."""
    held = torch_dtype(dtype)
    wide = values.astype(np.int64) if values.dtype.kind == "u" and values.dtype.itemsize > 1 else values
    return torch.from_numpy(np.array(wide)).to(held)
