import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import flatbuffers
import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
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
from edgekit.targets.tflite import TARGET
from edgekit.targets.tflite.delegation import with_first_subgraph
from edgekit.targets.tflite.flatbuffer import metadata_of, operators_of, parse

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
        return logits, features, logits.argmax(dim=1).to(torch.int32)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        return self.conv(image).relu().mean(dim=(2, 3)).argmax(dim=1)


class Head(nn.Module):
    def __init__(self, small: Small) -> None:
        super().__init__()
        self.small = small

    def forward(self, features):
        return self.small.head(self.small.block(features).mean(dim=(2, 3)))


def tensor(name: str, shape: tuple[int, ...], layout: str, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape, layout=layout)


FORWARD = MethodSpec(
    name="forward",
    inputs=(tensor("image", (1, 14, 14, 3), "NHWC"),),
    outputs=(tensor("logits", (1, 10), "NC"), tensor("features", (1, 14, 14, 16), "NHWC"), tensor("winner", (1,), "other", "int32")),
)
TINY = MethodSpec(name="forward", inputs=(tensor("image", (1, 8, 8, 3), "NHWC"),), outputs=(tensor("winner", (1,), "other", "int32"),))
FROM_FEATURES = MethodSpec(name="head", inputs=(tensor("features", (1, 14, 14, 16), "NHWC"),), outputs=(tensor("logits", (1, 10), "NC"),))


def program(model: nn.Module, *shapes: tuple[int, ...]) -> ExportedProgram:
    return torch.export.export(model.eval(), tuple(torch.randn(shape) for shape in shapes), strict=False)


def job(destination: Path, *pairs: tuple[MethodSpec, ExportedProgram]) -> LoweringJob:
    return LoweringJob(
        programs={method.name: exported for method, exported in pairs},
        methods=tuple(method for method, _ in pairs),
        recipe=Recipe(model="small", target="tflite"),
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
    path = tmp_path_factory.mktemp("tflite") / "small.tflite"
    TARGET.lower(job(path, (FORWARD, program(small, (1, 3, 14, 14)))))
    return path


@pytest.fixture(scope="module")
def two_methods(small, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tflite") / "two.tflite"
    TARGET.lower(job(path, (FORWARD, program(small, (1, 3, 14, 14))), (FROM_FEATURES, program(Head(small), (1, 16, 14, 14)))))
    return path


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, 14, 14, generator=torch.Generator().manual_seed(seed))


def last(value: torch.Tensor) -> np.ndarray:
    return value.detach().permute(0, 2, 3, 1).numpy()


def test_methods_are_read_from_the_file(artifact):
    assert TARGET.open(artifact).methods == (FORWARD,)


def test_same_numbers_as_eager(small, artifact):
    executable = TARGET.open(artifact)
    for seed in range(3):
        x = image(seed)
        logits, features, winner = small(x)
        outputs = executable.run("forward", {"image": last(x)})
        assert list(outputs) == ["logits", "features", "winner"]
        np.testing.assert_allclose(outputs["logits"], logits.detach().numpy(), rtol=0, atol=1e-5)
        np.testing.assert_allclose(outputs["features"], last(features), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(outputs["winner"], winner.numpy())


def test_outputs_survive_the_next_run(artifact):
    executable = TARGET.open(artifact)
    first = executable.run("forward", {"image": last(image(0))})["logits"]
    kept = first.copy()
    executable.run("forward", {"image": last(image(1))})
    np.testing.assert_array_equal(first, kept)


def test_several_open_at_once_and_threads_change_nothing(artifact):
    one, two = TARGET.open(artifact), TARGET.open(artifact, threads=2)
    inputs = {"image": last(image())}
    np.testing.assert_allclose(one.run("forward", inputs)["logits"], two.run("forward", inputs)["logits"], rtol=0, atol=1e-6)


def test_metadata_and_description_are_in_the_file(artifact):
    model = parse(artifact.read_bytes())
    entries = metadata_of(model)
    assert METADATA.as_strings().items() <= {key: data.decode(errors="replace") for key, data in entries.items()}.items()
    assert model.Description().decode() == METADATA.description


def test_same_request_same_bytes(small, artifact, tmp_path):
    TARGET.lower(job(tmp_path / "again.tflite", (FORWARD, program(small, (1, 3, 14, 14)))))
    assert (tmp_path / "again.tflite").read_bytes() == artifact.read_bytes()


def test_no_path_of_this_machine_and_tensors_named_by_module(artifact):
    content = artifact.read_bytes()
    for path in (REPOSITORY, Path(sys.prefix), Path.home()):
        assert str(path).encode() not in content
    assert b"block.proj.conv" in content
    assert b"MetaMobileBlock" not in content


def test_program_is_left_as_it_was(tmp_path):
    exported = program(Tiny(), (1, 3, 8, 8))
    weights = {name: value.clone() for name, value in exported.state_dict.items()}
    before, metas = str(exported.graph), [dict(node.meta) for node in exported.graph.nodes]
    TARGET.lower(job(tmp_path / "a.tflite", (TINY, exported)))
    assert str(exported.graph) == before
    assert [node.meta.keys() for node in exported.graph.nodes] == [meta.keys() for meta in metas]
    for name, value in exported.state_dict.items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)


def test_infinities_of_the_model_are_left_alone(tmp_path):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.tensor([0.0, -torch.inf, 0.0]))

        def forward(self, x):
            return (x + self.mask).softmax(dim=-1)

    model = Masked()
    method = MethodSpec(name="forward", inputs=(tensor("x", (1, 3), "NC"),), outputs=(tensor("y", (1, 3), "NC"),))
    TARGET.lower(job(tmp_path / "a.tflite", (method, program(model, (1, 3)))))
    assert torch.isneginf(model.mask[1])
    x = torch.tensor([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(TARGET.open(tmp_path / "a.tflite").run("forward", {"x": x.numpy()})["y"], model(x).numpy(), rtol=0, atol=1e-6)


def test_two_methods_share_their_weights(small, artifact, two_methods):
    executable = TARGET.open(two_methods)
    assert executable.methods == (FORWARD, FROM_FEATURES)
    x = image()
    _, features, _ = small(x)
    again = small.block(features)
    outputs = executable.run("head", {"features": last(features)})
    np.testing.assert_allclose(outputs["logits"], small.head(again.mean(dim=(2, 3))).detach().numpy(), rtol=0, atol=1e-5)
    single, double = TARGET.inspect(artifact).sections["weights"], TARGET.inspect(two_methods).sections["weights"]
    assert double - single < 0.1 * single


def test_inspection_adds_up_and_names_what_stays_outside(artifact):
    inspection = TARGET.inspect(artifact)
    assert sum(inspection.sections.values()) == artifact.stat().st_size
    assert inspection.methods == (FORWARD,)
    assert inspection.operators["DEPTHWISE_CONV_2D"] == 1
    assert inspection.operators["SOFTMAX"] == 2
    # XNNPACK has no ARG_MAX.
    assert inspection.delegation.not_delegated == {"ARG_MAX": 1}
    total = sum(inspection.operators.values())
    assert inspection.delegation.share == pytest.approx((total - 1) / total)
    assert inspection.delegation.subgraphs == 1


def test_delegation_covers_every_method(artifact, two_methods):
    one, two = TARGET.inspect(artifact), TARGET.inspect(two_methods)
    assert sum(two.operators.values()) > sum(one.operators.values())
    assert two.operators_by_method["forward"] == one.operators
    assert two.operators_by_method["head"] == Counter(two.operators) - Counter(one.operators)
    assert two.delegation.not_delegated == {"ARG_MAX": 1}
    assert two.delegation.subgraphs == 2


def test_subgraphs_swap_their_places(two_methods):
    content = two_methods.read_bytes()
    before, after = parse(content), parse(with_first_subgraph(content, 1))
    for here, there in ((0, 1), (1, 0)):
        assert operators_of(before, before.Subgraphs(here)) == operators_of(after, after.Subgraphs(there))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "given: none"),
        ({"picture": np.zeros((1, 14, 14, 3), np.float32)}, "given: picture"),
        ({"image": np.zeros((1, 3, 14, 14), np.float32)}, "float32 (1, 3, 14, 14)"),
        ({"image": np.zeros((1, 14, 14, 3), np.float64)}, "float64 (1, 14, 14, 3)"),
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
        (bytes(range(128, 250)), "80 81"),
    ],
)
def test_foreign_files_are_named(tmp_path, content, words):
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    for look in (TARGET.open, TARGET.inspect):
        with pytest.raises(ArtifactError) as caught:
            look(path)
        assert words in str(caught.value)
    with pytest.raises(ArtifactError, match="cannot read"):
        TARGET.open(tmp_path / "none.tflite")


def test_truncated_files_are_refused(artifact, tmp_path):
    content = artifact.read_bytes()
    path = tmp_path / "cut.tflite"
    lengths = [*range(0, 200, 7), *range(200, len(content), len(content) // 150), len(content) - 16, len(content) - 1]
    for length in lengths:
        path.write_bytes(content[:length])
        with pytest.raises(ArtifactError):
            TARGET.open(path)


_OPEN_ALL = """
import sys
from pathlib import Path
from edgekit.errors import EdgekitError
from edgekit.targets.tflite import TARGET
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
    for number in range(150):
        damaged = bytearray(content)
        reach = len(content) if number % 3 else 400
        for _ in range(1 + number % 4):
            damaged[choose.randrange(reach)] = choose.randrange(256)
        (tmp_path / f"{number:03}.tflite").write_bytes(damaged)
    done = subprocess.run([sys.executable, "-c", _OPEN_ALL, str(tmp_path)], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.split()) == 150


def rewrite(content: bytes, edit) -> bytes:
    """Change a flatbuffer through the schema's object interface; its offsets stay right."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    edit(model)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _huge_tensor(model):
    model.subgraphs[0].tensors[0].shape = np.array([1, 14, 1 << 24, 3], np.int32)


def _operator_without_operands(model):
    model.subgraphs[0].operators[2].inputs = np.array([-1, -1], np.int32)


def _foreign_operator_code(model):
    model.subgraphs[0].operators[0].opcodeIndex = 9999


def _foreign_tensor(model):
    model.signatureDefs[0].outputs[0].tensorIndex = 100_000


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_huge_tensor, "elements of a tensor: 704643072"),
        (_operator_without_operands, "first operand"),
        (_foreign_operator_code, "operator code: 9999"),
        (_foreign_tensor, "tensor: 100000"),
        (lambda model: setattr(model, "signatureDefs", []), "no signature"),
    ],
)
def test_damage_that_offsets_do_not_show_is_refused(artifact, tmp_path, edit, words):
    path = tmp_path / "x.tflite"
    path.write_bytes(rewrite(artifact.read_bytes(), edit))
    for look in (TARGET.open, TARGET.inspect):
        with pytest.raises(ArtifactError) as caught:
            look(path)
        assert words in str(caught.value)


class Sorted(nn.Module):
    def forward(self, image):
        return torch.sort(image, dim=-1).values


class Bessel(nn.Module):
    def forward(self, image):
        return torch.special.bessel_j0(image)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Sorted(), ("no kernel for STABLEHLO_SORT", "torch.sort(image, dim=-1).values", "test_tflite.py")),
        (
            Bessel(),
            (
                "aten.special_bessel_j0.default is in the way",
                "torch.special.bessel_j0(image)",
                "LiteRT's converter has no conversion of aten.special_bessel_j0.default",
            ),
        ),
    ],
)
def test_failures_name_the_operator_and_the_users_line(tmp_path, model, words):
    shape = (1, 3, 8, 8)
    method = MethodSpec(name="forward", inputs=(tensor("image", shape, "NCHW"),), outputs=(tensor("y", shape, "NCHW"),))
    with pytest.raises(LoweringError) as caught:
        TARGET.lower(job(tmp_path / "a.tflite", (method, program(model, shape))))
    for word in words:
        assert word in str(caught.value)
    assert not (tmp_path / "a.tflite").exists()


def test_another_interface_than_asked_for_is_refused(tmp_path):
    method = MethodSpec(name="forward", inputs=TINY.inputs, outputs=(tensor("winner", (1,), "other", "int64"),))
    with pytest.raises(LoweringError, match="another interface"):
        TARGET.lower(job(tmp_path / "a.tflite", (method, program(Tiny(), (1, 3, 8, 8)))))


def test_nothing_is_printed(tmp_path, capfd):
    exported = program(Tiny(), (1, 3, 8, 8))
    capfd.readouterr()
    TARGET.lower(job(tmp_path / "a.tflite", (TINY, exported)))
    TARGET.open(tmp_path / "a.tflite").run("forward", {"image": np.zeros((1, 8, 8, 3), np.float32)})
    TARGET.inspect(tmp_path / "a.tflite")
    assert capfd.readouterr() == ("", "")


class Pair(NamedTuple):
    means: torch.Tensor
    best: torch.Tensor


class Named(nn.Module):
    def forward(self, image):
        return {"pair": Pair(image.mean((2, 3)), image.amax((2, 3))), "least": image.amin((2, 3))}


def test_results_in_classes_of_the_users_own_become_results_in_a_row(tmp_path):
    """The converter names results by their structure, and stopped at a named tuple: "'type' object is not iterable"."""
    image = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = tuple(tensor(name, (1, 3), "NC") for name in ("means", "best", "least"))
    spec = MethodSpec(name="forward", inputs=(tensor("image", (1, 8, 8, 3), "NHWC"),), outputs=outputs)
    TARGET.lower(job(tmp_path / "named.tflite", (spec, torch.export.export(Named(), (image,)))))
    found = TARGET.open(tmp_path / "named.tflite").run("forward", {"image": image.permute(0, 2, 3, 1).numpy().copy()})
    for name, expected in (("means", image.mean((2, 3))), ("best", image.amax((2, 3))), ("least", image.amin((2, 3)))):
        np.testing.assert_allclose(found[name], expected.numpy(), rtol=1e-6)
