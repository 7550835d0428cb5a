"""Modules that sort, rank and pick the k best."""

import torch
from torch.nn import functional as F
from zoo_entry import DIM, Maps, Tokens, entry


@entry
class SortedValues(Tokens):
    """Every channel's values in order, as a set network pools them."""

    def forward(self, image):
        t = self.tokens(image)
        ordered = t.sort(dim=1, descending=True).values
        return self.classified(ordered * self.position)


@entry
class ArgsortGather(Tokens):
    """All tokens in the order of their scores, by gather."""

    def forward(self, image):
        t = self.tokens(image)
        order = self.scores(t).argsort(dim=1)
        ordered = t.gather(1, order.unsqueeze(-1).expand(-1, -1, DIM))
        return self.classified(ordered + 0.5 * self.position)


@entry
class StableDescending(Tokens):
    """The same from the highest on, equal scores in the order of their places."""

    def forward(self, image):
        t = self.tokens(image)
        scores, order = torch.sort(self.scores(t).relu(), dim=1, descending=True, stable=True)
        return self.classified(torch.take_along_dim(t, order[..., None], 1) * scores.unsqueeze(-1) + self.position)


@entry
class DoubleArgsort(Tokens):
    """Each token's rank among all, as a number it is weighed with."""

    def forward(self, image):
        t = self.tokens(image)
        rank = self.scores(t).argsort(dim=1).argsort(dim=1)
        return self.classified(t * (rank.float() / rank.shape[1]).unsqueeze(-1))


@entry
class KthValueGate(Tokens):
    """Tokens whose score reaches the fifth of the scores."""

    def forward(self, image):
        t = self.tokens(image)
        s = self.scores(t)
        return self.classified(t * (s >= s.kthvalue(5, dim=1, keepdim=True).values).float().unsqueeze(-1))


@entry
class MedianFilter(Maps):
    """The median of each 3 x 3 neighbourhood."""

    def forward(self, image):
        x = self.maps(image)
        batch, channels, rows, columns = x.shape
        patches = F.unfold(x, 3, padding=1).reshape(batch, channels, 9, rows, columns)
        return self.classified(patches.median(dim=2).values)


@entry
class QuantileNorm(Maps):
    """Each channel by its quartiles."""

    def forward(self, image):
        x = self.maps(image)[:, :, ::2, ::2].flatten(2)
        low, high = torch.quantile(x, torch.tensor([0.25, 0.75]), dim=2, keepdim=True)
        return self.head(((x - low) / (high - low + 1e-3)).relu().mean(2))


@entry
class KMaxPooling(Maps):
    """The mean of each channel's eight largest values; their places are not used."""

    def forward(self, image):
        best, _ = self.maps(image).flatten(2).topk(8, dim=2)
        return self.head(best.mean(2))


@entry
class TopKGather(Tokens):
    """The six best tokens, the best first."""

    def forward(self, image):
        t = self.tokens(image)
        best = self.scores(t).topk(6, dim=1).indices
        return self.classified(t.gather(1, best.unsqueeze(-1).expand(-1, -1, DIM)) + self.position[:, :6])


@entry
class HardestToken(Tokens):
    """The one token with the highest score, by argmax."""

    def forward(self, image):
        t = self.tokens(image)
        index = self.scores(t).argmax(dim=1)
        return self.classified(t[torch.arange(1), index].unsqueeze(1))


@entry
class NucleusWeights(Tokens):
    """Sorted probabilities up to a mass of 0.9, by a running sum."""

    def forward(self, image):
        t = self.tokens(image)
        p, order = self.scores(t).softmax(1).sort(dim=1, descending=True)
        kept = torch.where(p.cumsum(1) - p < 0.9, p, torch.zeros_like(p))
        return self.classified(t.gather(1, order.unsqueeze(-1).expand_as(t)) * kept.unsqueeze(-1))


@entry
class TopKMask(Tokens):
    """A mask of the best written into zeros by scatter, as sparse attention has it."""

    def forward(self, image):
        t = self.tokens(image)
        q = t @ t.transpose(1, 2) / DIM
        index = q.topk(4, dim=-1).indices
        mask = torch.zeros_like(q).scatter_(-1, index, 1.0)
        return self.classified(q.masked_fill(mask == 0, float("-inf")).softmax(-1) @ t)


@entry
class SearchSorted(Tokens):
    """Values put into bins by their borders."""

    def __init__(self):
        super().__init__()
        self.register_buffer("borders", torch.linspace(-1, 1, 7))

    def forward(self, image):
        t = self.tokens(image)
        return self.classified(t + torch.bucketize(t, self.borders).float())
