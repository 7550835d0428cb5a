"""Modules that move data about: views of high rank, strides, rolls, windows, einsum and Fourier mixers."""

import torch
from torch import nn
from torch.nn import functional as F
from zoo_entry import DIM, Maps, Tokens, entry


@entry
class RankEightViews(Maps):
    """Windows, heads and their parts at once: a permute of rank 8."""

    def forward(self, image):
        x = self.maps(image).view(1, 4, 2, 2, 4, 4, 4, 4)
        return self.classified(x.permute(0, 3, 2, 1, 6, 4, 7, 5).reshape(1, DIM, 16, 16).cumsum(2) * 0.1)


@entry
class StridedWindows(Maps):
    """Overlapping rows as as_strided gives them."""

    def forward(self, image):
        x = self.maps(image).contiguous()
        windows = x.as_strided((1, DIM, 7, 4, 16), (DIM * 256, 256, 32, 16, 1))
        return self.classified(windows.amax(3))


@entry
class ShiftedWindows(Maps):
    """A Swin block's shift: roll, window attention with a mask, roll back."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(DIM, 3 * DIM)
        mask = torch.zeros(16, 16)
        rows = [slice(0, -4), slice(-4, -2), slice(-2, None)]
        for number, (row, column) in enumerate((row, column) for row in rows for column in rows):
            mask[row, column] = number
        parts = mask.view(4, 4, 4, 4).permute(0, 2, 1, 3).reshape(16, 16)
        self.register_buffer("mask", (parts[:, None] != parts[:, :, None]).float() * -100)

    def forward(self, image):
        x = torch.roll(self.maps(image), (-2, -2), (2, 3)).permute(0, 2, 3, 1)
        w = x.view(1, 4, 4, 4, 4, DIM).permute(0, 1, 3, 2, 4, 5).reshape(16, 16, DIM)
        q, k, v = self.qkv(w).view(16, 16, 3, 2, DIM // 2).permute(2, 0, 3, 1, 4).unbind(0)
        a = (q @ k.transpose(-2, -1) / 3 + self.mask[:, None]).softmax(-1) @ v
        a = a.transpose(1, 2).reshape(1, 4, 4, 4, 4, DIM).permute(0, 1, 3, 2, 4, 5).reshape(1, 16, 16, DIM)
        return self.classified(torch.roll(a.permute(0, 3, 1, 2), (2, 2), (2, 3)))


@entry
class UnfoldFold(Maps):
    """Patches taken by unfold, changed, and added up again by fold."""

    def __init__(self):
        super().__init__()
        self.change = nn.Linear(DIM * 9, DIM * 9)

    def forward(self, image):
        patches = F.unfold(self.maps(image), 3, padding=1, stride=2)
        changed = self.change(patches.transpose(1, 2)).transpose(1, 2)
        return self.classified(F.fold(changed, (16, 16), 3, padding=1, stride=2))


@entry
class TensorUnfold(Maps):
    """Sliding windows of an axis by Tensor.unfold."""

    def forward(self, image):
        windows = self.maps(image).unfold(2, 4, 2).unfold(3, 4, 2)
        return self.classified(windows.amax((-1, -2)))


@entry
class ExtremesWithoutAxes(Maps):
    """amax and amin over rows and columns, without keeping the axes."""

    def forward(self, image):
        x = self.maps(image)
        return self.head(x.amax((2, 3)) - x.amin((2, 3)) + x.max(dim=3).values.amax(2))


@entry
class BilinearEinsum(Maps):
    """Second-order pooling and a bilinear form, by einsum."""

    def __init__(self):
        super().__init__()
        self.form = nn.Parameter(torch.zeros(DIM, DIM, DIM))

    def forward(self, image):
        x = self.maps(image)
        gram = torch.einsum("bchw,bdhw->bcd", x, x) / 256
        return self.head(torch.einsum("bcd,kcd,bchw->bk", gram, self.form, x) / 256)


@entry
class EinsumAttention(Tokens):
    """Attention with relative positions, each product an einsum; a trace and a transposition, too."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(DIM, 3 * DIM)
        self.relative = nn.Parameter(torch.zeros(16, 16, 8))

    def forward(self, image):
        q, k, v = torch.einsum("bnkhd->kbhnd", self.qkv(self.tokens(image)).view(1, 16, 3, 2, 8))
        a = (torch.einsum("bhqd,bhkd->bhqk", q, k) + torch.einsum("bhqd,qkd->bhqk", q, self.relative)).softmax(-1)
        return self.classified(torch.einsum("bhqk,bhkd->bqhd", a, v).flatten(2) * torch.einsum("bhqq->bq", a)[..., None])


@entry
class FourierMixer(Tokens):
    """FNet: the real part of a two-dimensional transform of tokens and channels."""

    def forward(self, image):
        mixed = torch.fft.fft(torch.fft.fft(self.tokens(image), dim=-1), dim=-2).real
        return self.classified(mixed * 0.1)


@entry
class GlobalFilter(Maps):
    """GFNet: a learned filter between a transform of the map and its inverse."""

    def __init__(self):
        super().__init__()
        self.filter = nn.Parameter(torch.zeros(DIM, 16, 9, 2))

    def forward(self, image):
        spectrum = torch.fft.rfft2(self.maps(image), norm="ortho") * torch.view_as_complex(self.filter)
        return self.classified(torch.fft.irfft2(spectrum, s=(16, 16), norm="ortho"))


@entry
class CosineMixer(Maps):
    """A mixer that multiplies with cosines itself; nothing of it is complex."""

    def __init__(self):
        super().__init__()
        places = torch.arange(16.0)
        self.register_buffer("basis", torch.cos(torch.pi / 16 * (places[:, None] + 0.5) * places))
        self.weight = nn.Parameter(torch.zeros(DIM, 16, 16))

    def forward(self, image):
        spectrum = self.basis.T @ self.maps(image) @ self.basis * self.weight
        return self.classified(self.basis @ spectrum @ self.basis.T / 64)


@entry
class Shuffles(Maps):
    """Pixels to channels and back, channels shuffled between."""

    def forward(self, image):
        x = F.pixel_unshuffle(self.maps(image), 2)
        x = F.channel_shuffle(x, 4)
        return self.classified(F.pixel_shuffle(x.sin(), 2))


@entry
class MirroredPads(Maps):
    """Padding by mirroring, repeating and wrapping round."""

    def forward(self, image):
        x = self.maps(image)
        x = F.pad(x, (2, 1, 2, 1), mode="reflect") + F.pad(x, (2, 1, 2, 1), mode="replicate") * F.pad(x, (2, 1, 2, 1), mode="circular")
        return self.classified(F.avg_pool2d(x, 3, 2))


@entry
class FlippedAndTurned(Maps):
    """A map beside its mirror image, a quarter turn, and repeated values."""

    def forward(self, image):
        x = self.maps(image)
        y = x.flip((3,)) * torch.rot90(x, 1, (2, 3))
        return self.classified(y.repeat_interleave(2, dim=2) + x.tile((1, 1, 2, 1)))


@entry
class SampledGrid(Maps):
    """A warp by offsets that the map itself gives, bilinear."""

    def __init__(self):
        super().__init__()
        self.offsets = nn.Conv2d(DIM, 2, 3, padding=1)

    def forward(self, image):
        x = self.maps(image)
        rows, columns = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
        grid = torch.stack([columns, rows], -1)[None] + 0.1 * self.offsets(x).tanh().permute(0, 2, 3, 1)
        return self.classified(F.grid_sample(x, grid, align_corners=False))


@entry
class TriangularMasks(Tokens):
    """Attention to earlier tokens only: tril, where, and a running sum."""

    def forward(self, image):
        t = self.tokens(image)
        a = (t @ t.transpose(1, 2) / DIM).tril()
        causal = torch.ones(16, 16, dtype=torch.bool).triu(1)
        return self.classified(a.masked_fill(causal, float("-inf")).softmax(-1) @ t.cumsum(1))
