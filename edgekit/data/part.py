"""Some of a set's pictures, as a set: what is held out, and what is left."""

from typing import Any

from attrs import field, frozen

from edgekit.data.pictures import Pictures


@frozen(kw_only=True)
class Part:
    """The pictures of ``whole`` with these numbers; they keep their names, labels and bytes."""

    whole: Pictures
    numbers: tuple[int, ...] = field(repr=False)

    @property
    def origin(self) -> str:
        """Where the whole comes from."""
        return self.whole.origin

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the whole."""
        return self.whole.classes

    def __len__(self) -> int:
        return len(self.numbers)

    def name(self, index: int) -> str:
        """Return the picture's name in the whole."""
        return self.whole.name(self.numbers[index])

    def label(self, index: int) -> int | None:
        """Return its class."""
        return self.whole.label(self.numbers[index])

    def content(self, index: int) -> bytes:
        """Return its bytes."""
        return self.whole.content(self.numbers[index])

    def image(self, content: bytes) -> Any:
        """Decode bytes of one of them."""
        return self.whole.image(content)
