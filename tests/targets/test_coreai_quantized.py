"""Quantized assets: as small as asked for, and Core AI's runtime computes what their programs do."""

import pytest
import torch
from torch import nn

from edgekit.artifact import digest
from edgekit.errors import LoweringError
from edgekit.evaluate import evaluate, output_names
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.quantization.job import Quantization
from edgekit.quantization.scheme import scheme_of
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.coreai import TARGET
from edgekit.targets.coreai.quantize import quantized
from edgekit.verification.parity import sqnr_db

X = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SAMPLES = ({"image": X.numpy()},)
METHOD = MethodSpec(
    name="forward",
    inputs=(TensorSpec(name="image", dtype="float32", shape=(1, 3, 8, 8), layout="NCHW"),),
    outputs=(TensorSpec(name="logits", dtype="float32", shape=(1, 40), layout="NC"),),
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.wide = nn.Conv2d(16, 64, 3, padding=1)
        self.near = nn.Conv2d(64, 128, 1)
        self.head = nn.Linear(128, 40)

    def forward(self, x):
        x = nn.functional.gelu(self.wide(torch.relu(self.stem(x))))
        return self.head(torch.relu(self.near(x)).mean((2, 3)))


PARAMETERS = 64 * 16 * 9 + 128 * 64 + 40 * 128
SHORT = 16 * 3 * 9 + 16 + 64 + 128 + 40


def job(folder, precision, *, calibration=SAMPLES):
    program = torch.export.export(Net().eval(), (X,), strict=False)
    return LoweringJob(
        programs={"forward": program},
        methods=(METHOD,),
        recipe=Recipe(model="small", target="coreai", precision=precision),
        metadata=Metadata(description="", author="", license="", edgekit_version="1", preprocessing=None, trained=False),
        destination=folder / "net.aimodel",
        quantization=Quantization(scheme=scheme_of(precision), calibration={"forward": calibration}),
    )


@pytest.mark.parametrize(
    ("precision", "kind"),
    [
        ("palette8", "lut_to_dense"),
        ("palette6", "lut_to_dense"),
        ("palette4", "lut_to_dense"),
        ("w8a32", "blockwise_shift_scale"),
        ("w4a32", "blockwise_shift_scale"),
        ("w8a8", "blockwise_shift_scale"),
    ],
)
def test_an_asset_computes_what_its_program_does(precision, kind, tmp_path):
    request = job(tmp_path, precision)
    TARGET.lower(request)
    inspection, bits = TARGET.inspect(request.destination), scheme_of(precision).weight_bits
    assert inspection.operators[kind] == 3
    formats = {row.name: row for row in inspection.weights}
    small = formats.pop(f"indices of {2**bits}" if kind == "lut_to_dense" else f"{bits}-bit integers")
    assert (small.values, small.size_bytes) == (PARAMETERS, PARAMETERS * bits // 8)
    assert formats.keys() == {"float32"}
    assert inspection.operators.get("quantize", 0) == inspection.operators.get("dequantize", 0) == (3 if precision == "w8a8" else 0)
    assert PARAMETERS * bits / 8 <= inspection.sections["weights"] <= 1.1 * PARAMETERS * bits / 8 + 4 * (3 * 2**bits + SHORT) + 4 * PARAMETERS / 32
    program = quantized(request.programs["forward"], "forward", request.quantization)
    (name,) = output_names(program)
    wanted = evaluate(program, [X], {name})[name].numpy()
    (found,) = TARGET.open(request.destination).run("forward", {"image": X.numpy()}).values()
    assert sqnr_db(wanted, found) > 100
    with torch.no_grad():
        assert 10 < sqnr_db(Net().eval()(X).numpy(), found) < 60


def test_equal_requests_give_equal_bytes(tmp_path):
    found = set()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        TARGET.lower(job(tmp_path / name, "palette4"))
        found.add(digest(tmp_path / name / "net.aimodel"))
    assert len(found) == 1


def test_nothing_to_choose_ranges_from_is_refused(tmp_path):
    with pytest.raises(LoweringError, match="cannot be quantized as w8a8"):
        TARGET.lower(job(tmp_path, "w8a8", calibration=()))
    assert not list(tmp_path.iterdir())
