"""Modules that take tokens out, put them back, and add them up at places that the picture decides."""

import torch
from torch import nn
from zoo_entry import DIM, Tokens, entry


def wide(index):
    return index.unsqueeze(-1).expand(-1, -1, DIM)


@entry
class SortedGather(Tokens):
    """The kept tokens in the order they had, as pruning by sorted indices does."""

    def forward(self, image):
        t = self.tokens(image)
        kept = self.scores(t).topk(8, dim=1).indices.sort(dim=1).values
        return self.classified(t.gather(1, wide(kept)) + self.position[:, :8])


@entry
class ComplementGather(Tokens):
    """Those that were not kept, averaged into one token more."""

    def forward(self, image):
        t = self.tokens(image)
        order = self.scores(t).argsort(dim=1, descending=True)
        kept, rest = order[:, :6], order[:, 6:]
        return self.classified(torch.cat([t.gather(1, wide(kept)), t.gather(1, wide(rest)).mean(1, keepdim=True)], 1))


@entry
class ComplementByScatter(Tokens):
    """The complement's indices as published code finds them: scatter zeros into a range, sort."""

    def forward(self, image):
        t = self.tokens(image)
        kept = self.scores(t).topk(6, dim=1).indices
        places = torch.arange(16).unsqueeze(0)
        marked = places.scatter(1, kept, 0)
        rest = torch.sort(marked, dim=1).values[:, 6:]
        return self.classified(t.gather(1, wide(rest)))


@entry
class ScatterSum(Tokens):
    """Tokens added up in the cluster whose centre is nearest."""

    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(4, DIM))

    def cluster(self, t):
        return (t @ self.centres.T).argmax(-1)

    def forward(self, image):
        t = self.tokens(image)
        into = torch.zeros(1, 4, DIM).scatter_add(1, wide(self.cluster(t)), t)
        return self.classified(into)


@entry
class ScatterMean(Tokens):
    """Their mean, with what was there counted in."""

    def forward(self, image):
        t = self.tokens(image)
        target = self.scores(t[:, 8:]).topk(8, dim=1).indices
        merged = t[:, :8].scatter_reduce(1, wide(target), t[:, 8:], reduce="mean")
        return self.classified(merged)


@entry
class ScatterMax(Tokens):
    """Their largest values, without what was there."""

    def forward(self, image):
        t = self.tokens(image)
        target = (t[:, 4:] @ t[:, :4].transpose(1, 2)).argmax(-1)
        merged = t[:, :4].scatter_reduce(1, wide(target), t[:, 4:], reduce="amax", include_self=False)
        return self.classified(merged)


@entry
class IndexPutAccumulate(Tokens):
    """A histogram of places: index_put with accumulate."""

    def forward(self, image):
        t = self.tokens(image)[0]
        bins = t.argmax(-1)
        counts = torch.zeros(DIM).index_put((bins,), t.amax(-1), accumulate=True)
        return self.head(counts[None])


@entry
class IndexAdd(Tokens):
    """Tokens added to the two best."""

    def forward(self, image):
        t = self.tokens(image)
        best = self.scores(t)[0].topk(2).indices
        return self.classified(t.index_add(1, best, self.position[:, :2]))


@entry
class BooleanMask(Tokens):
    """Rows above the median, by a mask."""

    def forward(self, image):
        t = self.tokens(image)[0]
        s = self.scores(t)
        return self.classified(t[s > s.median()][None])


@entry
class MaskedSelect(Tokens):
    """The same by masked_select, and put back by masked_scatter."""

    def forward(self, image):
        t = self.tokens(image)
        s = self.scores(t)
        keep = (s > torch.quantile(s, 0.5, dim=1, keepdim=True)).unsqueeze(-1)
        taken = torch.masked_select(t, keep).reshape(1, 8, DIM)
        return self.classified(t.masked_scatter(keep, taken + self.mlp(taken)))


@entry
class NonzeroPlaces(Tokens):
    """Places of a known number, as nonzero gives them."""

    def forward(self, image):
        t = self.tokens(image)[0]
        s = self.scores(t)
        places = torch.nonzero(s >= s.topk(5).values[-1])[:, 0]
        return self.classified((t[places] * self.position[0, :5])[None])


@entry
class OneHotRouting(Tokens):
    """A mixture of two experts, the one with the higher gate for each token."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(DIM, 2)
        self.experts = nn.ModuleList(nn.Linear(DIM, DIM) for _ in range(2))

    def forward(self, image):
        t = self.tokens(image)
        choice = nn.functional.one_hot(self.gate(t).argmax(-1), 2).to(t.dtype)
        outputs = torch.stack([expert(t) for expert in self.experts], -1)
        return self.classified((outputs * choice.unsqueeze(-2)).sum(-1))


@entry
class RestoreOrder(Tokens):
    """Kept tokens and mask tokens, unshuffled by an inverse permutation, as masked autoencoders do."""

    def __init__(self):
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, DIM))

    def forward(self, image):
        t = self.tokens(image)
        shuffle = torch.argsort(self.scores(t), dim=1)
        restore = torch.argsort(shuffle, dim=1)
        kept = torch.gather(t, 1, wide(shuffle[:, :10]))
        full = torch.cat([kept, self.mask_token.expand(1, 6, -1)], 1)
        return self.classified(torch.gather(full, 1, wide(restore)) + self.position)
