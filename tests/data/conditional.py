"""Networks of a user's own, written with torch.cond."""

import torch
from torch import nn

from edgekit.models.untrained import fill_untrained


def block(width, out, stride=2):
    return nn.Sequential(nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True))


class Exiting(nn.Module):
    """Leaves by confidence, then by entropy; the last exit also reads the first one's logits and features."""

    def __init__(self, sure=0.5, unsure=1.0):
        super().__init__()
        self.sure, self.unsure = sure, unsure
        self.stem, self.middle, self.end = block(3, 16), block(16, 24), nn.Sequential(block(24, 64), block(64, 64, 1))
        self.first, self.second, self.third = nn.Linear(16, 10), nn.Linear(24, 10), nn.Linear(64 + 16, 10)

    def forward(self, image):
        x = self.stem(image)
        pooled = x.mean((2, 3))
        first = self.first(pooled)

        def go_on(x, pooled, first):
            y = self.middle(x)
            second = self.second(y.mean((2, 3))) + first
            entropy = -(second.softmax(-1) * second.log_softmax(-1)).sum()

            def finish(y, pooled, first, second):
                z = self.end(y).mean((2, 3))
                return self.third(torch.cat([z, pooled], 1)) + 0.5 * first, torch.full((1,), 3)

            def stop(y, pooled, first, second):
                return second.clone(), torch.full((1,), 2)

            return torch.cond(entropy < self.unsure, stop, finish, (y, pooled, first, second))

        def leave(x, pooled, first):
            return first.clone(), torch.full((1,), 1)

        logits, number = torch.cond(first.softmax(-1).max() > self.sure, leave, go_on, (x, pooled, first))
        return {"logits": logits, "exit": number}


class Experts(nn.Module):
    """Bright and dark pictures are seen by different layers."""

    def __init__(self):
        super().__init__()
        self.stem, self.bright, self.dark, self.head = block(3, 8), block(8, 8), block(8, 8), nn.Linear(8, 10)

    def forward(self, image):
        x = torch.cond(image.mean() > 0, self.bright, self.dark, (self.stem(image),))
        return self.head(x.mean((2, 3)))


class Counting(Exiting):
    """Counts its pictures, which no method can."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, image):
        self.seen.add_(1)
        return super().forward(image)


def filled(network):
    fill_untrained(network)
    return network.eval()


def exiting():
    return filled(Exiting(sure=SURE, unsure=UNSURE))


def experts():
    return filled(Experts())


def counting():
    return filled(Counting())


SURE, UNSURE = 0.333, 0.77
"""Amid the values of the verification samples, so that some leave at each exit; a test holds it."""
