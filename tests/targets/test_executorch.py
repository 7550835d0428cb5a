"""The executorch target: lowers, runs, describes itself, refuses what it cannot take, survives damaged files."""

import contextlib
import gc
import math
import struct
import subprocess
import sys

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import ArtifactError, BadInputError, LoweringError, UnknownNameError, UsageError
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.recipe import Recipe
from edgekit.targets.base import CannotRunHere, LoweringJob, Metadata
from edgekit.targets.executorch import TARGET
from edgekit.targets.executorch import lower as lowering

RELATIVE_TOLERANCE = 1e-5  # of the largest logit; float32 on both sides
FORWARD = MethodSpec(
    name="forward",
    inputs=(TensorSpec(name="image", dtype="float32", shape=(1, 3, 16, 16), layout="NCHW"),),
    outputs=(TensorSpec(name="logits", dtype="float32", shape=(1, 5), layout="NC"),),
)


class Small(nn.Module):
    """Has what XNNPACK takes (conv, gelu, linear) and what it leaves (layer norm)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 5)

    def forward(self, image):
        x = nn.functional.gelu(self.bn(self.conv(image))).flatten(2).transpose(1, 2)
        return self.head(self.norm(x).mean(1))


class Median(Small):
    def forward(self, image):
        logits = super().forward(image)
        return logits - torch.kthvalue(logits, 2, dim=-1, keepdim=True).values


@pytest.fixture(scope="module")
def image():
    return torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Small().eval()


def job(module, destination, *, backend=None, methods=(FORWARD,)):
    program = torch.export.export(module.eval(), (torch.zeros(1, 3, 16, 16),), strict=False)
    return LoweringJob(
        programs={method.name: program for method in methods},
        methods=methods,
        recipe=Recipe(model="small", target="executorch", backend=backend),
        metadata=Metadata(
            description="a test",
            author="tests",
            license="none",
            edgekit_version="0",
            preprocessing=Preprocessing(resolution=16),
            labels=tuple("abcde"),
        ),
        destination=destination,
    )


def lowered(module, folder, **options):
    path = folder / "small.pte"
    TARGET.lower(job(module, path, **options))
    return path


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    return lowered(model, tmp_path_factory.mktemp("xnnpack"))


def assert_close(actual, expected):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= RELATIVE_TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("backend", ["xnnpack", "portable"])
def test_runs_as_eager_does(backend, model, image, tmp_path):
    executable = TARGET.open(lowered(model, tmp_path, backend=backend))
    outputs = executable.run("forward", {"image": image.numpy()})
    assert list(outputs) == ["logits"]
    assert_close(outputs["logits"], model(image).detach().numpy())


def test_outputs_stay_valid_after_the_next_run(path, image):
    executable = TARGET.open(path)
    first = executable.run("forward", {"image": image.numpy()})["logits"]
    kept = first.copy()
    executable.run("forward", {"image": -image.numpy()})
    assert np.array_equal(first, kept)


def test_names_shapes_and_layouts_are_in_the_file(path):
    assert TARGET.open(path).methods == (FORWARD,)


def test_the_only_method_listed_by_the_runtime_is_forward(path):
    from executorch.runtime import Runtime

    assert Runtime.get().load_program(path.read_bytes()).method_names == {"forward"}


def test_a_file_without_edgekits_entry_has_names_by_position(model, image, tmp_path):
    from executorch.exir import to_edge

    program = torch.export.export(model, (image,), strict=False)
    file = tmp_path / "foreign.pte"
    file.write_bytes(to_edge(program).to_executorch().buffer)
    executable = TARGET.open(file)
    (method,) = executable.methods
    assert [t.name for t in (*method.inputs, *method.outputs)] == ["input_0", "output_0"]
    assert_close(executable.run("forward", {"input_0": image.numpy()})["output_0"], model(image).detach().numpy())


def test_several_methods_share_one_file(model, image, tmp_path):
    methods = (attrs.evolve(FORWARD, name="late"), attrs.evolve(FORWARD, name="early"))
    file = lowered(model, tmp_path, methods=methods)
    executable, inspection = TARGET.open(file), TARGET.inspect(file)
    assert inspection.operators_by_method.keys() == {"early", "late"}
    for operators in inspection.operators_by_method.values():
        assert {name: 2 * count for name, count in operators.items()} == inspection.operators
    assert {method.name for method in executable.methods} == {"early", "late"}
    for name in ("early", "late"):
        assert_close(executable.run(name, {"image": image.numpy()})["logits"], model(image).detach().numpy())


def test_equal_requests_give_equal_bytes(path, model, tmp_path):
    assert lowered(model, tmp_path).read_bytes() == path.read_bytes()


def test_thrift_changes_no_byte(path, model, tmp_path, monkeypatch):
    monkeypatch.setattr(lowering, "thrift", contextlib.nullcontext)
    assert lowered(model, tmp_path).read_bytes() == path.read_bytes()


def test_thrift_leaves_torch_and_executorch_as_they_were():
    from executorch.exir.pass_base import ExportPass
    from torch.fx import GraphModule
    from torch.fx.traceback import NodeSource

    from edgekit.targets.executorch.thrift import thrift

    before = (GraphModule.recompile, ExportPass.call, "__deepcopy__" in vars(NodeSource))
    with thrift():
        assert GraphModule.recompile is not before[0]
    assert (GraphModule.recompile, ExportPass.call, "__deepcopy__" in vars(NodeSource)) == before


def test_lowering_leaves_the_program_as_it_was(model, tmp_path):
    request = job(model, tmp_path / "small.pte")
    before = str(request.programs["forward"])
    TARGET.lower(request)
    assert str(request.programs["forward"]) == before


def test_nothing_is_printed(model, image, tmp_path, capfd):
    TARGET.open(lowered(model, tmp_path)).run("forward", {"image": image.numpy()})
    TARGET.inspect(tmp_path / "small.pte")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("backend", ["xnnpack", "portable"])
def test_an_operator_without_kernel_is_refused_with_the_users_line(backend, tmp_path):
    with pytest.raises(LoweringError) as caught:
        lowered(Median(), tmp_path, backend=backend)
    assert "kthvalue" in caught.value.summary
    assert "aten::kthvalue.values" in caught.value.why
    assert "torch.kthvalue(logits, 2" in caught.value.where
    assert not (tmp_path / "small.pte").exists()


def test_a_converter_failure_keeps_its_cause(model, tmp_path, monkeypatch):
    def fail(_job):
        raise ValueError("cannot handle node layer_norm of rank 9")

    monkeypatch.setattr(lowering, "_convert", fail)
    with pytest.raises(LoweringError, match="layer_norm is in the way") as caught:
        lowered(model, tmp_path)
    assert isinstance(caught.value.__cause__, ValueError)
    assert "self.norm(x)" in caught.value.where


@pytest.mark.parametrize("backend", ["coreml", "vulkan"])
def test_a_phones_delegate_cannot_run_here_but_can_be_inspected(backend, model, tmp_path):
    file = lowered(model, tmp_path, backend=backend)
    assert TARGET.inspect(file).delegation.subgraphs >= 1
    with pytest.raises(CannotRunHere, match="nothing on this host runs"):
        TARGET.open(file)


def test_inspection_counts_operators_and_every_byte(path, model):
    inspection = TARGET.inspect(path)
    assert inspection.methods == (FORWARD,)
    assert inspection.operators["xnnpack::Conv2d"] == 1
    assert inspection.operators["xnnpack::Gelu"] == 1
    assert inspection.operators["aten::native_layer_norm.out"] == 1
    outside = sum(inspection.delegation.not_delegated.values())
    total = sum(inspection.operators.values())
    assert inspection.delegation.share == (total - outside) / total
    assert inspection.delegation.subgraphs == 2
    assert inspection.operators_by_method == {"forward": inspection.operators}
    values = 4 * sum(math.prod(tensor.shape) for tensor in (*FORWARD.inputs, *FORWARD.outputs))
    assert inspection.planned_bytes >= values
    assert sum(inspection.sections.values()) == path.stat().st_size
    parameters = sum(p.numel() for p in model.parameters()) - 16  # batch normalisation is folded away
    assert inspection.sections["weights"] >= 4 * parameters


def test_portable_programs_delegate_nothing(model, tmp_path):
    delegation = TARGET.inspect(lowered(model, tmp_path, backend="portable")).delegation
    assert (delegation.share, delegation.subgraphs) == (0.0, 0)


def test_every_truncation_is_refused(path, tmp_path):
    content = path.read_bytes()
    file = tmp_path / "cut.pte"
    for length in [*range(80), *range(80, len(content), 131), len(content) - 1]:
        file.write_bytes(content[:length])
        for use in (TARGET.open, TARGET.inspect):
            with pytest.raises(ArtifactError):
                use(file)


def test_a_header_that_lies_is_refused(path, tmp_path):
    content = path.read_bytes()
    file = tmp_path / "lie.pte"
    lies = {16: (0, 1, 2**31, 2**63), 24: (0, 1, 2**31, 2**63), 32: (0, 1, 2**31, 2**63)}
    for position, values in lies.items():  # sizes of the program, of all before the segments, of the segments
        for value in values:
            file.write_bytes(content[:position] + struct.pack("<Q", value) + content[position + 8 :])
            with pytest.raises(ArtifactError):
                TARGET.open(file)


def test_damaged_tables_are_refused_or_read_but_never_crash_inspection(path, tmp_path):
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    file = tmp_path / "flipped.pte"
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[rng.integers(8, 2600)] = rng.integers(256)
        file.write_bytes(damaged)
        try:
            TARGET.inspect(file)
        except ArtifactError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 zip", b"\x00" * 4096, b"\x1c\x00\x00\x00TFL3" + bytes(100), b"\x10\x00\x00\x00ET12"])
def test_foreign_files_are_refused_with_what_they_are(content, tmp_path):
    file = tmp_path / "foreign.pte"
    file.write_bytes(content)
    with pytest.raises(ArtifactError):
        TARGET.open(file)
    with pytest.raises(ArtifactError):
        TARGET.inspect(file)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="cannot read"):
        TARGET.open(tmp_path / "none.pte")


def test_wrong_calls_are_refused(path, image):
    executable = TARGET.open(path)
    with pytest.raises(UnknownNameError):
        executable.run("backward", {"image": image.numpy()})
    with pytest.raises(BadInputError, match="takes other inputs"):
        executable.run("forward", {"picture": image.numpy()})
    with pytest.raises(BadInputError, match="does not fit"):
        executable.run("forward", {"image": image.numpy()[:, :, :8]})
    with pytest.raises(BadInputError, match="does not fit"):
        executable.run("forward", {"image": image.double().numpy()})


def test_threads_change_only_while_nothing_is_open(path):
    from executorch.extension.pybindings import portable_lib

    gc.collect()
    executable = TARGET.open(path, threads=1)
    assert portable_lib._threadpool_get_thread_count() == 1
    with pytest.raises(UsageError, match="another program is open"):
        TARGET.open(path, threads=2)
    del executable
    gc.collect()
    again = TARGET.open(path, threads=2)
    assert portable_lib._threadpool_get_thread_count() == 2
    del again
    gc.collect()
    TARGET.open(path, threads=1)
    with pytest.raises(UsageError):
        TARGET.open(path, threads=0)


def test_importing_the_target_imports_no_vendor_package():
    code = "import sys, edgekit.targets.executorch; sys.exit('executorch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
