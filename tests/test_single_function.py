"""Networks with exits on systems whose Core ML packages hold one function, exported beside a target that takes methods."""

import json

import pytest

import edgekit
from edgekit.artifact import read_manifest
from edgekit.targets.coreml.package import read_package

IOS17_SPECIFICATION = 8


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    result = edgekit.export("chase-tiny", targets=["coreml", "executorch"], deployment_target="iOS17", output_dir=folder)
    return {artifact.target: artifact for artifact in result.artifacts}


def test_the_package_holds_all_exits_in_one_function_and_the_other_target_a_method_an_exit(exported):
    assert exported["coreml"].methods == ("forward",)
    assert exported["executorch"].methods == ("exit_1", "exit_2", "exit_3", "exit_4")
    assert read_package(exported["coreml"].path).spec.specificationVersion == IOS17_SPECIFICATION
    outputs = [tensor.name for tensor in edgekit.load_artifact(exported["coreml"].path).methods[0].outputs]
    assert set(outputs) == {f"{kind}_{k}" for kind in ("logits", "confidence") for k in range(1, 5)}
    assert exported["coreml"].parity.verdict == "pass"


def test_it_says_so(exported):
    (note,) = exported["coreml"].notes
    assert "single function" in note
    assert "--deployment-target iOS18" in note
    assert not exported["executorch"].notes
    document = read_manifest(exported["coreml"].path).document
    assert (document["recipe"]["early_exit"], document["recipe"]["deployment_target"], document["notes"]) == ("all", "iOS17", [note])


def test_it_is_verified_again_as_what_it_is(exported):
    assert edgekit.verify(exported["coreml"].path).verdict == "pass"


def test_the_command_line_says_so_too(cli, tmp_path):
    ran = cli("export", "chase-tiny", "-t", "coreml", "--deployment-target", "iOS17", "-o", tmp_path, "--json")
    assert ran.code == 0, ran.err
    (row,) = json.loads(ran.out)["artifacts"]
    assert (row["methods"], len(row["notes"])) == (["forward"], 1)
