"""Modules whose inputs and outputs are otherwise than one picture in, one tensor out."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from zoo_entry import DIM, Maps, Tokens, entry


@entry
class BufferUpdates(Maps):
    """A running mean that the forward writes to a buffer and reads again."""

    def __init__(self):
        super().__init__()
        self.register_buffer("last", torch.zeros(1, DIM, 1, 1))

    def forward(self, image):
        x = self.maps(image)
        self.last.copy_(x.mean((2, 3), keepdim=True))
        return self.classified(x - self.last)


@entry
class WritesInPlace(Maps):
    """Parts of a map written over in place."""

    def forward(self, image):
        x = self.maps(image).clone()
        x[:, :4] = 0.5
        x[:, 4:8, ::2] += 1
        x[:, 8:].relu_().mul_(2)
        return self.classified(x)


@entry
class DictOutputs(Maps):
    """Named outputs, one of them in a dict of its own."""

    def forward(self, image):
        x = self.maps(image)
        return {"logits": self.classified(x), "features": {"map": x, "pooled": x.mean((2, 3))}}


@dataclass
class Prediction:
    """What a model of the Transformers library returns, in small."""

    logits: Tensor
    hidden: Tensor | None = None


@entry
class DataclassOutputs(Maps):
    """A dataclass."""

    def forward(self, image):
        x = self.maps(image)
        return Prediction(self.classified(x), x.mean((2, 3)))


class Pair(NamedTuple):
    """Two heads."""

    boxes: Tensor
    scores: Tensor


@entry
class TupleOutputs(Maps):
    """A named tuple, and None where there is nothing."""

    def forward(self, image):
        x = self.maps(image)
        return Pair(x.mean((2, 3)), self.classified(x))


@entry
class PyramidOutputs(Maps):
    """A list of maps, as a detector's neck gives."""

    def forward(self, image):
        x = self.maps(image)
        y = torch.nn.functional.avg_pool2d(x, 2)
        return [x, y, torch.nn.functional.avg_pool2d(y, 2)]


class _TwoPictures(Maps):
    """A siamese network: two pictures in, how near they are out."""

    def forward(self, first, second):
        a, b = self.classified(self.maps(first)), self.classified(self.maps(second))
        return torch.nn.functional.cosine_similarity(a, b), a - b


def two_pictures():
    return entry(_TwoPictures)(), (torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))


class _Keywords(Maps):
    """A keyword argument that is a tensor, one that is a number, one that is left out."""

    def forward(self, image, *, scale: float = 1.0, bias=None, mask=None):
        x = self.maps(image) * scale
        x = x if bias is None else x + bias
        return self.classified(x if mask is None else x * mask)


def keywords():
    return entry(_Keywords)(), {"image": torch.rand(1, 3, 32, 32), "scale": 0.5, "mask": torch.rand(1, 1, 16, 16)}


class _TokenNumbers(nn.Module):
    """Text: whole numbers in, with a length that is a Python number."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(50, DIM), nn.Embedding(12, DIM)
        self.head = nn.Linear(DIM, 10)

    def forward(self, ids, length: int = 12):
        x = self.words(ids) + self.places(torch.arange(length))
        return self.head(torch.tanh(x).mean(1))


def token_numbers():
    return entry(_TokenNumbers)(), (torch.randint(0, 50, (1, 12)), 12)


class _PictureAndText(Tokens):
    """A picture and whole numbers."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, DIM)

    def forward(self, image, ids):
        t, w = self.tokens(image), self.words(ids)
        return self.classified((t @ w.transpose(1, 2) / 4).softmax(-1) @ w + t)


def picture_and_text():
    return entry(_PictureAndText)(), {"image": torch.rand(1, 3, 32, 32), "ids": torch.randint(0, 50, (1, 6))}


@entry
class WholeNumberOutputs(Maps):
    """A map of classes and the best class, as whole numbers, and a truth value."""

    def forward(self, image):
        x = self.maps(image)
        logits = self.classified(x)
        return {"classes": x.argmax(1), "best": logits.argmax(-1), "sure": logits.softmax(-1).amax(-1) > 0.3}
