import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

import edgekit
from edgekit.errors import ArtifactError, BadInputError, LoweringError, UnknownNameError, UsageError
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.models.emov2 import MetaMobileBlock
from edgekit.models.untrained import fill_untrained
from edgekit.ops.layer_norm import LayerNorm2d
from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.onnx import TARGET
from edgekit.targets.onnx.lower import OPSET

REPOSITORY = Path(next(iter(edgekit.__path__))).parent
METADATA = Metadata(
    description="a small net, naïvely",
    author="edgekit",
    license="Apache-2.0",
    edgekit_version="0.1.0",
    preprocessing=Preprocessing(resolution=14),
    trained=False,
)


class Small(nn.Module):
    """An EMOv2 block with attention between convolutions: 14 x 14 pixels to a class index, logits and a map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1)
        operator = SpanningAttention(16, 32, head_dim=8, window=7)
        self.block = MetaMobileBlock(16, 16, 32, norm=LayerNorm2d(16), operator=operator, stride=1)
        self.head = nn.Linear(16, 10)

    def forward(self, image):
        features = self.block(self.stem(image))
        logits = self.head(features.mean(dim=(2, 3)))
        return logits, features, logits.argmax(dim=1)


def tensor(name: str, shape: tuple[int, ...], layout: str, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape, layout=layout)


FORWARD = MethodSpec(
    name="forward",
    inputs=(tensor("image", (1, 3, 14, 14), "NCHW"),),
    outputs=(tensor("logits", (1, 10), "NC"), tensor("features", (1, 16, 14, 14), "NCHW"), tensor("winner", (1,), "other", "int64")),
)


def program(model: nn.Module, shape: tuple[int, ...]) -> ExportedProgram:
    return torch.export.export(model.eval(), (torch.randn(shape),), strict=False)


def job(destination: Path, *pairs: tuple[MethodSpec, ExportedProgram]) -> LoweringJob:
    return LoweringJob(
        programs={method.name: exported for method, exported in pairs},
        methods=tuple(method for method, _ in pairs),
        recipe=Recipe(model="small", target="onnx"),
        metadata=METADATA,
        destination=destination,
    )


@pytest.fixture(scope="module")
def small() -> Small:
    model = Small().eval()
    fill_untrained(model)
    return model


@pytest.fixture(scope="module")
def artifact(small, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    TARGET.lower(job(path, (FORWARD, program(small, (1, 3, 14, 14)))))
    return path


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, 14, 14, generator=torch.Generator().manual_seed(seed))


def test_methods_are_read_from_the_file(artifact):
    assert TARGET.open(artifact).methods == (FORWARD,)


def test_same_numbers_as_eager(small, artifact):
    executable = TARGET.open(artifact)
    for seed in range(3):
        x = image(seed)
        logits, features, winner = small(x)
        outputs = executable.run("forward", {"image": x.numpy()})
        assert list(outputs) == ["logits", "features", "winner"]
        np.testing.assert_allclose(outputs["logits"], logits.detach().numpy(), rtol=0, atol=1e-5)
        np.testing.assert_allclose(outputs["features"], features.detach().numpy(), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(outputs["winner"], winner.numpy())


def test_several_open_at_once_and_threads_change_nothing(artifact):
    one, two = TARGET.open(artifact), TARGET.open(artifact, threads=2)
    inputs = {"image": image().numpy()}
    first = one.run("forward", inputs)["logits"]
    kept = first.copy()
    np.testing.assert_allclose(first, two.run("forward", inputs)["logits"], rtol=0, atol=1e-6)
    one.run("forward", {"image": image(1).numpy()})
    np.testing.assert_array_equal(first, kept)


def test_the_file_is_a_valid_model_and_says_what_it_is(artifact):
    model = onnx.load(artifact)
    onnx.checker.check_model(model, full_check=True)
    assert (model.producer_name, model.producer_version, model.doc_string) == ("edgekit", "0.1.0", METADATA.description)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]
    assert METADATA.as_strings().items() <= {entry.key: entry.value for entry in model.metadata_props}.items()


def test_weights_are_inside_and_nodes_know_their_module(artifact):
    model = onnx.load(artifact, load_external_data=False)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    scopes = {node.op_type: {entry.key: entry.value for entry in node.metadata_props} for node in model.graph.node}
    assert scopes["Gemm"].keys() == {"module"}
    assert scopes["Gemm"]["module"] == "head"


def test_no_path_of_this_machine(artifact):
    content = artifact.read_bytes()
    for words in (str(REPOSITORY), sys.prefix, str(Path.home()), ".py", "stack_trace"):
        assert words.encode() not in content


def test_same_request_same_bytes(small, artifact, tmp_path):
    TARGET.lower(job(tmp_path / "again.onnx", (FORWARD, program(small, (1, 3, 14, 14)))))
    assert (tmp_path / "again.onnx").read_bytes() == artifact.read_bytes()


def test_program_is_left_as_it_was(small, tmp_path):
    exported = program(small, (1, 3, 14, 14))
    before = str(exported.graph)
    TARGET.lower(job(tmp_path / "a.onnx", (FORWARD, exported)))
    assert str(exported.graph) == before


def test_inspection_adds_up(small, artifact):
    inspection = TARGET.inspect(artifact)
    assert sum(inspection.sections.values()) == artifact.stat().st_size
    assert min(inspection.sections.values()) >= 0
    parameters = 4 * sum(parameter.numel() for parameter in small.parameters())
    assert 0.9 * parameters < inspection.sections["weights"] < 1.1 * parameters
    assert inspection.methods == (FORWARD,)
    assert inspection.operators["Softmax"] == 2
    assert inspection.operators["LayerNormalization"] == 1
    assert inspection.operators_by_method == {"forward": inspection.operators}
    assert inspection.delegation.share is None


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "given: none"),
        ({"picture": np.zeros((1, 3, 14, 14), np.float32)}, "given: picture"),
        ({"image": np.zeros((1, 14, 14, 3), np.float32)}, "float32 (1, 14, 14, 3)"),
        ({"image": np.zeros((1, 3, 14, 14), np.float64)}, "float64 (1, 3, 14, 14)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(artifact, inputs, words):
    with pytest.raises(BadInputError) as caught:
        TARGET.open(artifact).run("forward", inputs)
    assert words in str(caught.value)


def test_unknown_method_and_no_threads_are_refused(artifact):
    with pytest.raises(UnknownNameError, match="unknown method 'forwards'"):
        TARGET.open(artifact).run("forwards", {})
    with pytest.raises(UsageError, match="threads is 0"):
        TARGET.open(artifact, threads=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        (b'{"schema_version": 1}', "text, 21 bytes"),
        (b"\x20\0\0\0TFL3" + bytes(50), "a TFLite flatbuffer"),
    ],
)
def test_foreign_files_are_named(tmp_path, content, words):
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    for look in (TARGET.open, TARGET.inspect):
        with pytest.raises(ArtifactError) as caught:
            look(path)
        assert words in str(caught.value)
    with pytest.raises(ArtifactError, match="cannot read"):
        TARGET.open(tmp_path / "none.onnx")


def test_truncated_files_are_refused(artifact, tmp_path):
    content = artifact.read_bytes()
    path = tmp_path / "cut.onnx"
    # Every length in the last kilobyte: there the graph is complete, and a cut between two fields is a valid message.
    for length in [*range(0, 200, 7), *range(200, len(content), len(content) // 100), *range(len(content) - 1000, len(content))]:
        path.write_bytes(content[:length])
        for look in (TARGET.open, TARGET.inspect):
            with pytest.raises(ArtifactError):
                look(path)


_OPEN_ALL = """
import sys
from pathlib import Path
from edgekit.errors import EdgekitError
from edgekit.targets.onnx import TARGET
for path in sorted(Path(sys.argv[1]).iterdir()):
    for look in (TARGET.inspect, TARGET.open):
        try:
            look(path)
        except EdgekitError:
            pass
    print(path.name)
"""


def test_corrupted_files_never_take_the_process_down(artifact, tmp_path):
    content, choose = artifact.read_bytes(), random.Random(0)
    for number in range(60):
        damaged = bytearray(content)
        reach = len(content) if number % 3 else 400
        for _ in range(1 + number % 4):
            damaged[choose.randrange(reach)] = choose.randrange(256)
        (tmp_path / f"{number:03}.onnx").write_bytes(damaged)
    done = subprocess.run([sys.executable, "-c", _OPEN_ALL, str(tmp_path)], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.split()) == 60


class Kth(nn.Module):
    def forward(self, image):
        return torch.kthvalue(image, 2, dim=-1).values


def test_failure_names_the_operator_and_the_users_line(tmp_path):
    method = MethodSpec(name="forward", inputs=(tensor("image", (1, 3, 8, 8), "NCHW"),), outputs=(tensor("y", (1, 3, 8), "other"),))
    with pytest.raises(LoweringError) as caught:
        TARGET.lower(job(tmp_path / "a.onnx", (method, program(Kth(), (1, 3, 8, 8)))))
    for word in (
        "aten.kthvalue.default is in the way",
        "torch.kthvalue(image, 2, dim=-1).values",
        "test_onnx.py",
        "torch.onnx has no conversion of aten.kthvalue.default",
        "topk",
    ):
        assert word in str(caught.value)
    assert not (tmp_path / "a.onnx").exists()


def test_several_methods_are_refused(small, tmp_path):
    exported = program(small, (1, 3, 14, 14))
    other = MethodSpec(name="other", inputs=FORWARD.inputs, outputs=FORWARD.outputs)
    with pytest.raises(UsageError) as caught:
        TARGET.lower(job(tmp_path / "a.onnx", (FORWARD, exported), (other, exported)))
    assert "holds one method, and this model has 2" in str(caught.value)


def test_another_interface_than_asked_for_is_refused(small, tmp_path):
    method = MethodSpec(name="forward", inputs=(tensor("image", (1, 14, 14, 3), "NHWC"),), outputs=FORWARD.outputs)
    with pytest.raises(LoweringError, match="another interface"):
        TARGET.lower(job(tmp_path / "a.onnx", (method, program(small, (1, 3, 14, 14)))))


def test_nothing_is_printed(small, tmp_path, capfd):
    exported = program(small, (1, 3, 14, 14))
    capfd.readouterr()
    TARGET.lower(job(tmp_path / "a.onnx", (FORWARD, exported)))
    TARGET.open(tmp_path / "a.onnx").run("forward", {"image": image().numpy()})
    TARGET.inspect(tmp_path / "a.onnx")
    assert capfd.readouterr() == ("", "")
