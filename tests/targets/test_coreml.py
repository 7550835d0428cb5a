"""The coreml target: packages that say what they are, normalise pixels well, repeat byte for byte, and are not trusted when read."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from edgekit.artifact import digest, size_bytes
from edgekit.errors import ArtifactError, BadInputError, LoweringError, UnknownNameError
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.recipe import Recipe
from edgekit.targets.base import LoweringJob, Metadata
from edgekit.targets.coreml import TARGET
from edgekit.targets.coreml import lower as lowering
from edgekit.targets.coreml.package import operations_in, read_package
from edgekit.targets.coreml.prepare import normalisation, prepared
from edgekit.targets.coreml.share import share_constants

PREPROCESSING = Preprocessing(resolution=16)
PICTURE = MethodSpec(
    name="forward",
    inputs=(TensorSpec(name="image", dtype="image", shape=(1, 3, 16, 16), layout="NCHW"),),
    outputs=(TensorSpec(name="logits", dtype="float32", shape=(1, 5), layout="NC"),),
)
TENSOR = attrs.evolve(PICTURE, inputs=(attrs.evolve(PICTURE.inputs[0], dtype="float32"),))
SPEC = Path("Data/com.apple.CoreML/model.mlmodel")
WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = nn.functional.gelu(self.conv(x)).flatten(2).transpose(1, 2)
        x = (x @ x.transpose(1, 2)).softmax(-1) @ x
        return self.head(self.norm(x).mean(1))


class Median(Small):
    def forward(self, x):
        logits = super().forward(x)
        return logits - torch.kthvalue(logits, 2, dim=-1, keepdim=True).values


class Gram(nn.Module):
    """``x @ x.T`` of a square ``x`` that is itself a transpose: Core ML Tools' ``reduce_transposes`` makes it ``v @ v``."""

    def forward(self, image):
        v = nn.functional.gelu(image[:, 0])
        x = v.transpose(1, 2)
        return (x @ x.transpose(1, 2)).softmax(-1) @ x


class Shifted(Small):
    """A scalar added to a linear layer of one output: Core ML Tools' ``fuse_linear_bias`` fails on it."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        return super().forward(x) + 1.0


class SliceOfEverything(Small):
    def forward(self, x):
        return super().forward(x[:, :, :16, :16])  # becomes an alias, which Core ML Tools does not know


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Small().eval()


def job(module, destination, *, methods=(PICTURE,), labels=(), **recipe):
    recipe.setdefault("input", "image" if methods[0].inputs[0].dtype == "image" else "tensor")
    program = torch.export.export(module.eval(), (torch.zeros(1, 3, 16, 16),), strict=False)
    return LoweringJob(
        programs={method.name: program for method in methods},
        methods=methods,
        recipe=Recipe(model="small", target="coreml", **recipe),
        metadata=Metadata(
            description="a test", author="tests", license="none", edgekit_version="1.2.3", preprocessing=PREPROCESSING, labels=labels, trained=False
        ),
        destination=destination,
    )


def lowered(module, folder, **options):
    path = folder / "small.mlpackage"
    TARGET.lower(job(module, path, **options))
    return path


@pytest.fixture(scope="module")
def original(model, tmp_path_factory):
    return lowered(model, tmp_path_factory.mktemp("picture"))


@pytest.fixture
def path(original, tmp_path):
    return shutil.copytree(original, tmp_path / "copy.mlpackage")


def operations(path):
    (function,) = read_package(path).functions.values()
    (block,) = function.block_specializations.values()
    return list(operations_in(block))


def test_picture_input_and_logits_are_described(path):
    assert TARGET.open(path).methods == (PICTURE,)
    description = read_package(path).spec.description
    assert description.input[0].type.imageType.colorSpace == description.input[0].type.imageType.RGB
    assert [feature.name for feature in description.output] == ["logits"]


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_tensor_input_is_float32_at_both_ends(precision, model, tmp_path):
    assert TARGET.open(lowered(model, tmp_path, methods=(TENSOR,), precision=precision)).methods == (TENSOR,)


@pytest.mark.parametrize(("precision", "bytes_each"), [("fp16", 2), ("fp32", 4)])
def test_weights_have_the_precision_asked_for(precision, bytes_each, tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 5))
    parameters = sum(p.numel() for p in module.parameters())
    weights = TARGET.inspect(lowered(module, tmp_path, precision=precision)).sections["weights"]
    assert bytes_each * parameters <= weights <= 1.05 * bytes_each * parameters + 1024


def test_high_level_operators_stay_whole(path):
    operators = TARGET.inspect(path).operators
    assert {"layer_norm": 1, "gelu": 1, "softmax": 1, "linear": 1, "conv": 1}.items() <= operators.items()
    assert "const" not in operators


@pytest.mark.parametrize(("deployment_target", "version"), [("iOS16", 7), ("iOS17", 8), ("iOS18", 9)])
def test_deployment_target_sets_the_specification_version(deployment_target, version, model, tmp_path):
    assert read_package(lowered(model, tmp_path, deployment_target=deployment_target)).spec.specificationVersion == version


def test_a_product_with_its_own_transpose_stays_one(tmp_path):
    squares = attrs.evolve(TENSOR, outputs=(attrs.evolve(TENSOR.outputs[0], shape=(1, 16, 16)),))
    from coremltools.converters.mil.frontend.milproto.load import load

    path = lowered(Gram(), tmp_path, methods=(squares,))
    program = load(read_package(path).spec, specification_version=8, file_weights_dir=str(path / WEIGHTS.parent))
    first, second = (op for op in program.functions["main"].operations if op.op_type == "matmul")
    assert first.x is first.y
    assert {first.transpose_x.val, first.transpose_y.val} == {True, False}
    assert (second.transpose_x.val, second.transpose_y.val) == (False, True)


def test_a_scalar_added_to_one_output(tmp_path):
    scored = attrs.evolve(TENSOR, outputs=(attrs.evolve(TENSOR.outputs[0], shape=(1, 1)),))
    model = Shifted().eval()
    image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    path = lowered(model, tmp_path, methods=(scored,), precision="fp32")
    (given,), (result,) = scored.inputs, scored.outputs
    found = TARGET.open(path).run(scored.name, {given.name: image.numpy()})[result.name]
    with torch.no_grad():
        assert found == pytest.approx(model(image).numpy(), rel=1e-5)


def test_metadata_is_written(path):
    metadata = read_package(path).spec.description.metadata
    assert (metadata.shortDescription, metadata.author, metadata.license, metadata.versionString) == ("a test", "tests", "none", "1.2.3")
    assert metadata.userDefined["edgekit.trained"] == "false"
    assert json.loads(metadata.userDefined["edgekit.preprocessing"])["mean"] == [0.485, 0.456, 0.406]
    assert "com.github.apple.coremltools.conversion_date" not in metadata.userDefined


def test_the_prepared_program_normalises_pixels(model):
    program = prepared(job(model, Path("unused")).programs["forward"], PICTURE, job(model, Path("unused")).metadata)
    pixels = torch.randint(0, 256, (1, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float()
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (PREPROCESSING.mean, PREPROCESSING.std))
    expected = model((pixels / 255 - mean) / std).detach().numpy()
    inputs = [dict(program.state_dict)[spec.target] if spec.target else pixels for spec in program.graph_signature.input_specs]
    (actual,) = torch.fx.Interpreter(program.graph_module).run(*inputs)
    assert np.abs(actual.detach().numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


class Patches(Small):
    """Cuts into patches: nothing is padded."""

    def __init__(self, *, bias=True):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4, bias=bias)


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_that_pads_nothing_scales_the_pixels_itself(bias):
    torch.manual_seed(0)
    model = Patches(bias=bias).eval()
    with torch.no_grad():
        model.conv.weight.mul_(3.0)
    given = job(model, Path("unused"))
    program = prepared(given.programs["forward"], PICTURE, given.metadata)
    pixels = torch.randint(0, 256, (1, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float()
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (PREPROCESSING.mean, PREPROCESSING.std))
    expected = model((pixels / 255 - mean) / std).detach().numpy()
    inputs = [program.state_dict[spec.target] if spec.target else pixels for spec in program.graph_signature.input_specs]
    (actual,) = torch.fx.Interpreter(program.graph_module).run(*inputs)
    assert np.abs(actual.detach().numpy() - expected).max() <= 1e-5 * np.abs(expected).max()
    image = next(node for node in program.graph.nodes if node.name == "image")
    (shifted,) = image.users
    (reader,) = shifted.users
    assert (shifted.target, reader.target) == (torch.ops.aten.sub.Tensor, torch.ops.aten.conv2d.default)
    # The graph that other targets share is as it was.
    assert all("edgekit_" not in str(spec.target) for spec in given.programs["forward"].graph_signature.input_specs)


def test_a_convolution_that_pads_leaves_the_pixels_to_be_scaled_before_it(model):
    given = job(model, Path("unused"))
    program = prepared(given.programs["forward"], PICTURE, given.metadata)
    operators = [node.target for node in program.graph.nodes if node.op == "call_function"][:4]
    aten = torch.ops.aten
    assert operators == [aten.sub.Tensor, aten.mul.Tensor, aten.add.Tensor, aten.conv2d.default]


def test_normalisation_is_exact_in_float32_and_close_in_half_precision():
    pixels = np.arange(256, dtype=np.float64).reshape(-1, 1, 1, 1) * np.ones((1, 3, 1, 1))
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in (PREPROCESSING.mean, PREPROCESSING.std))
    expected = (pixels / 255 - mean) / std
    m, a, c = normalisation(PREPROCESSING)
    single = (pixels.astype(np.float32) - m) * a + c
    assert np.abs(single - expected).max() <= 1e-6
    half = ((pixels.astype(np.float16) - m.astype(np.float16)) * a.astype(np.float16) + c.astype(np.float16)).astype(np.float64)
    plain = pixels.astype(np.float16) * a.astype(np.float16) + (-mean / std).astype(np.float16)
    assert np.sqrt(np.square(half - expected).mean()) <= 5.5e-4
    assert np.sqrt(np.square(half - expected).mean()) < 0.7 * np.sqrt(np.square(plain - expected).mean())


def test_a_model_without_preprocessing_gets_no_picture_input(model, tmp_path):
    request = job(model, tmp_path / "small.mlpackage")
    with pytest.raises(LoweringError, match="cannot be a picture"):
        TARGET.lower(attrs.evolve(request, metadata=attrs.evolve(request.metadata, preprocessing=None)))


def test_labels_make_a_classifier_that_keeps_its_logits(model, tmp_path):
    path = lowered(model, tmp_path, labels=("ant", "bee", "cat", "dog", "elk"))
    description = read_package(path).spec.description
    kinds = {feature.name: feature.type.WhichOneof("Type") for feature in description.output}
    assert kinds == {"classLabel": "stringType", "classLabel_probs": "dictionaryType", "logits": "multiArrayType"}
    assert (description.predictedFeatureName, description.predictedProbabilitiesName) == ("classLabel", "classLabel_probs")
    assert TARGET.open(path).methods == (PICTURE,)
    classify = operations(path)[-1]
    assert classify.type == "classify"
    labels = [v.immediateValue.tensor.strings.values[0] for v in classify.inputs["classes"].arguments[0].value.immediateValue.list.values]
    assert labels == ["ant", "bee", "cat", "dog", "elk"]
    assert TARGET.inspect(path).operators["softmax"] == 2  # one of the model's, one for the probabilities


def test_the_classifier_has_the_form_core_ml_tools_writes(model, tmp_path):
    """Its own reader takes the program, and its own ``classify`` has the same inputs and outputs."""
    path = lowered(model, tmp_path, labels=tuple("abcde"))
    import coremltools as ct
    from coremltools.converters.mil.frontend.milproto.load import load

    program = load(read_package(path).spec, specification_version=8, file_weights_dir=str(path / WEIGHTS.parent))
    assert [v.name for v in program.functions["main"].outputs] == ["classLabel", "classLabel_probs", "logits"]
    exported = job(model, path).programs["forward"].run_decompositions({})
    theirs = ct.convert(
        exported,
        skip_model_load=True,
        minimum_deployment_target=ct.target.iOS17,
        classifier_config=ct.ClassifierConfig(list("abcde")),
        pass_pipeline=lowering._passes(ct, half=False),
    )
    (block,) = theirs.get_spec().mlProgram.functions["main"].block_specializations.values()
    ours, reference = operations(path)[-1], block.operations[-1]
    assert ours.inputs["classes"] == reference.inputs["classes"]
    assert list(ours.outputs) == list(reference.outputs)


def test_several_methods_become_functions_that_share_weights(model, tmp_path):
    methods = (attrs.evolve(TENSOR, name="early"), attrs.evolve(TENSOR, name="late"))
    path = lowered(model, tmp_path, methods=methods, deployment_target="iOS18")
    assert TARGET.open(path).methods == methods
    (tmp_path / "one").mkdir()
    alone = lowered(model, tmp_path / "one", methods=(TENSOR,), deployment_target="iOS18")
    assert TARGET.inspect(path).sections["weights"] == TARGET.inspect(alone).sections["weights"]
    inspection = TARGET.inspect(path)
    assert inspection.operators["conv"] == 2
    assert inspection.operators_by_method["early"] == inspection.operators_by_method["late"] == TARGET.inspect(alone).operators


def test_several_methods_before_ios_18_are_refused(model, tmp_path):
    methods = (attrs.evolve(TENSOR, name="early"), attrs.evolve(TENSOR, name="late"))
    with pytest.raises(LoweringError, match="do not fit") as caught:
        lowered(model, tmp_path, methods=methods)
    assert caught.value.hint == "--deployment-target iOS18"


def test_equal_requests_give_equal_bytes(original, model, tmp_path):
    again = lowered(model, tmp_path)
    assert digest(again) == digest(original)
    identifiers = json.loads((again / "Manifest.json").read_text())["itemInfoEntries"]
    assert len(identifiers) == 2


def test_the_package_holds_only_what_core_ml_reads(path):
    assert {p.relative_to(path) for p in path.rglob("*") if p.is_file()} == {Path("Manifest.json"), SPEC, WEIGHTS}


def test_constants_are_shared_once_and_in_order(path):
    spec = read_package(path).spec
    assert share_constants(spec) == 0  # a second run changes nothing
    seen = {"image"}
    for operation in operations(path):
        names = [b.name for i in operation.inputs.values() for b in i.arguments if b.WhichOneof("binding") == "name"]
        assert seen.issuperset(names)
        seen.update(output.name for output in operation.outputs)


def test_core_ml_tools_reads_the_program_back(path):
    from coremltools.converters.mil.frontend.milproto.load import load

    program = load(read_package(path).spec, specification_version=8, file_weights_dir=str(path / WEIGHTS.parent))
    assert [v.name for v in program.functions["main"].outputs] == ["logits"]


def test_inspection_counts_every_byte(path):
    inspection = TARGET.inspect(path)
    assert sum(inspection.sections.values()) == size_bytes(path)
    assert inspection.sections["weights"] == (path / WEIGHTS).stat().st_size
    assert inspection.delegation.share is None


def test_an_alias_is_dropped(tmp_path):
    assert TARGET.inspect(lowered(SliceOfEverything(), tmp_path)).operators["conv"] == 1


def test_an_unknown_operator_is_refused_with_the_users_line(tmp_path):
    with pytest.raises(LoweringError, match="kthvalue is in the way") as caught:
        lowered(Median(), tmp_path)
    assert "torch.kthvalue(logits, 2" in caught.value.where
    assert caught.value.__cause__ is not None
    assert not (tmp_path / "small.mlpackage").exists()


def test_lowering_leaves_the_program_as_it_was(model, tmp_path):
    request = job(model, tmp_path / "small.mlpackage")
    before = str(request.programs["forward"])
    TARGET.lower(request)
    assert str(request.programs["forward"]) == before


def test_nothing_is_printed(tmp_path):
    """In a process of its own, because the import is what prints most."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_coreml as t\n"
        "t.lowered(t.Small(), Path(sys.argv[2])); t.TARGET.inspect(Path(sys.argv[2]) / 'small.mlpackage')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_the_target_imports_no_vendor_package():
    code = "import sys, edgekit.targets.coreml; sys.exit('coremltools' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_package_runs_on_this_host(model, path):
    executable = TARGET.open(path)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)
    mean, std = (np.float32(value).reshape(1, 3, 1, 1) for value in (PREPROCESSING.mean, PREPROCESSING.std))
    expected = model(torch.from_numpy((pixels / np.float32(255) - mean) / std)).detach().numpy()
    half = executable.run("forward", {"image": pixels})["logits"]
    single = executable.at("fp32").run("forward", {"image": pixels})["logits"]
    for got, limit in ((half, 1e-2), (single, 2e-3)):  # the weights are stored in half precision
        assert (got.shape, got.dtype) == (expected.shape, np.float32)
        assert np.abs(got - expected).max() <= limit * np.abs(expected).max()
    assert not np.array_equal(half, single)
    with pytest.raises(UnknownNameError):
        executable.run("backward", {})
    with pytest.raises(BadInputError, match="does not fit"):
        executable.run("forward", {"image": pixels.astype(np.float32)})
    assert TARGET.executed_by == "mil-interpreter"


def refused(path):
    with pytest.raises(ArtifactError) as caught:
        TARGET.open(path)
    with pytest.raises(ArtifactError):
        TARGET.inspect(path)
    return str(caught.value)


def test_a_single_file_is_refused(tmp_path):
    file = tmp_path / "old.mlmodel"
    file.write_bytes(b"\x08\x04")
    assert "older neural network format" in refused(file)
    assert "no package" in refused(tmp_path / "none.mlpackage")


def test_a_neural_network_package_is_refused(path):
    spec = read_package(path).spec
    spec.neuralNetwork.layers.add().name = "old"
    (path / SPEC).write_bytes(spec.SerializeToString())
    assert "neuralNetwork" in refused(path)


@pytest.mark.parametrize("missing", ["Manifest.json", str(SPEC), str(WEIGHTS)])
def test_an_incomplete_package_is_refused(missing, path):
    (path / missing).unlink()
    refused(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("file", ["Manifest.json", str(SPEC), str(WEIGHTS)])
def test_truncated_files_are_refused(file, share, path):
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[: int(len(content) * share)])
    refused(path)


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"itemInfoEntries": {"a": {"path": 3}}, "rootModelIdentifier": "a"}', "\x00"])
def test_a_foreign_manifest_is_refused(content, path):
    (path / "Manifest.json").write_text(content)
    refused(path)


def test_a_manifest_that_leaves_the_package_is_refused(path):
    manifest = json.loads((path / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = "../../secret"
    (path / "Manifest.json").write_text(json.dumps(manifest))
    assert "leaves it" in refused(path)


@pytest.mark.parametrize("file", ["Manifest.json", str(SPEC), str(WEIGHTS), "extra"])
def test_links_out_of_the_package_are_refused(file, path, tmp_path):
    outside = tmp_path / "outside"
    if (path / file).exists():
        (path / file).rename(outside)
    else:
        outside.write_text("secret")
    (path / file).symlink_to(outside)
    assert "link that leaves it" in refused(path)


def test_weights_outside_the_package_are_refused(path, tmp_path):
    spec = read_package(path).spec
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    const = next(o for o in block.operations if o.type == "const" and o.attributes["val"].WhichOneof("value") == "blobFileValue")
    shutil.copy(path / WEIGHTS, tmp_path / "weight.bin")
    const.attributes["val"].blobFileValue.fileName = "@model_path/../../../../weight.bin"
    (path / SPEC).write_bytes(spec.SerializeToString())
    assert "outside itself" in refused(path)


class TwoSplits(nn.Module):
    """Core ML Tools numbers the results of a split as torch numbers its splits."""

    def forward(self, image):
        a, b = image.split([1, 2], dim=1)
        c, d = (image * 2).split([2, 1], dim=1)
        return (a.sum((2, 3)) + b.sum((2, 3)).sum(1, keepdim=True) + c.sum((2, 3)).sum(1, keepdim=True) * d.sum((2, 3))).expand(1, 5) * 1.0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_results_of_splits_are_told_apart(precision, tmp_path):
    from edgekit.evaluate import evaluate

    request = job(TwoSplits(), tmp_path / "small.mlpackage", methods=(TENSOR,), precision=precision)
    program = TARGET.lower(request)["forward"]
    image = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    seen = []
    TARGET.open(request.destination).at("fp32").trace("forward", {"image": image}, seen.append)
    splits = {node.name for node in program.graph.nodes if "split" in str(node.target)}
    expected = evaluate(program, (torch.from_numpy(image),), splits)
    parts = [value for value in seen if value.operator == "split"]
    assert {(part.node, part.position) for part in parts} == {(name, position) for name in splits for position in (0, 1)}
    for part in parts:
        assert np.array_equal(part.value, expected[part.node][part.position].numpy())
