"""Networks that select regions by a percentile: IMC-Net with its regions as outputs, and one that is written quite differently."""

import torch
from attrs import evolve
from torch import nn

from edgekit.models.imcnet import CONFIGS, IMCNet
from edgekit.models.untrained import fill_untrained
from edgekit.ops.percentile_selection import PercentileSelection
from edgekit.ops.selective_passes import HierarchicalPasses


class WithRegions(nn.Module):
    """IMC-Net that also says which regions took part in each pass, as zeros and ones."""

    def __init__(self, resolution: int, control: str) -> None:
        super().__init__()
        config = evolve(CONFIGS["cifar10"], dim=48, heads=2, mlp_dim=96, control=control)
        self.net = IMCNet(config, resolution=resolution, num_classes=10)

    def forward(self, image):
        trace = self.net.trace(image)
        return {"logits": trace.logits} | {f"pass_{number}": mask.float() for number, mask in enumerate(trace.regions, start=1)}


class Soft(nn.Module):
    """A percentile of its own, masked attention, and products with masks."""

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 32, 8, 8)
        self.position = nn.Parameter(torch.zeros(1, (resolution // 8) ** 2, 32))
        self.score = nn.Linear(32, 1)
        self.q, self.k, self.v = (nn.Linear(32, 32) for _ in range(3))
        self.head = nn.Linear(32, 10)

    def forward(self, image):
        x = self.embed(image).flatten(2).transpose(1, 2) + self.position
        scores = torch.sigmoid(self.score(x)).squeeze(-1)
        keep = scores > torch.quantile(scores, 0.6, dim=1, keepdim=True)
        products = (self.q(x) @ self.k(x).transpose(1, 2) / 32**0.5).masked_fill(~keep[:, None, :], -1e4)
        x = x + (products.softmax(-1) @ self.v(x)) * keep[..., None]
        return {"logits": self.head(x.mean(1)), "kept": keep.float()}


def _filled(model: nn.Module) -> nn.Module:
    fill_untrained(model)
    return model.eval()


def hierarchical(resolution=32):
    return _filled(WithRegions(resolution, "hierarchical"))


def budgeted(resolution=32):
    return _filled(WithRegions(resolution, "budget"))


def soft(resolution=32):
    return _filled(Soft(resolution))


class ByPixels(nn.Module):
    """Three passes over pixels, by beta 0, 1/2 and 1, whose log-odds are the red channel: scores as a test wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = HierarchicalPasses(_Nothing(), _Given(), map(PercentileSelection, (0.0, 0.5, 1.0)), alpha=0.0)

    def forward(self, image):
        tokens = image[:, :1].flatten(2).transpose(1, 2)
        passed = self.middle(torch.cat([torch.zeros_like(tokens[:, :1]), tokens], dim=1))
        return {f"pass_{number}": mask.float() for number, mask in enumerate(passed.regions, start=1)}


class _Given(nn.Module):
    full_precision = True

    def forward(self, tokens, index):
        del index
        return tokens[..., 0]


class _Nothing(nn.Module):
    def forward(self, x, mask=None):
        del mask
        return torch.zeros_like(x)


def by_pixels(resolution=4):
    del resolution
    return ByPixels().eval()
