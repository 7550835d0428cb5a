"""Exits joined to one ONNX graph that stops by itself, and cut out of it again."""

import collections
import itertools
import json
import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import edgekit
from edgekit.errors import ArtifactError, LoweringError
from edgekit.inspection import inspect_artifact
from edgekit.interface import MethodSpec, Preprocessing, TensorSpec
from edgekit.methods import handed_on, method_sources
from edgekit.models.source import load_source
from edgekit.targets.onnx.branches import MOST_EXITS, SMALL, join
from edgekit.targets.onnx.exits import EXITS_KEY
from edgekit.targets.onnx.proto import graphs_of
from edgekit.verification.cases import eager_cases
from edgekit.verification.samples import verification_samples

NAMES = [f"exit_{number}" for number in range(1, 5)]
SAMPLES = verification_samples(Preprocessing(resolution=32))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    (artifact,) = edgekit.export("chase-tiny", targets=["onnx"], output_dir=tmp_path_factory.mktemp("exits")).artifacts
    return artifact


@pytest.fixture(scope="module")
def opened(exported):
    return edgekit.load_artifact(exported.path)


def forced(number: int) -> np.ndarray:
    return np.array([math.inf if position + 1 < number else -math.inf for position in range(3)], np.float32)


def test_every_exit_and_the_whole_are_proved(exported):
    assert exported.path.name == "chase-tiny_32_fp32.onnx"
    parity = exported.parity
    assert (list(exported.methods), list(parity.methods), list(parity.chained)) == ([*NAMES, "forward"], [*NAMES, "forward"], NAMES)
    assert (parity.verdict, parity.samples, parity.top1_agreement) == ("pass", 9, 1.0)
    assert edgekit.verify(exported.path).verdict == "pass"


def test_what_is_proved_takes_every_exit():
    tiny = load_source("chase-tiny")
    case = eager_cases(tiny, method_sources(tiny.module, "methods", one_graph=True), SAMPLES)["forward"]
    assert {int(number[0]) for number in case.outputs["exit"]} == {1, 2, 3, 4}


def test_onnx_takes_it_for_a_valid_model_with_what_it_needs(exported):
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    assert [(value.name, bool(value.doc_string)) for value in model.graph.input] == [("image", False), ("thresholds", True)]
    assert [value.name for value in model.graph.output] == ["logits", "confidence", "exit"]
    assert [node.op_type for graph in graphs_of(model.graph) for node in graph.node].count("If") == 3


def kernels(path: Path, folder: Path, thresholds: np.ndarray) -> collections.Counter[str]:
    """Run once and count what onnxruntime executed, by the exit it belongs to; the optimizer names its own nodes as it likes."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    session.run(None, {"image": SAMPLES[0].tensor, "thresholds": thresholds})
    events = json.loads(Path(session.end_profiling()).read_text())
    names = [event["name"] for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    return collections.Counter(name.partition("/")[0] if name.startswith("exit_") else "unnamed" for name in names)


def test_onnxruntime_runs_nothing_behind_the_exit_that_is_taken(exported, tmp_path):
    counts = [kernels(exported.path, tmp_path, forced(number)) for number in range(1, 5)]
    for number, count in enumerate(counts, start=1):
        assert [name for name in NAMES if count[name] >= 10] == NAMES[:number]
        assert not any(count[name] for name in NAMES[number:])
    assert all(earlier.total() < later.total() for earlier, later in itertools.pairwise(counts))


def test_it_leaves_at_its_own_confidence_and_not_just_above(opened):
    given = {"image": SAMPLES[0].tensor, "thresholds": forced(1)}
    sure = opened.run("forward", given)["confidence"][0]
    for threshold, number in ((sure, 1), (np.nextafter(sure, np.float32(2)), 2), (np.float32("nan"), 2), (np.float32("inf"), 2)):
        thresholds = np.array([threshold, 0, 0], np.float32)
        assert opened.run("forward", {**given, "thresholds": thresholds})["exit"].tolist() == [number]


def test_a_picture_that_is_no_number_goes_to_the_end(opened):
    nothing = np.full_like(SAMPLES[0].tensor, np.nan)
    for thresholds in (np.zeros(3, np.float32), forced(1)):  # not even -inf is reached
        assert opened.run("forward", {"image": nothing, "thresholds": thresholds})["exit"].tolist() == [4]


def test_the_exits_give_what_the_whole_gives(opened):
    for sample in SAMPLES[:2]:
        given = {"image": sample.tensor}
        for number, name in enumerate(NAMES, start=1):
            outputs = opened.run(name, given)
            whole = opened.run("forward", {"image": sample.tensor, "thresholds": forced(number)})
            assert whole["exit"].tolist() == [number]
            np.testing.assert_allclose(whole["logits"], outputs["logits"], rtol=0, atol=1e-6 * np.abs(outputs["logits"]).max())
            np.testing.assert_allclose(whole["confidence"], outputs["confidence"], rtol=0, atol=1e-6)
            given = handed_on(outputs)


def test_weights_are_stored_once(exported, tmp_path):
    (alone,) = edgekit.export("chase-tiny", targets=["onnx"], early_exit="all", output_dir=tmp_path).artifacts
    sections = [inspect_artifact(artifact.path).inspection.sections for artifact in (exported, alone)]
    assert sections[0]["weights"] <= 1.01 * sections[1]["weights"]


def test_branches_hold_no_weights_because_onnxruntime_copies_branches(exported):
    outermost, *branches = graphs_of(onnx.load(exported.path).graph)
    large = [sum(len(tensor.raw_data) >= SMALL for tensor in graph.initializer) for graph in (outermost, *branches)]
    assert large[0] > 40
    assert not any(large[1:])


def test_same_request_same_bytes(exported, tmp_path):
    (again,) = edgekit.export("chase-tiny", targets=["onnx"], output_dir=tmp_path).artifacts
    assert again.sha256 == exported.sha256


def test_a_constant_that_two_exits_read_is_stored_in_the_first():
    models = [model("image", "features_1_0"), model("features_1_0")]
    whole = join(models, [spec("exit_1", "image", "features_1_0"), spec("exit_2", "features_1_0")], FORWARD)
    assert [tensor.name for graph in graphs_of(whole.graph) for tensor in graph.initializer if len(tensor.dims) == 2] == ["exit_1/weight"]
    onnx.checker.check_model(whole, full_check=True)
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.array([[1.0, 2.0]], np.float32)
    for threshold, times, number in ((-1, 2, 1), (100, 4, 2)):
        logits, confidence, taken = session.run(None, {"image": image, "thresholds": np.array([threshold], np.float32)})
        assert (logits.tolist(), confidence.tolist(), taken.tolist()) == ((times * image).tolist(), [2.0 * times], [number])


def test_more_exits_than_readers_can_follow():
    count = MOST_EXITS + 1
    with pytest.raises(LoweringError, match=f"{count} exits do not fit"):
        join([model("image")] * count, [spec(f"exit_{number}", "image") for number in range(count)], FORWARD)


def test_as_many_exits_as_are_let_in_can_be_read_back(tmp_path):
    names = ["image", *(f"features_{number}_0" for number in range(1, MOST_EXITS)), None]
    pairs = list(itertools.pairwise(names))
    specs = [spec(f"exit_{number}", *filter(None, pair)) for number, pair in enumerate(pairs, start=1)]
    forward = MethodSpec(name="forward", inputs=(tensor("image"), tensor("thresholds", (MOST_EXITS - 1,))), outputs=FORWARD.outputs)
    whole = join([model(*filter(None, pair)) for pair in pairs], specs, forward)
    onnx.checker.check_model(onnx.ModelProto.FromString(whole.SerializeToString()))
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    thresholds = np.full(MOST_EXITS - 1, np.inf, np.float32)
    assert session.run(["exit"], {"image": np.ones((1, 2), np.float32), "thresholds": thresholds})[0].tolist() == [MOST_EXITS]


def test_a_file_that_names_an_exit_it_does_not_have(exported, tmp_path):
    broken = onnx.load(exported.path)
    next(entry for entry in broken.metadata_props if entry.key == EXITS_KEY).value += " exit_5"
    path = tmp_path / exported.path.name
    path.write_bytes(broken.SerializeToString())
    with pytest.raises(ArtifactError, match="names an exit exit_5"):
        edgekit.load_artifact(path)


def tensor(name: str, shape: tuple[int, ...] = (1, 2), dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


FORWARD = MethodSpec(
    name="forward",
    inputs=(tensor("image"), tensor("thresholds", (1,))),
    outputs=(tensor("logits"), tensor("confidence", (1,)), tensor("exit", (1,), "int32")),
)


def spec(name: str, given: str, gives: str | None = None) -> MethodSpec:
    outputs = (tensor("logits"), tensor("confidence", (1,)), *([] if gives is None else [tensor(gives)]))
    return MethodSpec(name=name, inputs=(tensor(given),), outputs=outputs)


def model(given: str, gives: str | None = None) -> onnx.ModelProto:
    """Twice what comes in are the logits, the second of them the confidence, and what goes on."""
    helper = onnx.helper
    nodes = [
        helper.make_node("MatMul", [given, "weight"], ["logits"], name="twice"),
        helper.make_node("Gather", ["logits", "second"], ["picked"], name="second", axis=1),
        helper.make_node("Squeeze", ["picked", "first"], ["confidence"], name="squeeze"),
    ]
    if gives is not None:
        nodes.append(helper.make_node("Identity", ["logits"], [gives], name="on"))
    values = {"logits": [1, 2], "confidence": [1]} | ({} if gives is None else {gives: [1, 2]})
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info(given, onnx.TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in values.items()],
        [
            onnx.numpy_helper.from_array(2 * np.eye(2, dtype=np.float32), "weight"),
            onnx.numpy_helper.from_array(np.array([1]), "second"),
            onnx.numpy_helper.from_array(np.array([1]), "first"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
