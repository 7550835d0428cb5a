"""Networks that index by boolean masks, each written as its author happened to: percentiles, order statistics, and counts nobody knows."""

import torch
from torch import nn
from torch.nn import functional as F

from edgekit.models.untrained import fill_untrained

DIM = 32


class Regions(nn.Module):
    """Patches of a picture with positions, and a classifier."""

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, DIM, 8, 8)
        self.position = nn.Parameter(torch.zeros(1, (resolution // 8) ** 2, DIM))
        self.score = nn.Linear(DIM, 1)
        self.mix = nn.TransformerEncoderLayer(DIM, 2, 2 * DIM, batch_first=True, dropout=0.0)
        self.head = nn.Linear(DIM, 10)

    def regions(self, image):
        return self.embed(image).flatten(2).transpose(1, 2) + self.position


class Pruned(Regions):
    """The upper half of the regions attends to itself and goes back to its places, the lower half is damped."""

    def forward(self, image):
        h = self.regions(image)
        s = torch.sigmoid(self.score(h)).squeeze(-1)
        keep = (s > torch.quantile(s, 0.5, dim=1, keepdim=True))[0]
        new = self.mix(h[:, keep])
        out = h.clone()
        out[:, keep] = new
        out[:, ~keep] *= 0.5
        return {"logits": self.head(out.mean(1)), "kept": h[0, keep], "all": out}


class Narrowed(Regions):
    """Fewer and fewer regions, by two percentiles in a row; positions of those that are left."""

    def forward(self, image):
        h = self.regions(image)[0]
        first = self.score(h)[:, 0]
        up = first >= torch.quantile(first, 0.25, interpolation="higher")
        h = h[up]
        q = self.mix(h[None])[0]
        second = self.score(q)[:, 0]
        left = torch.nonzero(second > second.median()).squeeze(1)
        h[left] += q[left]
        q = q.index_select(0, left)
        attended = F.scaled_dot_product_attention(q[None, None], h[None, None], h[None, None])
        return {"logits": self.head(attended.mean(2)[0]), "left": left.float()}


class Filled(Regions):
    """A mask of both axes, a masked selection, and a token that stands for those that go."""

    def __init__(self, resolution: int) -> None:
        super().__init__(resolution)
        self.gone = nn.Parameter(torch.zeros(DIM))

    def forward(self, image):
        h = self.regions(image)
        s = self.score(h)[..., 0]
        keep = s >= s.topk(5, dim=1).values[:, -1:]
        strong = torch.masked_select(h, keep[..., None]).reshape(1, 5, DIM)
        h = h.masked_scatter(keep[..., None], self.mix(strong))
        h[~keep] = self.gone
        return self.head(h.mean(1) + strong.amax(1))


class Free(Regions):
    """A threshold of no percentile: any number may be above it."""

    def forward(self, image):
        h = self.regions(image)[0]
        s = torch.sigmoid(self.score(h))[:, 0]
        return self.head(chosen(h, s).mean(0, keepdim=True))


def chosen(h, s):
    return h[s > 0.5]


class Distinct(Regions):
    """As many values as there are different ones."""

    def forward(self, image):
        h = self.regions(image)
        return self.head(h.mean(1) + torch.unique(self.score(h).round()).sum())


class Tied(Regions):
    """Regions without positions: those of a black picture are all alike."""

    def forward(self, image):
        h = self.embed(image).flatten(2).transpose(1, 2)[0]
        s = self.score(h)[:, 0]
        return self.head(h[s > s.quantile(0.5)].mean(0, keepdim=True))


def _filled(model: nn.Module) -> nn.Module:
    fill_untrained(model)
    return model.eval()


def pruned(resolution=32):
    return _filled(Pruned(resolution))


def narrowed(resolution=32):
    return _filled(Narrowed(resolution))


def filled(resolution=32):
    return _filled(Filled(resolution))


def free(resolution=32):
    return _filled(Free(resolution))


def distinct(resolution=32):
    return _filled(Distinct(resolution))


def tied(resolution=32):
    return _filled(Tied(resolution))
