"""Fourier transforms as products: every transform, norm and length, arithmetic of spectra, and what is refused."""

import pytest
import torch
from rewriting import assert_same_numbers, assert_settled, assert_untouched, interface, noise, rewrite
from torch import nn

from edgekit.rewrites.spectra_by_products import SpectraByProducts

RULE = SpectraByProducts()
TOLERANCE = 2e-5  # sums of 7 * 12 terms in another order


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.filter = nn.Parameter(noise(3, 7, 7, 2, seed=5))

    def forward(self, x):
        return self.function(x, self.filter)


F, V = torch.fft, torch.view_as_complex
CASES = {
    "fnet": lambda x, _: F.fft(F.fft(x, dim=-1), dim=-2).real,
    "imaginary part": lambda x, _: F.fft2(x).imag,
    "amplitudes": lambda x, _: F.rfft(x, dim=1).abs(),
    "parts side by side": lambda x, _: torch.view_as_real(F.rfft2(x, norm="forward")),
    "gfnet": lambda x, w: F.irfft2(F.rfft2(x, norm="ortho") * V(w), s=(7, 12), norm="ortho"),
    "of an odd length": lambda x, _: F.irfft(F.rfft(x[..., :11]), n=11),
    "cut off and filled up": lambda x, _: F.irfft(F.rfft(x, n=9), n=16),
    "cut off along two axes": lambda x, _: F.fft2(x, s=(4, 20), norm="forward").real,
    "there and back": lambda x, _: F.ifft2(F.fft2(x) * 2.0).real,
    "of all axes": lambda x, _: F.irfftn(F.rfftn(x, dim=(1, 2, 3)), dim=(1, 2, 3), s=(3, 7, 12)),
    "axes the other way round": lambda x, _: F.rfft2(x, dim=(3, 2)).real,
    "default norm back": lambda x, w: F.irfft2(V(w) * F.rfft2(x)),
    "arithmetic": lambda x, w: (F.rfft2(x) - V(w).conj() + x[..., :7] + 2.0 * V(w) - (-V(w))).imag,
    "a real number less a spectrum": lambda x, w: (x[..., :7] - F.rfft2(x) / 3.0).imag,
    "moves": lambda x, _: torch.roll(F.fft2(x), (3, 6), (2, 3)).reshape(2, 3, 84).transpose(1, 2)[:, 1:].real,
    "products of matrices": lambda x, w: (F.rfft2(x) @ V(w)).real,
    "made of two": lambda x, _: F.ifft(torch.complex(x, x.sin())).abs(),
    "back from real numbers": lambda x, _: F.irfft(x),
}


@pytest.mark.parametrize("name", CASES)
def test_same_numbers(name):
    done = rewrite(RULE, Function(CASES[name]), noise(2, 3, 7, 12))
    assert len(done.report.sites) == 1
    assert interface(done.after) == interface(done.before)
    assert_same_numbers(done, noise(2, 3, 7, 12, seed=1), tolerance=TOLERANCE)
    assert not any(value.is_complex() for node in done.after.graph.nodes if isinstance(value := node.meta.get("val"), torch.Tensor))


@pytest.mark.parametrize(
    ("function", "x", "reason"),
    [
        (lambda x, w: F.irfft2(F.rfft2(x) / V(w)), noise(2, 3, 7, 12), "it divides by a complex number"),
        (lambda x, _: F.fft(x).exp().real, noise(2, 3), "aten.exp.default of complex numbers is not one"),
        (lambda x, _: (F.fft(x) * 1j).real, noise(2, 3), "it has a complex number in its arguments"),
        (lambda x, _: F.fft(x).real, noise(1, 1025), "it transforms 1025 values along an axis"),
    ],
)
def test_refusals(function, x, reason):
    done = rewrite(RULE, Function(function), x)
    assert_untouched(done)
    assert done.reasons[0].startswith(reason)


def test_second_run_changes_nothing():
    x = noise(2, 3, 7, 12)
    assert_settled(RULE, rewrite(RULE, Function(CASES["gfnet"]), x), x)
