"""Modules with the normalisations, convolutions and poolings that converters know less well."""

import torch
from torch import nn
from torch.nn import functional as F
from zoo_entry import DIM, Maps, entry


@entry
class BatchStatistics(Maps):
    """A batch norm without running statistics: those of the picture itself."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(DIM, track_running_stats=False)

    def forward(self, image):
        return self.classified(self.norm(self.maps(image)))


@entry
class ChannelNorms(Maps):
    """Instance, group and root-mean-square norms, and a response norm over neighbours."""

    def __init__(self):
        super().__init__()
        self.instance = nn.InstanceNorm2d(DIM, affine=True)
        self.group = nn.GroupNorm(4, DIM)
        self.rms = nn.RMSNorm(DIM)

    def forward(self, image):
        x = self.group(torch.relu(self.instance(self.maps(image))))
        x = self.rms(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.classified(F.local_response_norm(x, 3))


class StandardisedConv(nn.Conv2d):
    """A convolution whose weights are standardised each time they are used."""

    def forward(self, x):
        weight = F.batch_norm(self.weight.reshape(1, self.out_channels, -1), None, None, training=True).reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@entry
class WeightStandardised(Maps):
    """Grouped convolutions with standardised weights, as in BiT and NFNet."""

    def __init__(self):
        super().__init__()
        self.first, self.second = StandardisedConv(DIM, DIM, 3, padding=1, groups=4), StandardisedConv(DIM, DIM, 3, padding=2, dilation=2)

    def forward(self, image):
        return self.classified(self.second(torch.relu(self.first(self.maps(image)))))


@entry
class EvenKernels(Maps):
    """Even kernels, padded more on one side."""

    def __init__(self):
        super().__init__()
        self.even = nn.Conv2d(DIM, DIM, 4, padding="same")
        self.odd = nn.Conv2d(DIM, DIM, 2, groups=DIM)

    def forward(self, image):
        x = torch.relu(self.even(self.maps(image)))
        return self.classified(self.odd(F.pad(x, (0, 1, 0, 1))))


@entry
class UnevenPools(Maps):
    """Adaptive pools to sizes that do not divide the map's."""

    def forward(self, image):
        x = self.maps(image)
        return self.classified(F.adaptive_avg_pool2d(x, (7, 5)) + F.adaptive_max_pool2d(x, (7, 5)))


@entry
class Interpolated(Maps):
    """Scale factors that are no whole numbers; nearest, bilinear with both kinds of corners, bicubic."""

    def forward(self, image):
        x = self.maps(image)
        up = F.interpolate(x, scale_factor=1.5, mode="bilinear", align_corners=False)
        up = up + F.interpolate(x, scale_factor=1.5, mode="nearest") * F.interpolate(x, scale_factor=1.5, mode="bilinear", align_corners=True)
        down = F.interpolate(up, scale_factor=0.5, mode="bilinear", antialias=False)
        return self.classified(down)


@entry
class BicubicPositions(Maps):
    """Positions of another resolution, brought to this one as vision transformers do."""

    def __init__(self):
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(1, DIM, 7, 7))

    def forward(self, image):
        return self.classified(self.maps(image) + F.interpolate(self.positions, size=(16, 16), mode="bicubic", antialias=True))


@entry
class BicubicMaps(Maps):
    """The map itself by bicubic interpolation."""

    def forward(self, image):
        return self.classified(F.interpolate(self.maps(image), size=(24, 24), mode="bicubic"))


@entry
class TransposedConvs(Maps):
    """Transposed convolutions in groups, dilated, with output padding."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(DIM, DIM, 3, 2, 1, output_padding=1, groups=4)
        self.wide = nn.ConvTranspose2d(DIM, DIM, 3, dilation=2)

    def forward(self, image):
        return self.classified(self.wide(torch.relu(self.up(self.maps(image)))))


@entry
class ConditionalConv(Maps):
    """CondConv: kernels mixed by what the picture shows."""

    def __init__(self):
        super().__init__()
        self.experts = nn.Parameter(torch.zeros(3, DIM, DIM, 3, 3))
        self.router = nn.Linear(DIM, 3)

    def forward(self, image):
        x = self.maps(image)
        weight = (self.router(x.mean((2, 3))).sigmoid() @ self.experts.flatten(1)).view(DIM, DIM, 3, 3)
        return self.classified(F.conv2d(x, weight, padding=1))


@entry
class CeilPools(Maps):
    """Pools that round up, that leave the padding out, by powers, and max pooling that is undone."""

    def forward(self, image):
        x = self.maps(image)
        y = F.max_pool2d(x, 3, 2, ceil_mode=True) + F.avg_pool2d(x, 3, 2, padding=0, ceil_mode=True, count_include_pad=False)
        return self.classified(y + F.lp_pool2d(x.abs() + 0.1, 2, 3, 2, ceil_mode=True))


@entry
class Unpooled(Maps):
    """SegNet: maxima go back to where they came from."""

    def forward(self, image):
        x, places = F.max_pool2d(self.maps(image), 2, return_indices=True)
        return self.classified(F.max_unpool2d(torch.tanh(x), places, 2))


@entry
class BlurPool(Maps):
    """Antialiased downsampling by a constant kernel."""

    def __init__(self):
        super().__init__()
        kernel = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("kernel", (kernel[:, None] * kernel / 16).expand(DIM, 1, 3, 3).clone())

    def forward(self, image):
        return self.classified(F.conv2d(F.pad(self.maps(image), (1, 1, 1, 1), mode="reflect"), self.kernel, stride=2, groups=DIM))


@entry
class Activations(Maps):
    """One of each that has been published."""

    def __init__(self):
        super().__init__()
        self.prelu = nn.PReLU(DIM)

    def forward(self, image):
        x = self.maps(image)
        x = F.hardswish(x) + F.mish(x) + self.prelu(x) + F.softplus(x) + F.elu(x) + F.celu(x, 0.5)
        x = F.gelu(x, approximate="tanh") + F.hardsigmoid(x) + F.logsigmoid(x) + F.softsign(x) + F.selu(x) + F.relu6(x)
        return self.classified(F.glu(torch.cat([x, F.threshold(x, 0.1, 0.0)], 1), 1) + F.hardtanh(x) + F.leaky_relu(x, 0.2))


@entry
class Statistics(Maps):
    """Standard deviations, variances, norms and log-sum-exp as poolings."""

    def forward(self, image):
        x = self.maps(image)
        pooled = x.std((2, 3)) + x.var((2, 3), unbiased=False) + x.logsumexp((2, 3)) + x.norm(dim=(2, 3)) * 0.1
        return self.head(F.normalize(pooled, dim=1) + x.flatten(2).std(2))


@entry
class CrossCovariance(Maps):
    """XCiT: attention between channels, with normalised queries and keys and a temperature."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Conv2d(DIM, 3 * DIM, 1)
        self.temperature = nn.Parameter(torch.ones(2, 1, 1))

    def forward(self, image):
        q, k, v = self.qkv(self.maps(image)).reshape(1, 3, 2, DIM // 2, 256).unbind(1)
        a = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * self.temperature).softmax(-1)
        return self.classified((a @ v).reshape(1, DIM, 16, 16))
