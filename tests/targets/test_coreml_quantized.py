"""Quantized packages: as small as asked for, exactly what their programs compute, and refused where a system has no such thing."""

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from edgekit.artifact import digest
from edgekit.errors import LoweringError
from edgekit.full_precision import mark_full_precision
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.mil.program import read_program
from edgekit.quantization.job import Quantization
from edgekit.quantization.scheme import scheme_of
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.coreml import TARGET
from edgekit.targets.coreml.package import read_package
from edgekit.verification.divergence import compare_operators

GENERATOR = torch.Generator().manual_seed(0)
SAMPLES = tuple({"image": torch.randint(0, 256, (1, 3, 16, 16), generator=GENERATOR).float().numpy()} for _ in range(4))
METHOD = MethodSpec(
    name="forward",
    inputs=(TensorSpec(name="image", dtype="image", shape=(1, 3, 16, 16), layout="NCHW"),),
    outputs=(TensorSpec(name="logits", dtype="float32", shape=(1, 40), layout="NC"),),
)
OF_GROUPS, OF_ROWS, TABLE = "constexpr_blockwise_shift_scale", "constexpr_affine_dequantize", "constexpr_lut_to_dense"


class Decides(nn.Linear):
    full_precision = True


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.wide = nn.Conv2d(16, 64, 3, padding=1)
        self.deep = nn.Conv2d(64, 64, 5, padding=2, groups=64, bias=False)  # short
        self.near = nn.Conv2d(64, 128, 1)
        self.gate = Decides(128, 128)
        self.head = nn.Linear(128, 40)

    def forward(self, x):
        x = nn.functional.gelu(self.wide(torch.relu(self.stem(x))))
        x = torch.relu(self.near(self.deep(x))).mean((2, 3))
        return self.head(x * torch.sigmoid(self.gate(x)))


FORMATS = {"palette8": "table of 256", "palette6": "table of 64", "palette4": "table of 16"}
FORMATS |= {"w8a32": "8-bit integers", "w8a8": "8-bit integers", "w4a32": "4-bit integers"}
PARAMETERS = {"wide": 64 * 16 * 9, "near": 128 * 64, "gate": 128 * 128, "head": 40 * 128}
READERS = {"wide": "conv2d_1", "near": "conv2d_3", "gate": "linear", "head": "linear_1"}


def job(folder, precision, system, *, kept=(), methods=(METHOD,), calibration=SAMPLES):
    program = torch.export.export(Net().eval(), (torch.zeros(1, 3, 16, 16),), strict=False)
    mark_full_precision(program, Net())
    names = [method.name for method in methods]
    quantization = None
    if precision not in ("fp16", "fp32"):
        quantization = Quantization(
            scheme=scheme_of(precision),
            kept_float={name: frozenset(READERS[one] for one in kept) for name in names},
            calibration=dict.fromkeys(names, calibration),
        )
    return LoweringJob(
        programs=dict.fromkeys(names, program),
        methods=methods,
        recipe=Recipe(model="small", target="coreml", precision=precision, deployment_target=system),
        metadata=Metadata(
            description="", author="", license="", edgekit_version="1", preprocessing=Preprocessing(resolution=16), labels=(), trained=False
        ),
        destination=folder / "net.mlpackage",
        quantization=quantization,
    )


def weights_of(path):
    return TARGET.inspect(path).sections["weights"]


@pytest.fixture(scope="module")
def in_halves(tmp_path_factory):
    request = job(tmp_path_factory.mktemp("half"), "fp16", "iOS17")
    TARGET.lower(request)
    return request.destination


@pytest.mark.parametrize(
    ("precision", "system", "kind"),
    [
        ("palette8", "iOS16", TABLE),
        ("palette6", "iOS17", TABLE),
        ("palette4", "iOS18", TABLE),
        ("w8a32", "iOS17", OF_ROWS),
        ("w4a32", "iOS18", OF_GROUPS),
        ("w8a8", "iOS17", OF_ROWS),
    ],
)
def test_a_package_computes_what_its_program_does(precision, system, kind, in_halves, tmp_path):
    request = job(tmp_path, precision, system)
    counterparts = TARGET.lower(request)
    inspection = TARGET.inspect(request.destination)
    operators = inspection.operators
    assert operators[kind] == len(PARAMETERS)
    formats = {row.name: row for row in inspection.weights}
    small = formats.pop(FORMATS[precision])
    assert (small.tensors, small.values) == (len(PARAMETERS), sum(PARAMETERS.values()))
    assert scheme_of(precision).weight_bits < small.bits_per_value < 1.2 * scheme_of(precision).weight_bits
    assert formats.keys() == {"float16"}
    assert sum(row.size_bytes for row in inspection.weights) > 0.85 * inspection.sections["weights"]
    # The stem reads pixels, short weights stay: what is rounded is what gelu's convolution, near and head read, and not what decides.
    assert operators.get("quantize", 0) == operators.get("dequantize", 0) == (3 if precision == "w8a8" else 0)
    spared = 2 * sum(PARAMETERS.values()) - sum(PARAMETERS.values()) * scheme_of(precision).weight_bits / 8
    stored = 0.08 * sum(PARAMETERS.values())  # tables, scales
    assert spared - stored <= weights_of(in_halves) - weights_of(request.destination) <= spared
    executable = TARGET.open(request.destination)
    for numerics in ("fp32", "fp16"):
        (logits,) = executable.at(numerics).run("forward", _pixels(0)).values()
        assert np.isfinite(logits).all()
    found = compare_operators(
        executable.at("fp32"),
        "forward",
        counterparts["forward"],
        _pixels(0),
        stored=lambda value: value.half().float() if value.is_floating_point() else value,
    )
    assert found.first_divergence is None
    assert found.min_sqnr_db > 95
    assert found.compared >= len(PARAMETERS) + 12


def _pixels(index):
    return {"image": SAMPLES[index]["image"].astype(np.uint8)}


def test_tables_are_those_that_core_ml_tools_unpacks(tmp_path):
    import coremltools as ct

    request = job(tmp_path, "palette4", "iOS18")
    counterparts = TARGET.lower(request)
    model = ct.models.MLModel(str(request.destination), skip_model_load=True)
    plain = ct.optimize.coreml.decompress_weights(model)
    unpacked = {op.outputs[0].name: op.outputs[0].val for op in plain._mil_program.functions["main"].operations if op.op_type == "const"}
    program = counterparts["forward"]
    held = {spec.arg.name: program.state_dict[spec.target] for spec in program.graph_signature.input_specs if spec.target}
    nodes = [node for node in program.graph.nodes if node.target is torch.ops.edgekit.looked_up.default]
    assert len(nodes) == len(PARAMETERS)
    for node in nodes:
        wanted = torch.ops.edgekit.looked_up.default(*(held[part.name] for part in node.args)).numpy()
        (found,) = (value for name, value in unpacked.items() if name.startswith(node.name) and np.shape(value) == wanted.shape)
        np.testing.assert_array_equal(np.asarray(found, np.float32), wanted)


def test_what_decides_is_computed_in_float32_and_stored_small(tmp_path):
    request = job(tmp_path, "palette8", "iOS17")
    TARGET.lower(request)
    package = read_package(request.destination)
    operators = {
        op.outputs[0].name: op for op in read_program(package.spec.mlProgram, package.spec_path.parent).functions["main"].block.walk() if op.outputs
    }
    dtypes = {name.removesuffix("_cast_fp16"): op.outputs[0].type.dtype for name, op in operators.items() if op.kind in ("linear", "conv", TABLE)}
    assert dtypes["linear"] == "fp32"
    assert dtypes["linear_1"] == "fp16"
    assert [dtype for name, dtype in dtypes.items() if "p_gate" in name] == ["fp32"]
    assert [dtype for name, dtype in dtypes.items() if "p_near" in name] == ["fp16"]


def test_kept_nodes_stay_in_floats_and_their_weights_may_not(tmp_path):
    request = job(tmp_path, "w8a8", "iOS18", kept=("wide", "head"))
    request = attrs.evolve(request, quantization=attrs.evolve(request.quantization, stored={"forward": frozenset({READERS["head"]})}))
    TARGET.lower(request)
    operators = TARGET.inspect(request.destination).operators
    assert operators[OF_GROUPS] == 3
    assert operators["quantize"] == 1


def test_methods_share_stored_weights(tmp_path):
    methods = (attrs.evolve(METHOD, name="early"), attrs.evolve(METHOD, name="late"))
    for name, given in (("both", methods), ("one", methods[:1])):
        (tmp_path / name).mkdir()
        TARGET.lower(job(tmp_path / name, "palette4", "iOS18", methods=given))
    both, one = (tmp_path / name / "net.mlpackage" for name in ("both", "one"))
    assert weights_of(both) == weights_of(one)
    assert TARGET.inspect(both).operators_by_method["late"][TABLE] == len(PARAMETERS)


def test_equal_requests_give_equal_bytes(tmp_path):
    found = set()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        request = job(tmp_path / name, "w8a8", "iOS17")
        TARGET.lower(request)
        found.add(digest(request.destination))
    assert len(found) == 1


def test_nothing_to_choose_ranges_from_is_refused(tmp_path):
    with pytest.raises(LoweringError, match="cannot be quantized as w8a8"):
        TARGET.lower(job(tmp_path, "w8a8", "iOS17", calibration=()))
    assert not (tmp_path / "net.mlpackage").exists()


def test_what_a_system_does_not_have_is_refused(tmp_path):
    request = job(tmp_path, "w8a32", "iOS17")
    with pytest.raises(LoweringError, match="for iOS17 cannot be w4a32") as caught:
        TARGET.lower(attrs.evolve(request, quantization=Quantization(scheme=scheme_of("w4a32"))))
    assert caught.value.hint == "--deployment-target iOS18"
    assert not (tmp_path / "net.mlpackage").exists()
