"""What is made small while a network learns: the loss of a batch, by architecture.

EMOv2     cross-entropy
CHASE     the sum of the exits' cross-entropies, as published
IMC-Net   cross-entropy, and a little of the regularisers of the selection scores
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.models.chase import CHASE
from edgekit.models.imcnet import IMCNet
from edgekit.models.imcnet_losses import balance_loss, entropy_loss, stabiliser_loss
from edgekit.ops.percentile_selection import kept_count

Objective = Callable[[nn.Module, Tensor, Tensor, float], Tensor]
_STABILISER, _BALANCE, _ENTROPY = 1e-3, 1e-2, 1e-2


def objective_for(model: nn.Module) -> Objective:
    """Return ``(model, images, labels, smoothing) -> loss`` for a network."""
    if isinstance(model, CHASE):
        return _all_exits
    return _selective if isinstance(model, IMCNet) else _plain


def _plain(model: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(model(images).float(), labels, label_smoothing=smoothing)


def _all_exits(model: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return torch.stack([F.cross_entropy(logits.float(), labels, label_smoothing=smoothing) for logits in model(images)]).sum()


def _selective(model: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    assert isinstance(model, IMCNet)  # noqa: S101  for the type checker
    logits, asked = batched_imcnet(model, images)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
    for log_odds, beta in zip(asked, model.config.pass_betas, strict=True):
        every = torch.ones_like(log_odds, dtype=torch.bool)
        loss = loss + _STABILISER * stabiliser_loss(log_odds, every) + _ENTROPY * entropy_loss(log_odds, every)
        if beta:
            loss = loss + _BALANCE * balance_loss(log_odds, every, beta=beta)
    return loss


def batched_imcnet(model: IMCNet, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Compute IMC-Net for a batch at once: the natural form goes image by image, and every image keeps equally many regions.

    :returns: logits ``(B, classes)``, and each pass's log-odds of the regions that were up for selection, ``(B, n)``.
    """
    patches = model.patch_embed(images).flatten(2).transpose(1, 2)
    tokens = torch.cat([model.cls_token.expand(len(images), -1, -1), patches], dim=1) + model.pos_embed
    active = model.head_block(tokens)
    way, asked = [], []
    for index, beta in enumerate(model.config.pass_betas):
        log_odds = model.middle.selectors(active, index).float()
        asked.append(log_odds[:, 1:])
        count = kept_count(active.shape[1] - 1, beta)
        if count < active.shape[1] - 1:
            chosen = log_odds[:, 1:].topk(count, dim=1).indices.sort(dim=1).values + 1
            chosen = F.pad(chosen, (1, 0))
            way.append((active, chosen))
            active, log_odds = _taken(active, chosen), log_odds.gather(1, chosen)
        active = (model.middle.alpha * log_odds.sigmoid())[..., None] * model.middle.core(active) + active
    for before, chosen in reversed(way):
        active = before.scatter(1, chosen[..., None].expand(-1, -1, before.shape[-1]), active.to(before.dtype))
    return model.head(model.norm(model.tail_block(active))[:, 0]), asked


def _taken(tokens: Tensor, places: Tensor) -> Tensor:
    return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[-1]))
