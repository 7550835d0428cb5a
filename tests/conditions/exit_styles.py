"""Small networks with exits, written in the ways people write them; thresholds are attributes, so that a test can set them."""

import functools
import math

import torch
from torch import nn

from edgekit.capture import capture
from edgekit.models.untrained import fill_untrained

CLASSES = 5


def block(width, out):
    return nn.Sequential(nn.Conv2d(width, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True))


class Parts(nn.Module):
    """Three exits' parts, and a gate; what is done with them is the subclass's."""

    def __init__(self):
        super().__init__()
        self.stem, self.middle, self.end = block(3, 8), block(8, 8), nn.Sequential(block(8, 24), block(24, 24))
        self.heads = nn.ModuleList([nn.Linear(width, CLASSES) for width in (8, 8, 24)])
        self.gate = nn.Linear(8, 1)
        self.thresholds = [0.5, 0.5]

    def head(self, number, x):
        return self.heads[number](x.mean((2, 3)))


def sure(logits):
    return logits.softmax(-1).max()


def entropy(logits):
    return -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)


class Nested(Parts):
    """The usual way: the rest of the network is the branch."""

    def forward(self, image):
        x = self.stem(image)
        first = self.head(0, x)

        def go_on(x, first):
            y = self.middle(x)
            second = self.head(1, y)
            return torch.cond(sure(second) >= self.thresholds[1], lambda _, s: s.clone(), lambda y, _: self.head(2, self.end(y)), (y, second))

        return torch.cond(sure(first) > self.thresholds[0], lambda x, first: first.clone(), go_on, (x, first))


class Swapped(Parts):
    """Going on is the true branch, operands come in another order, and the answer is a dict with the exit's number."""

    def forward(self, image):
        x = self.stem(image)
        first = self.head(0, x)

        def stop(first, x):
            return {"exit": torch.full((1,), 1), "logits": first.reshape(1, CLASSES)}

        def go_on(first, x):
            return {"exit": torch.full((1,), 2), "logits": self.head(2, self.end(self.middle(x)))}

        return torch.cond(sure(first) < self.thresholds[0], go_on, stop, (first, x))


class Entropy(Parts):
    """Low entropy stops, a negated predicate, and the last exit adds the logits of those before it."""

    def forward(self, image):
        x = self.stem(image)
        first = self.head(0, x)

        def go_on(first, x):
            y = self.middle(x)
            second = self.head(1, y) + first

            def finish(first, x, y, second):
                return self.head(2, self.end(y)) + first + second + x.mean()

            def stop(first, x, y, second):
                return second.clone()

            return torch.cond(~(entropy(second) > self.thresholds[1]), stop, finish, (first, x, y, second))

        return torch.cond((entropy(first) < self.thresholds[0]).all(), lambda first, x: first.clone(), go_on, (first, x))


class Gated(Parts):
    """A learned gate, whose exit has a classifier that nobody else computes; and then two reasons to stop."""

    def forward(self, image):
        x = self.stem(image)

        def go_on(x):
            y = self.middle(x)
            second = self.head(1, y)
            stops = (sure(second) > self.thresholds[1]) | (second.argmax(-1) == 0).all()
            return torch.cond(stops, lambda y, s: s.clone(), lambda y, s: self.head(2, self.end(y)), (y, second))

        gate = self.gate(x.mean((2, 3))).sigmoid().reshape(())
        return torch.cond(gate > self.thresholds[0], lambda x: self.head(0, x), go_on, (x,))


class InARow(Parts):
    """Conditions one after the other; the second knows whether the first has stopped."""

    def forward(self, image):
        x = self.stem(image)
        first = self.head(0, x)
        done = sure(first) > self.thresholds[0]

        def wait(x, first):
            return x.new_zeros(1, 8, 8, 8), first.clone()

        def go_on(x, _):
            y = self.middle(x)
            return y, self.head(1, y)

        y, logits = torch.cond(done, wait, go_on, (x, first))
        done = torch.logical_or(done, sure(logits) > self.thresholds[1])
        logits = torch.cond(done, lambda y, logits: logits.clone(), lambda y, _: self.head(2, self.end(y)), (y, logits))
        return logits * 2


class Flagged(Parts):
    """As before, but the branches say themselves whether they have stopped, and what the exits share comes last."""

    def forward(self, image):
        x = self.stem(image)
        first = self.head(0, x)

        def wait(x, first):
            return x.new_zeros(1, 8, 8, 8), first.clone(), torch.ones((), dtype=torch.bool)

        def go_on(x, _):
            y = self.middle(x)
            second = self.head(1, y)
            return y, second, sure(second) > self.thresholds[1]

        y, logits, done = torch.cond(sure(first) > self.thresholds[0], wait, go_on, (x, first))
        return torch.cond(done, lambda y, logits: logits.clone(), lambda y, _: self.head(2, self.end(y)), (y, logits)).clamp(-50, 50)


STYLES = {kind.__name__: kind for kind in (Nested, Swapped, Entropy, Gated, InARow, Flagged)}
EXITS = {name: 2 if name == "Swapped" else 3 for name in STYLES}


def image(seed):
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * (1 + seed % 3)


IMAGES = [image(seed) for seed in range(12)]


def filled(network):
    fill_untrained(network)
    return network.eval()


@functools.cache
def captured(kind, thresholds=(0.5, 0.5)):
    network = filled(kind())
    network.thresholds = list(thresholds)
    return capture("net.py:build", network, (IMAGES[0],))


def median(values):
    return math.fsum(sorted(values)[len(values) // 2 - 1 : len(values) // 2 + 1]) / 2
