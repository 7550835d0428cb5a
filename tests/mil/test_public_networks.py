"""Packages that edgekit did not write: public networks, converted by Core ML Tools in the ways it offers, and run from disk.

Measured (dB of signal to noise against eager, two inputs of unit noise, the worse one). fp32 packages: 99 to 200 (bit for bit);
the lowest are the deepest chains of batch norms, which the converter folds and eager does not. fp16 packages whose weights
half precision holds exactly, computed in float32: 81 to 200; what is left are constants that are not weights, such as a scale
of attention. Weights that are rounded would give 40 to 70. Every operator rounded: 38 to 67, the depth decides.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from networks import FACTORIES, Conversion, convert, save, small_network, with_half_weights
from torch import nn

import edgekit
from edgekit.quiet import quiet
from edgekit.targets.coreml.toolbox import coremltools
from edgekit.verification.parity import sqnr_db

SINGLE_DB = 90.0
HALF_WEIGHTS_DB = 75.0
HALF_DB = 30.0

NETWORKS = {
    "resnet": (Conversion(ios=15), Conversion("export", half=True, ios=18)),
    "mobilenetv2": (Conversion(ios=16), Conversion(half=True, ios=17)),
    "mobilenetv3": (Conversion(ios=15), Conversion("export", half=True, ios=17)),
    "efficientnet": (Conversion("export", ios=16), Conversion(half=True, ios=18)),
    "convnext": (Conversion(ios=17), Conversion("export", half=True, ios=16)),
    "vit": (Conversion("export", ios=18), Conversion("export", half=True, ios=17)),
    "swin": (Conversion(ios=15), Conversion(half=True, ios=18)),
    "shufflenet": (Conversion(ios=17), Conversion(half=True, ios=16)),
    "densenet": (Conversion("export", ios=17), Conversion(half=True, ios=15)),
    "squeezenet": (Conversion("export", ios=15), Conversion(half=True, ios=16)),
    "googlenet": (Conversion(ios=16), Conversion(half=True, ios=18)),
    "regnet": (Conversion(ios=18), Conversion("export", half=True, ios=16)),
    "mobilevit": (Conversion(ios=17), Conversion(half=True, ios=16)),
    "xcit": (Conversion(ios=15), Conversion("export", half=True, ios=18)),
    "unet": (Conversion(ios=16), Conversion("export", half=True, ios=17)),
    "deeplab": (Conversion("export", ios=18), Conversion(half=True, ios=16)),
    "detector": (Conversion(ios=15), Conversion("export", half=True, ios=17)),
}
"""By network: a conversion to fp32 and one to fp16. Core ML Tools has no ``_native_multi_head_attention``, which tracing a ViT gives."""

PICKS = {"detector"}
"""Its output are the best places: half precision may put two of them in another order."""


@frozen
class Ran:
    """A package's first output for each input, in both numerics, and eager's."""

    eager: list[np.ndarray]
    single: list[np.ndarray]
    half: list[np.ndarray]

    def sqnr(self, actual):
        return min(sqnr_db(want, got) for want, got in zip(self.eager, actual, strict=True))


@cache
def noise(resolution=64):
    return torch.randn(2, 1, 3, resolution, resolution, generator=torch.Generator().manual_seed(3)).half().float()


def first_output(executable: Any, values: np.ndarray) -> np.ndarray:
    (method,) = executable.methods
    (given,) = method.inputs
    results = executable.run(method.name, {given.name: values if given.dtype == "image" else values.astype(given.dtype)})
    assert results[method.outputs[0].name].shape == method.outputs[0].shape
    return results[method.outputs[0].name]


def ran(network: nn.Module, path: Path) -> Ran:
    executable = edgekit.load_artifact(path).executable
    with torch.no_grad():
        eager = [network(values).numpy() for values in noise()]
    single, half = ([first_output(e, values.numpy()) for values in noise()] for e in (executable.at("fp32"), executable))
    assert sqnr_db(eager[0], eager[1]) < 40, "the network hardly depends on its input, so it shows nothing"
    return Ran(eager, single, half)


@pytest.fixture(scope="module")
def network():
    return cache(small_network)


@pytest.mark.parametrize("name", NETWORKS)
def test_fp32_packages_equal_eager(name, network, tmp_path):
    run = ran(network(name), save(convert(network(name), NETWORKS[name][0]), tmp_path / "n.mlpackage"))
    assert run.sqnr(run.single) >= SINGLE_DB
    for single, half in zip(run.single, run.half, strict=True):
        np.testing.assert_array_equal(single, half)  # nothing is declared half


@pytest.mark.parametrize("name", NETWORKS)
def test_fp16_packages_equal_eager_with_half_weights(name, tmp_path):
    halved = with_half_weights(small_network(name))
    run = ran(halved, save(convert(halved, NETWORKS[name][1]), tmp_path / "n.mlpackage"))
    assert run.sqnr(run.single) >= HALF_WEIGHTS_DB
    assert not np.array_equal(run.single[0], run.half[0])
    if name not in PICKS:
        assert HALF_DB <= run.sqnr(run.half) < run.sqnr(run.single)


def test_every_family_is_there():
    assert NETWORKS.keys() == FACTORIES.keys()
    assert len(NETWORKS) >= 10
    conversions = [conversion for pair in NETWORKS.values() for conversion in pair]
    for ios in (15, 16, 17, 18):
        assert {c.half for c in conversions if c.ios == ios} == {True, False}
    assert {(c.frontend, c.half) for c in conversions} == {(frontend, half) for frontend in ("trace", "export") for half in (True, False)}


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), dtype=np.uint8)


@pytest.mark.parametrize("layout", ["RGB", "BGR"])
def test_pictures_come_red_first_whatever_order_the_program_takes(layout, network, pixels, tmp_path):
    """Core ML reorders a picture for the program, so the caller's is always red, green, blue."""
    ct = coremltools()
    kind = ct.ImageType("picture", (1, 3, 64, 64), scale=1 / 127.0, bias=[-1.0, -0.9, -1.1], color_layout=getattr(ct.colorlayout, layout))
    path = save(convert(network("squeezenet"), Conversion(), inputs=[kind]), tmp_path / "n.mlpackage")
    artifact = edgekit.load_artifact(path)
    assert (artifact.methods[0].inputs[0].dtype, artifact.methods[0].inputs[0].shape) == ("image", (1, 3, 64, 64))
    values = torch.from_numpy((pixels[:, ::-1] if layout == "BGR" else pixels).astype(np.float32))
    with torch.no_grad():
        expected = network("squeezenet")(values / 127.0 + torch.tensor([-1.0, -0.9, -1.1]).reshape(3, 1, 1)).numpy()
    assert sqnr_db(expected, first_output(artifact.executable, pixels)) >= SINGLE_DB


class Grey(nn.Module):
    def forward(self, picture):
        return picture.mean((2, 3)) * 2


class Negative(nn.Module):
    def forward(self, picture):
        return 255.4 - picture * torch.tensor([1.0, 1.1, 1.2]).reshape(3, 1, 1)


def picture_package(module, path, channels, given, **options):
    ct = coremltools()
    with quiet():
        program = torch.jit.trace(module, torch.zeros(1, channels, 8, 8))
        kind = ct.ImageType("picture", (1, channels, 8, 8), color_layout=given)
        model = ct.convert(program, convert_to="mlprogram", inputs=[kind], minimum_deployment_target=ct.target.iOS16, skip_model_load=True, **options)
        model.save(str(path))
    return edgekit.load_artifact(path)


def test_grey_pictures_have_one_channel(tmp_path):
    layouts = coremltools().colorlayout
    levels = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)
    for layout, dtype, values in (
        (layouts.GRAYSCALE, "image", levels),
        (layouts.GRAYSCALE_FLOAT16, "float16", levels.astype(np.float16)),
    ):
        artifact = picture_package(Grey().eval(), tmp_path / f"{dtype}.mlpackage", 1, layout)
        assert (artifact.methods[0].inputs[0].dtype, artifact.methods[0].inputs[0].shape) == (dtype, (1, 1, 8, 8))
        np.testing.assert_array_equal(first_output(artifact.executable, values), [[63.0]])


def test_pictures_come_out_red_first_and_as_pixels(tmp_path):
    ct = coremltools()
    bgr, rgb = ct.colorlayout.BGR, ct.colorlayout.RGB
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8), dtype=np.uint8)
    for outgoing in (rgb, bgr):
        package = tmp_path / f"{outgoing}.mlpackage"
        artifact = picture_package(Negative().eval(), package, 3, bgr, outputs=[ct.ImageType("negative", color_layout=outgoing)])
        exact = 255.4 - pixels[:, ::-1].astype(np.float32) * np.array([1.0, 1.1, 1.2], np.float32).reshape(3, 1, 1)
        expected = np.clip(np.rint(exact), 0, 255).astype(np.uint8)
        (method,) = artifact.methods
        got = artifact.executable.at("fp32").run(method.name, {"picture": pixels})["negative"]
        assert got.dtype == np.uint8
        assert np.abs(got.astype(int) - (expected[:, ::-1] if outgoing is bgr else expected)).max() <= 1  # 1.1 is stored as a half


def test_a_package_of_flexible_size_runs_at_its_own(network, tmp_path):
    ct = coremltools()
    size = ct.RangeDim(32, 128, default=64)
    kind = ct.TensorType("image", ct.Shape((1, 3, size, size), default=(1, 3, 64, 64)))
    artifact = edgekit.load_artifact(save(convert(network("unet"), Conversion(), inputs=[kind]), tmp_path / "n.mlpackage"))
    (method,) = artifact.methods
    got = artifact.executable.run(method.name, {"image": noise()[0].numpy()})[method.outputs[0].name]
    with torch.no_grad():
        assert sqnr_db(network("unet")(noise()[0]).numpy(), got) >= SINGLE_DB


def compressions():
    ct = coremltools()
    with quiet():
        import coremltools.optimize.coreml as cto
    everything = {"weight_threshold": 128}
    return {
        "linear int8": lambda m: cto.linear_quantize_weights(m, _config(cto.OpLinearQuantizerConfig(mode="linear_symmetric", **everything))),
        "linear int4 per block": lambda m: cto.linear_quantize_weights(
            m, _config(cto.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=16, **everything))
        ),
        "palettes of 4 bits": lambda m: cto.palettize_weights(m, _config(cto.OpPalettizerConfig(mode="kmeans", nbits=4, **everything))),
        "pruned": lambda m: cto.prune_weights(m, _config(cto.OpMagnitudePrunerConfig(target_sparsity=0.5, **everything))),
    } | {"decompressed": ct.optimize.coreml.decompress_weights}


def _config(choice):
    import coremltools.optimize.coreml as cto

    return cto.OptimizationConfig(global_config=choice)


@pytest.fixture(scope="module")
def uncompressed(network):
    return cache(lambda name, half: convert(network(name), Conversion("export", half=half, ios=18)))


@pytest.mark.parametrize("name", ["efficientnet", "vit"])
@pytest.mark.parametrize("kind", ["linear int8", "linear int4 per block", "palettes of 4 bits", "pruned"])
def test_compressed_weights_are_those_that_core_ml_tools_decompresses(kind, name, network, uncompressed, tmp_path):
    compress = compressions()
    half = kind == "linear int8"  # one of them on top of half precision
    with quiet():
        compressed = compress[kind](uncompressed(name, half))
        plain = compress["decompressed"](compressed)
    kinds = edgekit.load_artifact(save(compressed, tmp_path / "compressed.mlpackage")).executable
    operators = {operator.kind for f in kinds._program.functions.values() for operator in f.block.walk()}
    assert any(kind.startswith("constexpr_") for kind in operators)
    theirs = edgekit.load_artifact(save(plain, tmp_path / "plain.mlpackage")).executable
    # Core ML Tools rounds the decompressed weights to the type of the program; computed in float32 ours stay as they are.
    limit = 55.0 if half else 120.0
    for values in noise():
        with torch.no_grad():
            eager = network(name)(values).numpy()
        want, got = first_output(theirs.at("fp32"), values.numpy()), first_output(kinds.at("fp32"), values.numpy())
        assert sqnr_db(want, got) >= limit
        assert sqnr_db(eager, got) < 60, "compressing changed hardly anything, so it shows nothing"
