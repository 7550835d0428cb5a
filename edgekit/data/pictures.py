"""What every set of labelled pictures looks like to the rest: numbered, named, decoded one at a time."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from attrs import field, frozen

from edgekit.errors import BadInputError
from edgekit.preprocess import decode_image

Array = np.ndarray


class Pictures(Protocol):
    """A set of pictures, numbered from 0 in an order that depends on nothing but the set itself."""

    @property
    def origin(self) -> str:
        """Say in a few words where the pictures come from; a set of the catalogue says which split."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by index; empty where only numbers are known, or nothing is."""
        ...

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Return what tells this picture from the others, equal on every machine: ``cat/0012.jpg``, ``test/17``."""
        ...

    def label(self, index: int) -> int | None:
        """Return its class, None where labels are not known."""
        ...

    def content(self, index: int) -> bytes:
        """Return the bytes that it is identified by: of the file, or of the pixels in rows where there is no file.

        :raises BadInputError: the file cannot be read.
        """
        ...

    def image(self, content: bytes) -> Any:
        """Decode what :meth:`content` returned to an RGB PIL image, upright.

        :raises BadInputError: it is no picture, or an unreasonably large one.
        """
        ...


@frozen(kw_only=True, eq=False)
class PixelPictures:
    """Pictures of one size held in memory: ``pixels`` uint8 ``(N, H, W, 3)`` and ``labels`` int64 ``(N,)``."""

    origin: str
    prefix: str
    pixels: Array = field(repr=False)
    labels: Array = field(repr=False)
    classes: tuple[str, ...]

    def __attrs_post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[3] != 3:
            raise BadInputError(f"{self.origin}: pixels are {self.pixels.dtype} {self.pixels.shape}", what="expected: uint8 (N, H, W, 3)")
        if self.labels.shape != self.pixels.shape[:1]:
            raise BadInputError(f"{self.origin} has {len(self.pixels)} pictures and {len(self.labels)} labels")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise BadInputError(f"{self.origin} has labels outside of 0 to {len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, index: int) -> str:
        """Return the prefix and the number."""
        return f"{self.prefix}/{index}"

    def label(self, index: int) -> int | None:
        """Return its class."""
        return int(self.labels[index])

    def content(self, index: int) -> bytes:
        """Return its pixels, row by row, red green blue."""
        return self.pixels[index].tobytes()

    def image(self, content: bytes) -> Any:
        """Return a PIL image of the pixels."""
        from PIL import Image

        height, width = self.pixels.shape[1:3]
        return Image.frombytes("RGB", (width, height), content)


@frozen(kw_only=True)
class EncodedPictures:
    """Pictures held in memory as the files they came in."""

    origin: str
    prefix: str
    contents: tuple[bytes, ...] = field(repr=False)
    labels: tuple[int, ...] = field(repr=False)
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.contents)

    def name(self, index: int) -> str:
        """Return the prefix and the number."""
        return f"{self.prefix}/{index}"

    def label(self, index: int) -> int | None:
        """Return its class."""
        return self.labels[index]

    def content(self, index: int) -> bytes:
        """Return the bytes of its file."""
        return self.contents[index]

    def image(self, content: bytes) -> Any:
        """Decode the bytes of a file."""
        return decode_image(content, f"of {self.origin}")


def without_repeats(contents: Iterator[tuple[int, bytes]]) -> list[int]:
    """Return the numbers of those whose bytes did not come before, in their order."""
    seen: dict[bytes, int] = {}
    for number, content in contents:
        seen.setdefault(content, number)
    return sorted(seen.values())


def check_labels(pictures: Pictures, num_classes: int) -> None:
    """Refuse labels that a model of ``num_classes`` cannot give, and pictures without labels where accuracy is asked for.

    :raises BadInputError: the first picture without a label, or with one that is too large, is named.
    """
    for index in range(len(pictures)):
        label = pictures.label(index)
        if label is None:
            raise BadInputError(
                f"{pictures.name(index)} in {pictures.origin} has no label", hint="sort the pictures into class folders, or add labels.csv"
            )
        if label >= num_classes:
            raise BadInputError(
                f"{pictures.name(index)} in {pictures.origin} has the label {label}",
                what=f"the model has {num_classes} classes, from 0",
                hint="is it the right file of labels, and does it count from 0?",
            )
