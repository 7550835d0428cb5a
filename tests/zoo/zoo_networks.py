"""Whole networks in published styles, written for this zoo: token pruning, merging, clustering, and exits."""

import torch
from torch import nn
from torch.nn import functional as F
from zoo_entry import CLASSES, DIM, entry

HEADS = 2


class Attention(nn.Module):
    """Self-attention that also says how much the class token looks at each other token, or takes sizes of merged tokens."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, x, size=None):
        batch, count, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, count, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        logits = q @ k.transpose(-2, -1) * (DIM // HEADS) ** -0.5
        if size is not None:
            logits = logits + size.log()[:, None, None, :, 0]
        a = logits.softmax(-1)
        return self.proj((a @ v).transpose(1, 2).reshape(batch, count, DIM)), a[:, :, 0, 1:].mean(1), k.mean(1)


class Block(nn.Module):
    """A pre-norm block."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2, self.attention = nn.LayerNorm(DIM), nn.LayerNorm(DIM), Attention()
        self.mlp = nn.Sequential(nn.Linear(DIM, 2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM))

    def forward(self, x, size=None):
        mixed, looked, keys = self.attention(self.norm1(x), size)
        x = x + mixed
        return x + self.mlp(self.norm2(x)), looked, keys


class Vit(nn.Module):
    """A vision transformer of two blocks with a class token."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, DIM, 8, 8)
        self.cls, self.position = nn.Parameter(torch.zeros(1, 1, DIM)), nn.Parameter(torch.zeros(1, 17, DIM))
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(DIM), nn.Linear(DIM, CLASSES)

    def tokens(self, image):
        x = self.embed(image).flatten(2).transpose(1, 2)
        return torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.position


@entry
class AttentivePruning(Vit):
    """As EViT: the tokens that the class token looks at most are kept, the others fused by how much."""

    def forward(self, image):
        x = self.tokens(image)
        for block in self.blocks:
            x, looked, _ = block(x)
            cls, rest = x[:, :1], x[:, 1:]
            kept = rest.shape[1] // 2
            _, index = torch.topk(looked, kept, dim=1, largest=True, sorted=True)
            everyone = torch.arange(rest.shape[1]).unsqueeze(0)
            others = torch.sort(everyone.scatter(1, index, -1), dim=1).values[:, kept:]
            taken = torch.gather(rest, 1, index.unsqueeze(-1).expand(-1, -1, DIM))
            left = torch.gather(rest, 1, others.unsqueeze(-1).expand(-1, -1, DIM))
            weight = torch.gather(looked, 1, others).unsqueeze(-1)
            x = torch.cat([cls, taken, (left * weight).sum(1, keepdim=True)], 1)
            looked = None
        return self.head(self.norm(x)[:, 0])


@entry
class BipartiteMerging(Vit):
    """As ToMe: every other token, the pairs that are most alike merged by a weighted mean, sizes carried along."""

    def forward(self, image):
        x = self.tokens(image)
        size = torch.ones_like(x[..., :1])
        for block in self.blocks:
            x, _, keys = block(x, size)
            x, size = self.merged(x, size, keys, 4)
        return self.head(self.norm(x)[:, 0])

    def merged(self, x, size, keys, r):
        with torch.no_grad():
            metric = keys / keys.norm(dim=-1, keepdim=True)
            scores = metric[:, ::2] @ metric[:, 1::2].transpose(-1, -2)
            scores[:, 0, :] = -torch.inf
            best, partner = scores.max(dim=-1)
            order = best.argsort(dim=-1, descending=True)[..., None]
            merged, kept = order[:, :r], order[:, r:].sort(dim=1)[0]
            into = partner[..., None].gather(dim=-2, index=merged)

        def merge(values):
            even, odd = values[:, ::2], values[:, 1::2]
            batch, _, channels = even.shape
            unmerged = even.gather(dim=-2, index=kept.expand(batch, -1, channels))
            moved = even.gather(dim=-2, index=merged.expand(batch, r, channels))
            odd = odd.scatter_reduce(-2, into.expand(batch, r, channels), moved, reduce="sum")
            return torch.cat([unmerged, odd], 1)

        total = merge(size)
        return merge(x * size) / total, total


@entry
class ClusteredTokens(Vit):
    """As density-peak clustering of tokens: centres by local density and distance, every token averaged into its nearest."""

    def forward(self, image):
        x = self.tokens(image)
        x, _, _ = self.blocks[0](x)
        cls, rest = x[:, :1], x[:, 1:]
        distance = torch.cdist(rest, rest) / DIM**0.5
        near = distance.topk(3, dim=-1, largest=False).values
        density = (-(near**2).mean(-1)).exp() + torch.arange(16) * 1e-3
        higher = density[:, None, :] > density[:, :, None]
        farthest = distance.flatten(1).max(dim=1).values[:, None, None]
        parent = torch.where(higher, distance, farthest).min(dim=-1).values
        centres = (parent * density).topk(5, dim=-1).indices
        nearest = distance.gather(1, centres.unsqueeze(-1).expand(-1, -1, 16)).argmin(dim=1)
        sums = torch.zeros(1, 5, DIM).scatter_add(1, nearest.unsqueeze(-1).expand(-1, -1, DIM), rest)
        counts = torch.zeros(1, 5).scatter_add(1, nearest, torch.ones(1, 16)).unsqueeze(-1)
        x = torch.cat([cls, sums / (counts + 1e-6)], 1)
        x, _, _ = self.blocks[1](x)
        return self.head(self.norm(x)[:, 0])


@entry
class SoftPackage(Vit):
    """As SPViT: scores decide softly, kept tokens by a mask, the rest packed into one."""

    def __init__(self):
        super().__init__()
        self.keep = nn.Linear(DIM, 2)

    def forward(self, image):
        x = self.tokens(image)
        x, _, _ = self.blocks[0](x)
        cls, rest = x[:, :1], x[:, 1:]
        p = self.keep(rest).log_softmax(-1)[..., 0]
        mask = p > p.quantile(0.5, dim=1, keepdim=True)
        packed = (rest * (~mask)[..., None] * p.exp()[..., None]).sum(1, keepdim=True)
        x = torch.cat([cls, rest[:, mask[0]], packed], 1)
        x, _, _ = self.blocks[1](x)
        return self.head(self.norm(x)[:, 0])


class Branchy(nn.Module):
    """As BranchyNet: a convolutional trunk with a small classifier after each stage."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([self.stage(3, 8), self.stage(8, DIM), self.stage(DIM, 32)])
        self.exits = nn.ModuleList(nn.Linear(width, CLASSES) for width in (8, DIM, 32))
        self.threshold = 0.5

    @staticmethod
    def stage(taken, given):
        return nn.Sequential(nn.Conv2d(taken, given, 3, 2, 1), nn.BatchNorm2d(given), nn.ReLU(), nn.Conv2d(given, given, 3, 1, 1), nn.ReLU())

    def exit(self, number, x):
        return self.exits[number](F.adaptive_avg_pool2d(x, 1).flatten(1))


@entry
class BranchyInPython(Branchy):
    """Its exits as Python branches."""

    def forward(self, image):
        x = self.stages[0](image)
        logits = self.exit(0, x)
        if logits.softmax(-1).max().item() > self.threshold:
            return logits
        x = self.stages[1](x)
        logits = self.exit(1, x)
        if logits.softmax(-1).max() > self.threshold:
            return logits
        return self.exit(2, self.stages[2](x))


@entry
class BranchyByFloats(Branchy):
    """One exit by a number that Python computes with: which way it goes is not known before it runs."""

    def forward(self, image):
        x = self.stages[0](image)
        logits = self.exit(0, x)
        if float(logits.softmax(-1).max()) * 2 > self.threshold:
            return logits
        return self.exit(2, self.stages[2](self.stages[1](x)))


@entry
class BranchyInCond(Branchy):
    """Its exits as torch.cond."""

    def forward(self, image):
        x = self.stages[0](image)
        logits = self.exit(0, x)
        return torch.cond(logits.softmax(-1).max() > self.threshold, self.done, self.second, (x, logits))

    def done(self, x, logits):
        return logits.clone()

    def second(self, x, logits):
        x = self.stages[1](x)
        logits = self.exit(1, x)
        return torch.cond(logits.softmax(-1).max() > self.threshold, self.done, self.third, (x, logits))

    def third(self, x, logits):
        return self.exit(2, self.stages[2](x))
