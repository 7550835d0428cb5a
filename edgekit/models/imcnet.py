"""IMC-Net: a vision transformer of three blocks whose middle one is applied again to the regions that need it.

    image -> patches + class token + positions -> head block -> P passes of one core block -> tail block -> norm -> class token -> head

Head and tail block take all tokens, pass p of the core block those that its selector keeps (``ops/selective_passes.py``).
This is the natural form: which tokens, and how many, depends on the image.

Source: IMC-Net, arXiv 2507.21761 (first version: MoR-ViT). The paper leaves open what ``IMCNetConfig`` marks "Choice".
"""

import itertools
import math
from typing import Literal, get_args

import torch
from attrs import field, frozen
from torch import Tensor, nn

from edgekit.errors import UnknownNameError, UsageError
from edgekit.ops.percentile_selection import PercentileSelection, check_beta
from edgekit.ops.region_scores import DepthRouter, RegionSelectors, SelectorKind
from edgekit.ops.selective_passes import BudgetedPasses, HierarchicalPasses, PassesOutput
from edgekit.ops.transformer_block import Gelu, TransformerBlock

PassControl = Literal["hierarchical", "budget"]


@frozen(kw_only=True)
class IMCNetConfig:
    """Sizes and choices of one IMC-Net.

    :param dim: channels of a token; a multiple of ``heads``.
    :param heads: attention heads.
    :param mlp_dim: hidden width of a block's MLP.
    :param patch: side of a region in pixels.
    :param passes: P_max, how often the core block is applied at most.
    :param control: ``hierarchical``: each pass narrows the active regions by their scores; ``budget``: a router on the
        embeddings assigns every region its number of passes, 1 to ``passes``.
    :param betas: hierarchical control: the share of all regions that is out in each pass; from 0 to 1, never falling. A budget ignores it.
    :param alpha: Choice. Factor of the gate ``h' = alpha * s * F(h) + h``.
    :param selector: Choice. What scores a token, see ``ops/region_scores.py``; a budget's router is built alike.
    :param selector_expansion: Choice. Width of ``phi`` in multiples of ``dim``.
    :param norm_eps: Choice. Of every LayerNorm.
    :param gelu: Choice. ``none`` by erf, ``tanh`` approximated; in blocks and selectors.
    :raises UsageError: the values contradict each other.
    :raises UnknownNameError: no such selector or pass control.
    """

    dim: int
    heads: int
    mlp_dim: int
    patch: int = 16
    passes: int = 4
    control: PassControl = "hierarchical"
    betas: tuple[float, ...] = field(default=(0.0, 0.25, 0.5, 0.75), converter=tuple)
    alpha: float = 0.1
    selector: SelectorKind = "mlp"
    selector_expansion: int = 2
    norm_eps: float = 1e-6
    gelu: Gelu = "none"

    def __attrs_post_init__(self) -> None:
        for kind, name, known in (
            ("selector", self.selector, SelectorKind),
            ("pass control", self.control, PassControl),
            ("GELU", self.gelu, Gelu),
        ):
            if name not in get_args(known):
                raise UnknownNameError(kind, str(name), get_args(known))
        sizes = ("dim", "heads", "mlp_dim", "patch", "passes", "selector_expansion")
        for size in sizes:
            if getattr(self, size) < 1:
                raise UsageError(f"{size} is {getattr(self, size)}; it has to be at least 1")
        if self.dim % self.heads:
            raise UsageError(f"{self.dim} channels cannot be split into {self.heads} heads of equal width")
        if not math.isfinite(self.alpha):
            raise UsageError(f"alpha is {self.alpha}; the gate needs a number")
        if self.control == "budget":
            self._check_budget()
        else:
            self._check_betas()

    @property
    def pass_betas(self) -> tuple[float, ...]:
        """The percentile of each pass among the regions that are active before it, rather than among all as ``betas``.

        With 196 regions, ``betas`` of 0, 1/4, 1/2, 3/4 leave 196, 147, 98, 49: of those before, 0, 1/4, 1/3, 1/2 go.
        """
        before = (0.0, *self.betas)
        # Out already are those below `last`: `beta` among all is `(beta - last) / (1 - last)` among the rest.
        return tuple((beta - last) / (1 - last) if last < 1 else 0.0 for last, beta in itertools.pairwise(before))

    def _check_betas(self) -> None:
        for beta in self.betas:
            check_beta(beta)
        if len(self.betas) != self.passes:
            raise UsageError(f"{len(self.betas)} betas for {self.passes} passes", hint="give one beta a pass; the first is 0 where all take part")
        if any(later < earlier for earlier, later in itertools.pairwise(self.betas)):
            raise UsageError(f"betas fall: {self.betas}", why="a region that is out stays out, so the share that is out cannot shrink")

    def _check_budget(self) -> None:
        if self.passes == 1:
            raise UsageError("a budget of 1 pass leaves nothing to assign", hint="passes=2 or more, or hierarchical control with betas=(0,)")
        if self.selector == "shared_phi":
            raise UsageError("shared_phi shares between the selectors of the passes, and a budget has one router", hint="selector='mlp'")


CONFIGS = {
    "b16": IMCNetConfig(dim=768, heads=12, mlp_dim=3072),
    "s16": IMCNetConfig(dim=384, heads=6, mlp_dim=1536),
    "ti16": IMCNetConfig(dim=192, heads=3, mlp_dim=768),
    "cifar10": IMCNetConfig(dim=192, heads=3, mlp_dim=768, patch=4),
    "nano": IMCNetConfig(dim=128, heads=4, mlp_dim=256, patch=4),
}
"""The first three have ViT's sizes; ``cifar10`` and ``nano`` are for 32 x 32 pixels (Choice)."""


@frozen(kw_only=True)
class IMCNetTrace:
    """What one forward pass did.

    ``logits`` ``(B, num_classes)``; ``regions``: for each pass which regions took part, ``(B, N)`` boolean; ``log_odds``: for each
    pass the log-odds behind the scores, ``(B, N)``, with gradient; they mean something where a region was up for selection: in
    the first pass everywhere, later in ``regions`` of the pass before.
    """

    logits: Tensor
    regions: tuple[Tensor, ...]
    log_odds: tuple[Tensor, ...]


class IMCNet(nn.Module):
    """The IMC-Net classifier: image ``(B, 3, R, R)`` to logits ``(B, num_classes)``.

    The images of a batch go through the blocks at either end together, and through the passes one by one, as each keeps regions of
    its own: an image's logits do not depend on the others.

    :raises UsageError: the resolution is no positive multiple of the patch.
    """

    def __init__(self, config: IMCNetConfig, *, resolution: int = 224, num_classes: int = 1000) -> None:
        super().__init__()
        if resolution < config.patch or resolution % config.patch:
            raise UsageError(f"IMC-Net cannot cut {resolution} pixels into patches of {config.patch}", hint=f"a multiple of {config.patch}")
        self.config = config
        self.patch_embed = nn.Conv2d(3, config.dim, config.patch, config.patch)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + (resolution // config.patch) ** 2, config.dim))
        for table in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(table, std=0.02)  # as ViT begins
        self.head_block = _block(config)
        self.router = _router(config) if config.control == "budget" else None
        self.middle = _middle(config)
        self.tail_block = _block(config)
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits, ``(B, num_classes)``, of a normalised image ``(B, 3, R, R)``."""
        return self.trace(image).logits

    def forward_with_regions(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits and, for each pass, which regions took part, ``(B, N)`` boolean."""
        trace = self.trace(image)
        return trace.logits, list(trace.regions)

    def trace(self, image: Tensor) -> IMCNetTrace:
        """Do the forward pass, and say what was selected and why."""
        patches = self.patch_embed(image).flatten(2).transpose(1, 2)
        embeddings = torch.cat([self.cls_token.expand(len(image), -1, -1), patches], dim=1) + self.pos_embed
        passed = self._passes(self.head_block(embeddings), embeddings)
        tokens = self.norm(self.tail_block(passed.tokens))
        return IMCNetTrace(logits=self.head(tokens[:, 0]), regions=passed.regions, log_odds=passed.log_odds)

    def _passes(self, tokens: Tensor, embeddings: Tensor) -> PassesOutput:
        return self.middle(tokens) if self.router is None else self.middle(tokens, self.router(embeddings))


def _block(config: IMCNetConfig) -> TransformerBlock:
    return TransformerBlock(config.dim, config.heads, config.mlp_dim, eps=config.norm_eps, gelu=config.gelu)


def _router(config: IMCNetConfig) -> DepthRouter:
    return DepthRouter(config.dim, passes=config.passes, kind=config.selector, hidden=config.selector_expansion * config.dim, gelu=config.gelu)


def _middle(config: IMCNetConfig) -> HierarchicalPasses | BudgetedPasses:
    if config.control == "budget":
        return BudgetedPasses(_block(config), passes=config.passes, alpha=config.alpha)
    hidden = config.selector_expansion * config.dim
    selectors = RegionSelectors(config.dim, passes=config.passes, kind=config.selector, hidden=hidden, gelu=config.gelu)
    return HierarchicalPasses(_block(config), selectors, map(PercentileSelection, config.pass_betas), alpha=config.alpha)
