"""Packages of half precision that select otherwise than eager: ties are counted and their outputs compared with eager forced to them; others fail."""

import copy
import json
from pathlib import Path

import pytest
import torch
from attrs import evolve

import edgekit
from edgekit.capabilities import target_facts
from edgekit.declared import metadata_for, method_spec
from edgekit.interface import Preprocessing
from edgekit.methods import MethodSource
from edgekit.models.imcnet import CONFIGS, IMCNet
from edgekit.models.source import load_source
from edgekit.models.untrained import fill_untrained
from edgekit.programs import rewritten_program
from edgekit.requests import recipes_for
from edgekit.sentences import describe_parity
from edgekit.targets.base import LoweringJob
from edgekit.targets.registry import get_target
from edgekit.verification.cases import eager_cases
from edgekit.verification.check import check_artifact
from edgekit.verification.forced_regions import OtherRegion, run_with_regions
from edgekit.verification.regions import RegionParity
from edgekit.verification.samples import verification_samples
from edgekit.verification.selections import selected
from edgekit.verification.tolerances import TOLERANCES, tolerance_for

SAMPLES = verification_samples(Preprocessing(resolution=32), 16)
HALF = TOLERANCES["fp16"]


def network(alpha=0.1) -> IMCNet:
    model = IMCNet(evolve(CONFIGS["nano"], dim=32, heads=2, mlp_dim=64, alpha=alpha), resolution=32, num_classes=10)
    fill_untrained(model)
    return model.eval()


def case_of(model):
    source = load_source("imcnet-nano", resolution=32, num_classes=10, weights=None)
    return eager_cases(source, (MethodSource(name="forward", module=model),), SAMPLES)["forward"]


def compared(model, eager, folder: Path, tolerance=HALF):
    """Lower ``model`` to Core ML in half precision, and compare the package with ``eager``, of the same architecture."""
    facts, target = target_facts("coreml"), get_target("coreml")
    (recipe,) = recipes_for("imcnet-nano", ["coreml"], precision="fp16")
    source, case = load_source("imcnet-nano", resolution=32, num_classes=10, weights=None), case_of(eager)
    program, _ = rewritten_program(source.name, model, facts, case.example())
    spec, path = method_spec(evolve(recipe, resolution=32), facts, case), folder / "net.mlpackage"
    job = LoweringJob(programs={"forward": program}, methods=(spec,), recipe=recipe, metadata=metadata_for(source, ()), destination=path)
    counterparts = target.lower(job)
    return check_artifact(target, path, (spec,), SAMPLES, {"forward": case}, tolerance, counterparts)


def gaps(eager, model) -> dict[str, list[float]]:
    """How far from eager's thresholds are the scores of the regions that another network takes or leaves otherwise, by sample."""
    found = {}
    for sample, chosen in zip(SAMPLES, selected(model, SAMPLES), strict=True):
        regions = {"middle": [mask[0] for mask in chosen["middle"].regions]}
        _, rows = run_with_regions(eager, [torch.from_numpy(sample.tensor)], regions)
        if rows:
            found[sample.name] = [row.gap for row in rows]
    return found


def nudged(eager):
    """The greatest change of a selector, in powers of two, that moves no region that is further from the threshold than a tie."""
    noise = torch.randn(eager.middle.selectors.w[2].weight.shape, generator=torch.Generator().manual_seed(0))
    for exponent in range(-4, -24, -1):
        model = copy.deepcopy(eager)
        weight = model.middle.selectors.w[2].weight.data
        weight.addcmul_(weight, noise, value=2.0**exponent)
        moved = gaps(eager, model)
        if max((gap for rows in moved.values() for gap in rows), default=0.0) <= HALF.region_tie:
            return model, moved
    raise AssertionError("every change moved a region far")


def test_regions_at_a_threshold_are_counted_and_the_outputs_compared_with_eager_on_them(tmp_path):
    eager = network()
    model, moved = nudged(eager)
    assert moved
    parity = compared(model, eager, tmp_path)
    assert parity.verdict == "pass", parity.reason
    found = parity.regions
    assert moved.keys() & found["differing"].keys()
    assert (found["samples"], found["limit"]) == (16, HALF.region_tie)
    assert 0 < found["furthest"] <= HALF.region_tie
    rows = [row for rows in found["differing"].values() for row in rows]
    assert found["furthest"] == max(row["gap"] for row in rows)
    assert {row["site"] for row in rows} == {"middle"}
    assert sum(row["taken"] for row in rows) == sum(not row["taken"] for row in rows)  # as many as before take part
    count = f"(the artifact takes other regions on {len(found['differing'])} of 16, within {found['furthest']:.1e} of the threshold"
    assert count in describe_parity(parity)
    assert json.loads(json.dumps(parity.to_json()))["regions"] == json.loads(json.dumps(found))
    assert parity.numerics["fp32_against_eager"].regions["limit"] is None  # not judged there


def test_the_same_flip_fails_where_it_is_no_tie(tmp_path):
    eager = network()
    parity = compared(nudged(eager)[0], eager, tmp_path, evolve(HALF, region_tie=1e-9))
    assert parity.verdict == "fail"
    assert parity.sqnr_db > HALF.min_sqnr_db  # the outputs are those of the regions taken
    assert "more than 1.0e-09" in parity.reason


def test_wrong_regions_fail_however_little_the_outputs_show_it(tmp_path):
    eager = network(alpha=1e-3)
    model = copy.deepcopy(eager)
    model.middle.selectors.w[2].weight.data.neg_()
    parity = compared(model, eager, tmp_path)
    assert parity.sqnr_db > HALF.min_sqnr_db
    assert parity.verdict == "fail"
    assert len(parity.regions["differing"]) == 16
    wrong, worst = (
        [(name, row) for name, rows in parity.regions["differing"].items() for row in rows if row["number"] == 3 and row["gap"] > HALF.region_tie],
        parity.regions["furthest"],
    )
    name, row = next((name, row) for name, row in wrong if row["gap"] == worst)
    verb = "takes" if row["taken"] else "leaves"
    assert parity.reason.startswith(
        f"pass 3 of middle {verb} region {row['region']} on sample {name!r}, which eager does not: its score is {worst:.1e}"
    )
    assert worst > 0.1


def test_wrong_outputs_fail_though_the_regions_are_right(tmp_path):
    eager = network()
    model = copy.deepcopy(eager)
    model.head.weight.data.mul_(1.05)
    parity = compared(model, eager, tmp_path)
    assert parity.verdict == "fail"
    assert "SQNR" in parity.reason
    assert "pass " not in parity.reason
    assert parity.regions["furthest"] is None or parity.regions["furthest"] <= HALF.region_tie


def test_wrong_outputs_fail_on_a_sample_with_other_regions_too(tmp_path):
    eager = network()
    model, _ = nudged(eager)
    model.head.weight.data.mul_(1.05)
    parity = compared(model, eager, tmp_path)
    assert parity.regions["differing"]
    assert parity.verdict == "fail"
    assert "SQNR 2" in parity.reason  # 5%: 26 dB


def test_an_export_shows_it(tmp_path):
    (artifact,) = edgekit.export("imcnet-nano", targets=["coreml"], output_dir=tmp_path).artifacts
    assert (artifact.precision, artifact.parity.verdict) == ("fp16", "pass")
    document = json.loads(artifact.manifest.read_text())["parity"]
    assert document["regions"]["samples"] == 64
    assert document["regions"] == json.loads(json.dumps(artifact.parity.regions))
    assert document["tolerance"]["min_sqnr_db"] == 45


def other(gap, taken=True):
    return OtherRegion(site="middle", number=2, region=7, taken=taken, gap=gap)


def found(limit, **differing):
    return RegionParity(samples=2, differing=differing, furthest=None, limit=limit)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (found(1e-3), None),
        (found(1e-3, a=[other(1e-3)]), None),
        (found(None, a=[other(1.0), other(None)]), None),
        (
            found(1e-3, a=[other(1e-4), other(2e-3)], b=[other(3e-3, taken=False)]),
            (
                "pass 2 of middle leaves region 7 on sample 'b', which eager does not: its score is 3.0e-03 from the threshold, more than 1.0e-03; "
                "2 such on 2 samples"
            ),
        ),
        (
            found(1e-3, a=[other(2e-3), other(None)]),
            "pass 2 of middle takes region 7 on sample 'a', which eager does not: there is no threshold; 2 such on 1 samples",
        ),
    ],
)
def test_the_reason_names_the_furthest(given, sentence):
    assert given.reason() == sentence


def test_a_limit_of_ones_own_keeps_what_a_tie_is():
    assert tolerance_for("fp16", atol=0.5).region_tie == HALF.region_tie
    assert TOLERANCES["fp32"].region_tie < HALF.region_tie < 0.01
