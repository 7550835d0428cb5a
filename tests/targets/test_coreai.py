"""The coreai target: assets that repeat byte for byte, compute in half where asked to, share weights, and are not trusted when read."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from torch import nn

import edgekit
from edgekit.artifact import size_bytes
from edgekit.capabilities import target_facts
from edgekit.errors import ArtifactError, BadInputError, LoweringError, UnknownNameError, UsageError
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.models.emov2 import MetaMobileBlock
from edgekit.models.untrained import fill_untrained
from edgekit.ops.layer_norm import LayerNorm2d
from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.coreai import TARGET
from edgekit.targets.coreai.half import in_half_precision
from edgekit.verification.parity import sqnr_db

REPOSITORY = Path(next(iter(edgekit.__path__))).parent
METADATA = Metadata(
    description="a small net, naïvely",
    author="edgekit",
    license="Apache-2.0",
    edgekit_version="0.1.0",
    preprocessing=Preprocessing(resolution=14),
    trained=False,
)
PROGRAM = "main.mlirb"


class Small(nn.Module):
    """An EMOv2 block with attention between convolutions: 14 x 14 pixels to logits, a map and a class index."""

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


class Wide(nn.Module):
    """Half a megabyte of weights, and two ways through them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(256, 512)
        self.head = nn.Linear(512, 4)

    def forward(self, image):
        return self.head(torch.relu(self.body(image)))


class Early(nn.Module):
    def __init__(self, whole: Wide) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, image):
        return self.whole.body(image)


class Branch(nn.Module):
    def forward(self, image):
        return torch.cond(image.sum() > 0, lambda x: x * 2, lambda x: x - 1, (image,))


class Kth(nn.Module):
    def forward(self, image):
        return torch.kthvalue(image, 2, dim=-1).values


def tensor(name: str, shape: tuple[int, ...], layout: str, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape, layout=layout)


def method(name: str, given: TensorSpec, *outputs: TensorSpec) -> MethodSpec:
    return MethodSpec(name=name, inputs=(given,), outputs=outputs)


IMAGE = tensor("image", (1, 3, 14, 14), "NCHW")
FORWARD = method(
    "forward", IMAGE, tensor("logits", (1, 10), "NC"), tensor("features", (1, 16, 14, 14), "NCHW"), tensor("winner", (1,), "other", "int64")
)
ROW = tensor("image", (1, 256), "other")
WHOLE = method("forward", ROW, tensor("logits", (1, 4), "NC"))
EARLY = method("early", ROW, tensor("features", (1, 512), "other"))


def capture(model: nn.Module, shape: tuple[int, ...]):
    return torch.export.export(model.eval(), (torch.randn(shape, generator=torch.Generator().manual_seed(0)),), strict=False)


def job(destination: Path, *pairs, precision: str = "fp32") -> LoweringJob:
    return LoweringJob(
        programs={spec.name: program for spec, program in pairs},
        methods=tuple(spec for spec, _ in pairs),
        recipe=Recipe(model="small", target="coreai", precision=precision),
        metadata=METADATA,
        destination=destination,
    )


@pytest.fixture(scope="module")
def small() -> Small:
    model = Small().eval()
    fill_untrained(model)
    return model


@pytest.fixture(scope="module")
def original(small, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("coreai") / "small.aimodel"
    TARGET.lower(job(path, (FORWARD, capture(small, IMAGE.shape))))
    return path


@pytest.fixture(scope="module")
def opened(original):
    return TARGET.open(original)


@pytest.fixture
def path(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy.aimodel"))


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, 14, 14, generator=torch.Generator().manual_seed(seed))


def refused(path: Path) -> str:
    """Expect both ways of looking at an asset to refuse it; return what opening says."""
    messages = []
    for look in (TARGET.inspect, TARGET.open):
        with pytest.raises(ArtifactError) as caught:
            look(path)
        messages.append(str(caught.value))
    return messages[1]


def test_methods_are_read_from_the_file(opened):
    narrow = attrs.evolve(FORWARD.outputs[2], dtype="int32")  # the format has no 64-bit numbers
    assert opened.methods == (attrs.evolve(FORWARD, outputs=(*FORWARD.outputs[:2], narrow)),)


def test_same_numbers_as_eager(small, opened):
    for seed in range(2):
        logits, features, winner = small(image(seed))
        outputs = opened.run("forward", {"image": image(seed).numpy()})
        assert list(outputs) == ["logits", "features", "winner"]
        np.testing.assert_allclose(outputs["logits"], logits.detach().numpy(), rtol=0, atol=1e-5)
        np.testing.assert_allclose(outputs["features"], features.detach().numpy(), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(outputs["winner"], winner.numpy())


def test_outputs_stay_valid_and_a_running_event_loop_is_no_obstacle(opened):
    first = opened.run("forward", {"image": image().numpy()})["logits"]
    kept = first.copy()

    async def notebook():
        return opened.run("forward", {"image": image(1).numpy()})["logits"]

    second = asyncio.run(notebook())
    np.testing.assert_array_equal(first, kept)
    assert not np.array_equal(first, second)


def test_metadata_is_in_the_file_without_a_date(original):
    content = json.loads((original / "metadata.json").read_text())
    assert {key: content[key] for key in ("author", "license", "description")} == {
        "author": METADATA.author,
        "license": METADATA.license,
        "description": METADATA.description,
    }
    assert content["producer"].startswith("coreai-core ")
    assert "creationDate" not in content
    pairs = content["creatorDefinedMetadata"]
    assert pairs["edgekit.version"] == "0.1.0"
    assert pairs["edgekit.trained"] == "false"
    assert json.loads(pairs["edgekit.preprocessing"])["resolution"] == 14
    assert hashlib.sha256((original / PROGRAM).read_bytes()).digest() == (original / "main.hash").read_bytes()


def test_no_path_of_this_machine(original):
    content = b"".join(file.read_bytes() for file in original.iterdir())
    for words in (str(REPOSITORY), sys.prefix, str(Path.home()), ".py", "resource_"):
        assert words.encode() not in content


_EXPORT = """
import sys
from pathlib import Path
from edgekit.artifact import digest
sys.path.insert(0, sys.argv[1])
import test_coreai as t
model = t.Small().eval()
t.fill_untrained(model)
pairs = [(t.FORWARD, t.capture(model, t.IMAGE.shape)), (t.attrs.evolve(t.FORWARD, name="again"), t.capture(model, t.IMAGE.shape))]
t.TARGET.lower(t.job(Path(sys.argv[2]), *pairs, precision=sys.argv[3]))
print(digest(Path(sys.argv[2])))
"""


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_same_request_same_bytes_in_another_process(precision, tmp_path):
    found = []
    for seed in ("1", "2"):
        command = [sys.executable, "-c", _EXPORT, str(Path(__file__).parent), str(tmp_path / f"{seed}.aimodel"), precision]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        found.append(subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY, env=environment).stdout)
    assert found[0] == found[1]
    assert len(found[0].strip()) == 64


def test_program_is_left_as_it_was(small, tmp_path):
    exported = capture(small, IMAGE.shape)
    before, weights = str(exported.graph), {name: value.clone() for name, value in exported.state_dict.items()}
    TARGET.lower(job(tmp_path / "a.aimodel", (FORWARD, exported), precision="fp16"))
    assert str(exported.graph) == before
    assert all(torch.equal(value, exported.state_dict[name]) for name, value in weights.items())
    assert all(value.dtype is weights[name].dtype for name, value in exported.state_dict.items())


def test_methods_share_their_weights(tmp_path):
    wide = Wide().eval()
    x = torch.randn(1, 256, generator=torch.Generator().manual_seed(1))
    whole, early = (WHOLE, capture(wide, ROW.shape)), (EARLY, capture(Early(wide), ROW.shape))
    TARGET.lower(job(tmp_path / "one.aimodel", whole))
    TARGET.lower(job(tmp_path / "two.aimodel", whole, early))
    weights = 4 * sum(parameter.numel() for parameter in wide.parameters())
    assert size_bytes(tmp_path / "one.aimodel") < 1.02 * weights
    assert size_bytes(tmp_path / "two.aimodel") < 1.02 * weights

    executable = TARGET.open(tmp_path / "two.aimodel")
    assert {spec.name: spec for spec in executable.methods} == {"forward": WHOLE, "early": EARLY}
    np.testing.assert_allclose(executable.run("forward", {"image": x.numpy()})["logits"], wide(x).detach().numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(executable.run("early", {"image": x.numpy()})["features"], wide.body(x).detach().numpy(), rtol=0, atol=1e-5)
    inspection, alone = TARGET.inspect(tmp_path / "two.aimodel"), TARGET.inspect(tmp_path / "one.aimodel")
    assert inspection.sections["weights"] == pytest.approx(weights, rel=0.01)
    assert inspection.operators_by_method["forward"] == alone.operators
    assert sum(inspection.operators_by_method["early"].values()) == sum(inspection.operators.values()) - sum(alone.operators.values())


def test_half_precision_is_half_the_bytes_and_computes_in_half(small, tmp_path):
    wide = Wide().eval()
    TARGET.lower(job(tmp_path / "half.aimodel", (WHOLE, capture(wide, ROW.shape)), precision="fp16"))
    assert size_bytes(tmp_path / "half.aimodel") < 1.03 * 2 * sum(parameter.numel() for parameter in wide.parameters())
    executable = TARGET.open(tmp_path / "half.aimodel")
    assert executable.methods == (WHOLE,)  # float32 outside
    x = torch.randn(1, 256, generator=torch.Generator().manual_seed(1))
    logits = executable.run("forward", {"image": x.numpy()})["logits"]
    np.testing.assert_array_equal(logits, logits.astype(np.float16).astype(np.float32))  # every value is one that half precision has
    assert 45 < sqnr_db(wide(x).detach().numpy(), logits) < 80

    TARGET.lower(job(tmp_path / "small.aimodel", (FORWARD, capture(small, IMAGE.shape)), precision="fp16"))
    logits = TARGET.open(tmp_path / "small.aimodel").run("forward", {"image": image().numpy()})["logits"]
    assert 45 < sqnr_db(small(image())[0].detach().numpy(), logits) < 80


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_branch_on_a_value_stays_one(precision, tmp_path):
    spec = method("forward", ROW, tensor("y", (1, 256), "other"))
    TARGET.lower(job(tmp_path / "a.aimodel", (spec, capture(Branch(), ROW.shape)), precision=precision))
    executable = TARGET.open(tmp_path / "a.aimodel")
    for sign in (1, -1):
        x = np.full(ROW.shape, 0.25 * sign, np.float32)
        np.testing.assert_array_equal(executable.run("forward", {"image": x})["y"], x * 2 if sign > 0 else x - 1)


def test_numbers_beyond_half_precision_become_its_largest():
    class Masked(nn.Module):
        def forward(self, x):
            return x.masked_fill(x > 0, -1e9).float() * 1.0

    program = in_half_precision(capture(Masked(), (1, 8)))
    x = torch.randn(1, 8, generator=torch.Generator().manual_seed(2))
    out = program.module()(x)
    assert out.dtype is torch.float32
    np.testing.assert_array_equal(out.numpy(), torch.where(x > 0, -65504.0, x.half().float()).numpy())


def test_weights_beyond_half_precision_are_refused(tmp_path):
    wide = Wide().eval()
    wide.body.weight.data[0, 0] = 1e6
    with pytest.raises(LoweringError) as caught:
        TARGET.lower(job(tmp_path / "a.aimodel", (WHOLE, capture(wide, ROW.shape)), precision="fp16"))
    assert "body.weight holds 1e+06" in str(caught.value)
    assert "--precision fp32" in str(caught.value)


def test_inspection_adds_up(small, original, opened):
    inspection = TARGET.inspect(original)
    assert sum(inspection.sections.values()) == size_bytes(original)
    assert min(inspection.sections.values()) >= 0
    parameters = 4 * sum(parameter.numel() for parameter in small.parameters())
    assert 0.9 * parameters < inspection.sections["weights"] < 1.1 * parameters
    assert inspection.methods == opened.methods
    assert inspection.operators["softmax"] == 2
    assert inspection.operators["layer_norm"] == 1
    assert inspection.operators["conv2d"] >= 5
    assert not inspection.operators.keys() & {"constant", "output", "invoke"}
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
def test_inputs_that_do_not_fit_are_refused(opened, inputs, words):
    with pytest.raises(BadInputError) as caught:
        opened.run("forward", inputs)
    assert words in str(caught.value)


def test_unknown_method_and_no_threads_are_refused(original, opened):
    with pytest.raises(UnknownNameError, match="unknown method 'forwards'"):
        opened.run("forwards", {})
    with pytest.raises(UsageError, match="threads is 0"):
        TARGET.open(original, threads=0)


def test_missing_and_foreign_files_are_named(tmp_path):
    assert "cannot read none.aimodel" in refused(tmp_path / "none.aimodel")
    bomb = tmp_path / "bomb.aimodel"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("main.mlirb", bytes(10_000_000))
    assert "a ZIP archive" in refused(bomb)  # nothing here unpacks anything
    (tmp_path / "empty.aimodel").mkdir()
    assert "main.mlirb is missing" in refused(tmp_path / "empty.aimodel")


@pytest.mark.parametrize("name", [PROGRAM, "main.hash", "metadata.json"])
def test_incomplete_assets_are_refused(path, name):
    (path / name).unlink()
    assert f"{name} is missing" in refused(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (PROGRAM, b"PK\x03\x04" + bytes(100), "holds no Core AI program"),
        (PROGRAM, b"", "holds no Core AI program"),
        ("main.hash", b"", "its sha256 is not the one in main.hash"),
        ("metadata.json", b"{", "metadata.json of copy.aimodel cannot be read"),
        ("metadata.json", b"[" * 100_000, "metadata.json of copy.aimodel cannot be read"),
        ("metadata.json", b"[]", "a list, not an object"),
        ("metadata.json", b"\xff", "metadata.json of copy.aimodel cannot be read"),
        ("metadata.json", b" " * ((1 << 20) + 1), "too large"),
    ],
)
def test_damaged_files_are_refused(path, name, content, words):
    (path / name).write_bytes(content)
    assert words in refused(path)


def test_truncated_and_changed_programs_are_refused(path):
    content = (path / PROGRAM).read_bytes()
    for damaged in (content[:-1], content[: len(content) // 2], content[:10], content[:500] + b"\x00" + content[501:]):
        (path / PROGRAM).write_bytes(damaged)
        assert "truncated or damaged" in refused(path)


def test_a_program_that_makes_the_reader_abort_is_refused(path):
    # Its hash is right, so this takes somebody who wants it; the reader of coreai-core 1.0.0b3 ends the process on it.
    content = (path / PROGRAM).read_bytes()
    damaged = content[: len(content) // 2]
    (path / PROGRAM).write_bytes(damaged)
    (path / "main.hash").write_bytes(hashlib.sha256(damaged).digest())
    assert "Core AI cannot load copy.aimodel" in refused(path)


_OPEN = """
import sys
from pathlib import Path
from edgekit.targets.coreai import TARGET
print(TARGET.open(Path(sys.argv[1])).methods[0].name)
"""


def test_an_asset_of_another_process_is_tried_first_and_opens(path):
    done = subprocess.run([sys.executable, "-c", _OPEN, str(path)], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "forward\n", "")


@pytest.mark.parametrize("place", [PROGRAM, "metadata.json", "extra"])
def test_links_are_refused(path, tmp_path, place):
    outside = tmp_path / "outside"
    outside.write_bytes((path / PROGRAM).read_bytes() if place == PROGRAM else b"{}")
    (path / place).unlink(missing_ok=True)
    (path / place).symlink_to(outside)
    assert "has a link in it" in refused(path)


def test_a_link_to_itself_is_refused(path):
    (path / "loop").symlink_to("loop")
    assert "has a link in it" in refused(path)


def test_failure_names_the_operator_and_the_users_line(tmp_path):
    spec = method("forward", tensor("image", (1, 3, 8, 8), "NCHW"), tensor("y", (1, 3, 8), "other"))
    with pytest.raises(LoweringError) as caught:
        TARGET.lower(job(tmp_path / "a.aimodel", (spec, capture(Kth(), (1, 3, 8, 8)))))
    for word in ("kthvalue is in the way", "torch.kthvalue(image, 2, dim=-1).values", "test_coreai.py"):
        assert word in str(caught.value)
    assert not (tmp_path / "a.aimodel").exists()


def test_another_interface_than_asked_for_is_refused(small, tmp_path):
    spec = attrs.evolve(FORWARD, inputs=(tensor("image", (1, 14, 14, 3), "NHWC"),))
    with pytest.raises(LoweringError, match="another interface"):
        TARGET.lower(job(tmp_path / "a.aimodel", (spec, capture(small, IMAGE.shape))))


def test_nothing_is_printed(small, tmp_path, capfd):
    exported = capture(small, IMAGE.shape)
    capfd.readouterr()
    TARGET.lower(job(tmp_path / "a.aimodel", (FORWARD, exported)))
    TARGET.open(tmp_path / "a.aimodel").run("forward", {"image": image().numpy()})
    TARGET.inspect(tmp_path / "a.aimodel")
    assert capfd.readouterr() == ("", "")


def test_every_form_names_its_measurement():
    facts = target_facts("coreai")
    assert facts.suffix == ".aimodel"
    assert all(form.measured for form in facts.forms)
    assert facts.limit("max_rank") == 5
