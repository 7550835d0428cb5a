"""Draws samples from a set of pictures: the same ones in the same order on every machine, and a hash that says which.

    order     pictures sorted by sha256(seed, name): neither the file system, the platform nor the set's own order matters
    skipped   what cannot be decoded is passed over and named, until that is more than 1% of the set
    hash      sha256 over what was taken, in order: the sha256 of each picture's bytes and its label

The bytes hashed are those of the file (or of the pixels, where the set has no files): decoders differ in the last bit between versions,
files do not.
"""

import hashlib
from typing import Any

import numpy as np
from attrs import field, frozen

from edgekit.data.pictures import Array, Pictures
from edgekit.errors import BadInputError, UsageError
from edgekit.interface import Preprocessing
from edgekit.preprocess import normalise, to_pixels

MAX_UNREADABLE_SHARE = 0.01
_NAMED = 3
_HASH_BEGINS_WITH = b"edgekit samples 1\n"
_NO_LABEL = -1


@frozen(kw_only=True)
class LabelledSample:
    """One sample: ``pixels`` uint8 RGB ``(R, R, 3)``, resized and cropped; ``label`` None where it is not known."""

    name: str
    label: int | None
    pixels: Array = field(repr=False, eq=False)


@frozen(kw_only=True)
class Skipped:
    """A picture that could not be decoded, and why."""

    name: str
    why: str


@frozen(kw_only=True)
class Taken:
    """What was drawn, in order. All of it is in memory: 150 KB a sample at 224 pixels."""

    origin: str
    seed: int
    available: int
    samples: tuple[LabelledSample, ...] = field(repr=False)
    sha256: str
    skipped: tuple[Skipped, ...]
    preprocessing: Preprocessing = field(repr=False)

    @property
    def labels(self) -> Array | None:
        """Return int64 ``(N,)``, or None where labels are not known."""
        known = [sample.label for sample in self.samples if sample.label is not None]
        return np.array(known, np.int64) if len(known) == len(self.samples) else None

    def tensor(self, index: int) -> Array:
        """Return the normalised float32 input ``(1, 3, R, R)`` of one sample."""
        return normalise(self.samples[index].pixels, self.preprocessing)

    def record(self) -> dict[str, Any]:
        """Return what a manifest says of it: plain JSON values, and nothing of the machine it was drawn on."""
        return {
            "origin": self.origin,
            "seed": self.seed,
            "samples": len(self.samples),
            "available": self.available,
            "labelled": self.labels is not None,
            "sha256": self.sha256,
            "skipped": [skipped.name for skipped in self.skipped],
        }


@frozen(kw_only=True)
class SampleStream:
    """Samples of a set of pictures in the order of ``seed``, made for a model by ``preprocessing``.

    ``whole``: of a part of a set, how many the whole has: the share that cannot be read is the whole's.
    """

    pictures: Pictures
    preprocessing: Preprocessing
    seed: int = 0
    whole: int | None = None

    def order(self) -> list[int]:
        """Return the pictures' numbers in the order in which they are drawn; a smaller ``take`` is always the beginning of a larger one."""
        keys = [
            hashlib.sha256(f"{self.seed}\0".encode() + self.pictures.name(index).encode("utf-8", "surrogateescape")).digest()
            for index in range(len(self.pictures))
        ]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def take(self, count: int) -> Taken:
        """Decode the first ``count`` pictures that can be decoded.

        :raises UsageError: ``count`` is not positive.
        :raises BadInputError: there are not that many, or of all pictures more than one in a hundred cannot be decoded.
        """
        if count < 1:
            raise UsageError(f"{count} samples cannot be taken", hint="ask for one at least")
        available = len(self.pictures)
        if count > available:
            raise _too_few(count, f"{self.pictures.origin} holds {available}")
        samples: list[LabelledSample] = []
        skipped: list[Skipped] = []
        total = hashlib.sha256(_HASH_BEGINS_WITH)
        for index in self.order():
            name, label = self.pictures.name(index), self.pictures.label(index)
            try:
                content = self.pictures.content(index)
                pixels = to_pixels(self.pictures.image(content), self.preprocessing)
            except BadInputError as error:
                skipped.append(Skipped(name=name, why=error.why or error.summary))
                _check_share(skipped, self.pictures, self.whole or available)
                continue
            samples.append(LabelledSample(name=name, label=label, pixels=pixels))
            total.update(hashlib.sha256(content).digest() + (_NO_LABEL if label is None else label).to_bytes(8, "little", signed=True))
            if len(samples) == count:
                break
        if len(samples) < count:
            raise _too_few(count, f"{self.pictures.origin} holds {available}, of which {len(skipped)} cannot be read: {_named(skipped)}")
        return Taken(
            origin=self.pictures.origin,
            seed=self.seed,
            available=available,
            samples=tuple(samples),
            sha256=total.hexdigest(),
            skipped=tuple(skipped),
            preprocessing=self.preprocessing,
        )


def _check_share(skipped: list[Skipped], pictures: Pictures, count: int) -> None:
    """Refuse a set as soon as those found unreadable so far are too many, even if all that follow can be read."""
    if len(skipped) > MAX_UNREADABLE_SHARE * count:
        raise BadInputError(
            f"{len(skipped)} of the {count} pictures in {pictures.origin} cannot be read, if not more",
            what=_named(skipped),
            why=f"more than {MAX_UNREADABLE_SHARE:.0%} are left out: what remains might not stand for the whole",
            hint="replace or remove them",
        )


def _too_few(count: int, what: str) -> BadInputError:
    return BadInputError(f"there are fewer than the {count} pictures asked for", what=what, hint="ask for fewer, or give more")


def _named(skipped: list[Skipped]) -> str:
    return ", ".join(f"{one.name} ({one.why})" for one in skipped[-_NAMED:])
