"""CHASE: a multi-scale dense network with channel attention that can answer at several exits on its way.

    image -> stem -> [ block 1: L layers over scales 1..S ] -> transition -> [ block 2: scales 2..S ] -> ... -> [ block S: scale S ] -> GAL
                           | exit 1, after every k-th layer        | exit 2 ...                                                        | exit K

A stage is what stands between two exits, and its classifier, which reads the coarsest scale. Stages hand on the dense
concatenations of the scales that are still live, maps first and then their pooled channels, finest scale first.

Why the pooled channels cross a cut, though the next stage could compute them from the maps: see ``Stage``.

Source: CHASE (Addad, Lechervy, Jurie), which leaves sizes open; they are the fields of the configuration. Settled by the
parameters and MACs to be met:
- the bottleneck of ``f`` and of ``h`` is ``min(C_in, factor * out/2)``: the half each gives, not the whole; and ``f``
  takes the factor of the finer scale, which it reads and at whose resolution it runs (as MSDNet's ``bnWidth1`` does);
- ``f`` and ``h`` have a CAM each, with biases;
- the stem has the width of scale 1 from its first convolution on;
- an exit on a block boundary reads after the transition, as does what it hands on; GAL stands in the last exit's way only.
The CIFAR figures are those with 100 classes (10 classes: 45.90M MACs at exit 5, where the table has 46.0M).
Too small for the numbers to tell: batch norm after each of the stem's convolutions and no bias in them nor in the
classifiers' (as in ``f`` and ``h``), biases in GAL. Epsilons are PyTorch's, 1e-5.
"""

from collections.abc import Iterator, Sequence

import torch
from attrs import evolve, frozen
from torch import Tensor, nn

from edgekit.errors import UsageError
from edgekit.models.chase_layers import Branch, Classifier, CoarserScale, Dense, DenseLayer, FinestScale, GlobalAttention, Stem, Transition
from edgekit.ops.early_exit import Exited, Features, all_logits
from edgekit.ops.exit_batches import leave_in_turn
from edgekit.ops.exit_policy import ExitPolicy, LeaveAt


@frozen(kw_only=True)
class CHASEConfig:
    """Sizes of one CHASE. There are as many blocks as scales; block b works on scales b to S.

    :param layers: layers in every block.
    :param exit_every: layers from one exit to the next, counted through all blocks; the last layer has to have one.
    :param growth: channels that a layer adds to a scale whose growth factor is 1.
    :param growth_factors: of each scale, finest first; the number of scales is their number.
    :param bottleneck_factors: of each scale; width of a branch's 1x1, relative to what the branch gives.
    :param base_channels: channels that the stem gives a scale whose growth factor is 1.
    :param stem_stride: of the stem's first convolution; its second halves the resolution again.
    :param transition_divisor: a transition keeps ``C // transition_divisor`` of C channels.
    :param classifier_channels: width of every exit's convolutions; ``None``: that of what the exit reads.
    :param attention_heads: of GAL; ``attention_heads * head_dim`` need not be the width it reads.
    :param head_dim: channels of one head.
    :param mlp_ratio: hidden width of GAL's MLP, relative to the width it reads.
    :param num_classes: width of the logits.
    :raises UsageError: the exits do not end with the last layer, or there are not as many factors of one kind as of the other.
    """

    layers: int
    exit_every: int
    growth: int
    growth_factors: tuple[int, ...]
    bottleneck_factors: tuple[int, ...]
    base_channels: int
    stem_stride: int
    transition_divisor: int = 2
    classifier_channels: int | None
    attention_heads: int
    head_dim: int = 32
    mlp_ratio: float = 2
    num_classes: int

    def __attrs_post_init__(self) -> None:
        total = self.layers * self.scales
        if self.exit_every < 1 or total % self.exit_every:
            raise UsageError(f"an exit after every {self.exit_every} layers does not end with layer {total}, the last", hint="take a divisor of it")
        if len(self.bottleneck_factors) != self.scales:
            raise UsageError(f"{len(self.bottleneck_factors)} bottleneck factors for {self.scales} scales", hint="give one a scale")

    @property
    def scales(self) -> int:
        """Number of scales, S, and of blocks."""
        return len(self.growth_factors)

    @property
    def exits(self) -> int:
        """Number of exits, K."""
        return self.layers * self.scales // self.exit_every

    @property
    def growths(self) -> tuple[int, ...]:
        """Channels that a layer adds to each scale."""
        return tuple(self.growth * factor for factor in self.growth_factors)

    @property
    def stem_widths(self) -> tuple[int, ...]:
        """Channels of each scale behind the stem."""
        return tuple(self.base_channels * factor for factor in self.growth_factors)


_IMAGENET = CHASEConfig(
    layers=7,
    exit_every=4,
    growth=16,
    growth_factors=(1, 2, 4, 4),
    bottleneck_factors=(1, 2, 4, 4),
    base_channels=24,
    stem_stride=2,
    classifier_channels=None,
    attention_heads=26,
    num_classes=1000,
)
_CIFAR10 = CHASEConfig(
    layers=4,
    exit_every=2,
    growth=16,
    growth_factors=(1, 2, 4),
    bottleneck_factors=(1, 2, 4),
    base_channels=16,
    stem_stride=1,
    classifier_channels=128,
    attention_heads=14,
    num_classes=10,
)

CONFIGS = {
    "imagenet": _IMAGENET,
    "cifar10": _CIFAR10,
    "cifar100": evolve(_CIFAR10, num_classes=100),
    # Published nowhere: every part of the others (an exit on a boundary and exits inside blocks), built and exported in seconds.
    "tiny": CHASEConfig(
        layers=4,
        exit_every=2,
        growth=4,
        growth_factors=(1, 2),
        bottleneck_factors=(1, 2),
        base_channels=8,
        stem_stride=1,
        classifier_channels=16,
        attention_heads=3,
        head_dim=8,
        num_classes=10,
    ),
    # Published nowhere: half as wide as that for CIFAR-10.
    "nano": evolve(_CIFAR10, growth=8, classifier_channels=64, attention_heads=8),
}


class Stage(nn.Module):
    """From one exit to the next: the layers between, and the classifier.

    The first stage begins with the stem; in the last, GAL stands before the classifier, and nothing is handed on.

    Pooled channels are handed on beside the maps, so that no form of the network computes one twice. For chase-imagenet they
    are 25 kB beside 5.7 MB of maps over all six cuts (0.45%). Pooling the maps again is only 1.4M additions beside 2634M
    MACs (0.05%), but a pass over all their bytes: 0.15 ms of 154 ms in eager, one thread (0.1%), against 15 tensors more,
    each 1 to 2 microseconds in ONNX Runtime and ExecuTorch. Either is small; this one is the smaller.
    """

    def __init__(
        self, body: Sequence[nn.Module], classifier: Classifier, *, stem: Stem | None = None, attention: GlobalAttention | None = None
    ) -> None:
        super().__init__()
        self.stem = stem
        self.body = nn.ModuleList(body)
        self.attention = attention
        self.classifier = classifier

    def forward(self, features: Features) -> tuple[Tensor, Features]:
        """Return the exit's logits and the features for the next stage, ``()`` from the last.

        Features are the live scales' maps ``(B, C_s, H_s, W_s)``, finest first, then their pooled channels
        ``(B, C_s, 1, 1)``; the first stage takes the image, ``(B, 3, R, R)``, instead.
        """
        dense = _unpack(features) if self.stem is None else self.stem(*features)
        for unit in self.body:
            dense = unit(dense)
        coarsest = dense[-1].map
        if self.attention is None:
            return self.classifier(coarsest), _pack(dense)
        return self.classifier(self.attention(coarsest)), ()


class CHASE(nn.Module):
    """The CHASE classifier: image ``(B, 3, R, R)`` to logits ``(B, num_classes)`` at one of its exits."""

    def __init__(self, config: CHASEConfig, *, num_classes: int | None = None) -> None:
        super().__init__()
        if num_classes is not None:
            config = evolve(config, num_classes=num_classes)
        self.stages = nn.ModuleList(_stages(config))

    def exit_stages(self) -> tuple[nn.Module, ...]:
        """Return the stages, first exit first; see :class:`~edgekit.ops.early_exit.EarlyExitNetwork`."""
        return tuple(self.stages)

    def forward(self, image: Tensor, policy: ExitPolicy | None = None) -> Exited | tuple[Tensor, ...]:
        """Answer at the first exit where the policy lets the image go; the stages behind it are not run.

        In training mode, where the loss is the sum of all exits' cross-entropies: every exit's logits, first exit first.
        In inference mode without a policy: the last exit's. Of a batch, each image leaves at its own exit.

        :raises BadInputError: the policy is for another number of exits.
        """
        if self.training:
            return all_logits(self.exit_stages(), image)
        policy = LeaveAt(exit=len(self.stages)) if policy is None else policy
        policy.check(len(self.stages))
        if image.shape[0] != 1:
            return leave_in_turn(self.exit_stages(), image, policy)
        features: Features = (image,)
        history: list[Tensor] = []
        for stage in self.stages:
            logits, features = stage(features)
            history.append(logits)
            if len(history) == len(self.stages) or policy.leaves(history):
                break
        return Exited(logits, torch.full((1,), len(history), device=image.device))


def _pack(dense: Sequence[Dense]) -> Features:
    """Lay concatenations out as a flat tuple: all maps, then all pooled channels."""
    return (*(here.map for here in dense), *(here.pooled for here in dense))


def _unpack(features: Features) -> list[Dense]:
    """Undo :func:`_pack`."""
    half = len(features) // 2
    return [Dense(*pair) for pair in zip(features[:half], features[half:], strict=True)]


def _stages(config: CHASEConfig) -> Iterator[Stage]:
    """Build the network from its front, and cut it behind every ``exit_every``-th layer."""
    widths = config.stem_widths
    stem: Stem | None = Stem(widths, stride=config.stem_stride)
    body: list[nn.Module] = []
    for number in range(1, config.layers * config.scales + 1):
        block, ends_block, ends = (number - 1) // config.layers, number % config.layers == 0, number == config.layers * config.scales
        body.append(_layer(config, block, widths))
        widths = _grown(config, widths)
        if ends_block and not ends:
            kept = [(width, width // config.transition_divisor) for width in widths[1:]]
            body.append(Transition(kept))
            widths = tuple(after for _, after in kept)
        if number % config.exit_every == 0:
            read = widths[-1]
            classifier = Classifier(read, config.classifier_channels or read, config.num_classes)
            attention = GlobalAttention(read, heads=config.attention_heads, head_dim=config.head_dim, mlp_ratio=config.mlp_ratio) if ends else None
            yield Stage(body, classifier, stem=stem, attention=attention)
            stem, body = None, []


def _grown(config: CHASEConfig, widths: Sequence[int]) -> tuple[int, ...]:
    """Return the live scales' widths with one layer more; the live scales are the last ``len(widths)``."""
    return tuple(width + growth for width, growth in zip(widths, config.growths[-len(widths) :], strict=True))


def _layer(config: CHASEConfig, block: int, widths: Sequence[int]) -> DenseLayer:
    """Build a layer of ``block`` (from 0), whose live scales have these widths before it."""
    growths, factors = config.growths[block:], config.bottleneck_factors[block:]
    grown = _grown(config, widths)
    scales: list[nn.Module] = [FinestScale(Branch(widths[0], growths[0], bottleneck=factors[0] * growths[0], stride=1))]
    for s in range(1, len(widths)):
        half = growths[s] // 2
        down = Branch(grown[s - 1], half, bottleneck=factors[s - 1] * half, stride=2)
        same = Branch(widths[s], growths[s] - half, bottleneck=factors[s] * (growths[s] - half), stride=1)
        scales.append(CoarserScale(down, same))
    return DenseLayer(scales)
