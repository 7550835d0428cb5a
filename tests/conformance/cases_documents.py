"""Plans and reports. Kinds and their ``input``:

| kind | input | expect |
| --- | --- | --- |
| ``canonical`` | ``text``: of a JSON document | ``text``: canonical |
| ``plan`` | ``changes`` | ``variants``: their ids |
| ``validate`` | ``changes``, ``partial`` | ``results``: how many |

Inputs of ``plan`` and ``validate`` are what the file's ``base``, ``{"plan": ..., "report": ...}``, becomes by ``changes``, one after the other:
``[["plan", "variants", 0, "engine"], "tensorrt"]`` sets a member, and without a value it is removed.
"""

import copy
from collections.abc import Iterator
from typing import Any

from cases_numbers import guarded
from phones import failed, plan_json, report_json

from edgekit.device.integer_json import canonical, parse
from edgekit.device.plan import plan_from_json
from edgekit.device.report import report_from_json
from edgekit.device.summary import summary
from edgekit.device.validate import check_report

Case = dict[str, Any]
Inputs = Iterator[tuple[str, Case]]


def changed(document: Any, changes: list[Any]) -> Any:
    """Return a copy of a document with members set or removed."""
    whole = copy.deepcopy(document)
    for path, *value in changes:
        place = whole
        for key in path[:-1]:
            place = place[key]
        if value:
            place[path[-1]] = copy.deepcopy(value[0])
        else:
            del place[path[-1]]
    return whole


def base() -> Case:
    """Return the documents that changes are made to."""
    plan = plan_json()
    return {"plan": plan, "report": report_json(plan)}


def _whole(given: Case) -> Case:
    return changed(base(), given["changes"])


def run_plan(given: Case) -> Case:
    """Return the ids of a plan's variants."""
    return {"variants": [variant.id for variant in plan_from_json(_whole(given)["plan"]).variants]}


def run_validate(given: Case) -> Case:
    """Return how many results a valid report has."""
    whole = _whole(given)
    report = report_from_json(whole["report"])
    check_report(report, plan_from_json(whole["plan"]), partial=given["partial"])
    return {"results": len(report.results)}


def _canonical() -> Inputs:
    for name, text in (
        ("keys are sorted and nothing is spaced", '{ "b" : [1, 2 ],\n"a":{"z":null,"A":true}}'),
        ("numbers of 64 bits", "[9223372036854775807,-9223372036854775808,0,-0]"),
        ("text beyond ASCII is escaped", '["é ✓ 😀 \\u00e9 \\ud83d\\ude00"]'),
        ("controls and quotes", '["\\u0000\\b\\f\\n\\r\\t\\"\\\\\\/\\u001f\\u007f"]'),
        ("empty things", '[{},[],"",null,false]'),
        ("a number alone", " 7 "),
        ("error: a fraction", "[1.5]"),
        ("error: an exponent", "[1e3]"),
        ("error: NaN", "[NaN]"),
        ("error: more than 64 bits", "[9223372036854775808]"),
        ("error: a key twice", '{"a":1,"a":2}'),
        ("error: a key beyond ASCII", '{"é":1}'),
        ("error: a comma too many", "[1,]"),
        ("error: a leading zero", "[01]"),
        ("error: a plus", "[+1]"),
        ("error: single quotes", "['a']"),
        ("error: a control in a text", '["a\nb"]'),
        ("error: half a pair", '["\\ud83d"]'),
        ("error: two documents", "{} {}"),
        ("error: nothing", ""),
        ("error: an open list", "[1"),
        ("error: too deep", "[" * 33 + "]" * 33),
        ("as deep as may be", "[" * 32 + "]" * 32),
    ):
        yield name, {"text": text}


_FIRST, _SECOND = ["plan", "variants", 0], ["plan", "variants", 1]


def _plan() -> Inputs:
    rows: list[tuple[str, list[Any]]] = [
        ("as it is", []),
        ("one variant", [[_SECOND]]),
        ("no picture", [[[*_FIRST, "picture"], None]]),
        ("calibrated", [[[*_SECOND, "exit_policy", "temperatures_micro"], [1_500_000]], [[*_SECOND, "exit_policy", "reads"], "logits"]]),
        ("error: another schema", [[["plan", "schema"], "latency-plan/2"]]),
        ("error: a member is missing", [[["plan", "seed"]]]),
        ("error: a member is unknown", [[["plan", "sede"], 1]]),
        ("error: a number as text", [[["plan", "seed"], "1"]]),
        ("error: true is no number", [[["plan", "seed"], True]]),
        ("error: a run id of another kind", [[["plan", "run_id"], "../../etc/passwd"]]),
        ("error: capitals in a run id", [[["plan", "run_id"], "A" * 32]]),
        ("error: a seed below zero", [[["plan", "seed"], -1]]),
        ("error: no process", [[["plan", "processes"], 0]]),
        ("error: another order", [[["plan", "order"], "random"]]),
        ("error: a long cooldown", [[["plan", "cooldown_ms"], 600_001]]),
        ("error: warm-up, least above most", [[["plan", "warmup", "min"], 5]]),
        ("error: warm-up without a window", [[["plan", "warmup", "window"], 0]]),
        ("error: no samples", [[["plan", "measure", "min"], 0]]),
        ("error: stops otherwise", [[["plan", "measure", "stop"], "never"]]),
        ("error: least time above most", [[["plan", "measure", "min_ms"], 60_001]]),
        ("error: an unknown thermal state", [[["plan", "thermal", "max_start"], "warm"]]),
        ("error: no variants", [[["plan", "variants"], []]]),
        ("error: an id twice", [[[*_SECOND, "id"], "net.pte"]]),
        ("error: an id with a space", [[[*_FIRST, "id"], "net pte"]]),
        ("error: an unknown engine", [[[*_FIRST, "engine"], "tensorrt"]]),
        ("error: a model in another folder", [[[*_FIRST, "model"], "../net.pte"]]),
        ("error: a hidden model", [[[*_FIRST, "model"], ".net.pte"]]),
        ("error: two dots inside", [[[*_FIRST, "model"], "a..b"]]),
        ("error: a short sha256", [[[*_FIRST, "model_sha256"], "ab"]]),
        ("error: an unknown unit", [[[*_FIRST, "compute"], "tpu"]]),
        ("error: no threads", [[[*_FIRST, "threads"], 0]]),
        ("error: no stages", [[[*_FIRST, "stages"], []]]),
        ("error: a stage without inputs", [[[*_FIRST, "stages", 0, "inputs"], []]]),
        ("error: an unknown dtype", [[[*_FIRST, "stages", 0, "inputs", 0, "dtype"], "bfloat16"]]),
        ("error: an axis of zero", [[[*_FIRST, "stages", 0, "inputs", 0, "shape"], [1, 0]]]),
        ("error: a terabyte", [[[*_FIRST, "stages", 0, "inputs", 0, "shape"], [1 << 20, 1 << 20]]]),
        ("error: an unknown fill", [[[*_FIRST, "stages", 0, "inputs", 0, "fill"], "photo"]]),
        ("error: nothing hands it on", [[[*_FIRST, "stages", 0, "inputs", 0, "fill"], "handed_on"]]),
        ("error: an output that is filled", [[[*_FIRST, "stages", 0, "outputs", 0, "fill"], "noise"]]),
        ("error: several stages and no policy", [[[*_SECOND, "exit_policy"], None]]),
        ("error: a policy that reads what no stage gives", [[[*_SECOND, "stages", 0, "outputs", 1]]]),
        ("error: a policy of other exits", [[[*_SECOND, "exit_policy", "exits"], 3]]),
        ("error: a threshold above one", [[[*_SECOND, "exit_policy", "thresholds_micro"], [1_000_001]]]),
        ("error: a policy that reads what it does not need", [[[*_SECOND, "exit_policy", "reads"], "nothing"]]),
        ("error: temperatures beside the graph's confidence", [[[*_SECOND, "exit_policy", "temperatures_micro"], [1_500_000]]]),
        ("error: a picture of no size", [[[*_FIRST, "picture", "width"], 0]]),
        ("error: a standard deviation of zero", [[[*_FIRST, "picture", "std_micro"], [0, 1, 1]]]),
    ]
    for name, changes in rows:
        yield name, {"changes": changes}


def _validate() -> Inputs:
    result, other = ["report", "results", 0], ["report", "results", 1]
    not_loaded = failed(base()["report"]["results"][0])
    hot = [[["report", "env", 1, "thermal"], "fair"]]
    invalid = [[[*row, key], value] for row in (result, other) for key, value in (("status", "invalid"), ("error", "warm"))]
    cut: list[Any] = [[[*result, "status"], "invalid"], [[*result, "error"], "cut short"], [[*result, "stop_reason"], "cut"]]
    cut += [[[*result, "samples_ns"], [1000]], [[*result, "preprocess_ns"], [500]], [[*result, "summary"], summary([1000])]]
    rows: list[tuple[str, list[Any], bool]] = [
        ("as it is", [], False),
        ("a model that did not load", [[result, not_loaded]], False),
        ("written on the way, and taken as that", [[["report", "complete"], False], [other]], True),
        ("warm, and said to be invalid", [*hot, *invalid], False),
        ("thermal state not told", [[["report", "env", n, "thermal"], None] for n in (0, 1)], False),
        ("cut short after one sample, and taken as that", [[["report", "complete"], False], [other], *cut], True),
        ("error: cut short in a report that is whole", cut, False),
        ("error: cut short, and said to be ok", [[["report", "complete"], False], *cut[2:]], True),
        ("error: cut short before the first sample", [[["report", "complete"], False], *cut, [[*result, "samples_ns"], []]], True),
        ("error: another schema", [[["report", "schema"], "latency-report/0"]], False),
        ("error: a member is missing", [[[*result, "cache"]]], False),
        ("error: a member is unknown", [[[*result, "mood"], 1]], False),
        ("error: an unknown status", [[[*result, "status"], "fine"]], False),
        ("error: a time as text", [[[*result, "samples_ns", 0], "1000"]], False),
        ("error: of another run", [[["report", "run_id"], "f" * 32]], False),
        ("error: a process that there is not", [[["report", "process"], 2]], False),
        ("error: written on the way", [[["report", "complete"], False]], False),
        ("error: one reading", [[["report", "env", 1]]], False),
        ("error: an unknown thermal state", [[["report", "env", 0, "thermal"], "tepid"]], False),
        ("error: a battery at 101%", [[["report", "env", 0, "battery_pct"], 101]], False),
        ("error: its clock went backwards", [[["report", "env", 1, "t_ns"], 9]], False),
        ("error: a clock below zero", [[["report", "env", 0, "t_ns"], -1]], False),
        ("error: more time spent than passed", [[["report", "env", 1, "t_ns"], 3000]], False),
        ("error: a result twice", [[[*other, "variant"], "net.pte"]], False),
        ("error: a result nobody asked for", [[[*other, "variant"], "other.pte"]], False),
        ("error: a result is missing", [[other]], False),
        ("error: another artifact was run", [[[*result, "model_sha256"], "0" * 64]], False),
        ("error: another unit", [[[*result, "requested"], "gpu"]], False),
        ("error: ok with an error", [[[*result, "error"], "boom"]], False),
        ("error: failed without one", [[result, not_loaded], [[*result, "error"], None]], False),
        ("error: failed with samples", [[result, not_loaded], [[*result, "samples_ns"], [1, 2, 3]]], False),
        ("error: ok without load times", [[[*result, "load_ns"], None]], False),
        ("error: too few warm-up calls", [[[*result, "warmup_ns"], []]], False),
        ("error: too many warm-up calls", [[[*result, "warmup_ns"], [1, 1, 1, 1, 1]]], False),
        ("error: too few samples", [[[*result, "samples_ns"], [1000, 1000]]], False),
        ("error: no times of preprocessing", [[[*result, "preprocess_ns"], []]], False),
        ("error: preprocessing that was not asked for", [[[*other, "preprocess_ns"], [1, 1, 1, 1]]], False),
        ("error: a sample of no time", [[[*result, "samples_ns", 2], 0]], False),
        ("error: a time below zero", [[[*result, "load_ns", "open"], -1]], False),
        ("error: exits of a network without", [[[*result, "exits"], [1, 1, 1, 1]]], False),
        ("error: no exits", [[[*other, "exits"], None]], False),
        ("error: an exit that there is not", [[[*other, "exits"], [1, 2, 3, 1]]], False),
        ("error: exits of other samples", [[[*other, "exits"], [1, 2]]], False),
        ("error: a mean that is not theirs", [[[*result, "summary", "mean"], 1]], False),
        ("error: a p99 of four samples", [[[*result, "summary", "p99"], 1005]], False),
        ("error: a peak below the beginning", [[[*result, "memory", "peak_bytes"], 1]], False),
        ("error: operators below zero", [[[*result, "operators"], {"cpu": -1, "gpu": 0, "npu": 0, "unknown": 0}]], False),
        ("error: an output of NaN", [[[*result, "output_bits"], [0x7FC00000]]], False),
        ("error: warm, and said to be ok", hot, False),
    ]
    for name, changes, partial in rows:
        yield name, {"changes": changes, "partial": partial}


RUNNERS = {
    "canonical": guarded(lambda given: {"text": canonical(parse(given["text"], "the text"))}),
    "plan": guarded(run_plan),
    "validate": guarded(run_validate),
}
INPUTS = {"canonical": _canonical, "plan": _plan, "validate": _validate}
ABOUT = {
    "canonical": "JSON without fractions, read strictly, and its canonical text.",
    "plan": "Whether a plan can be carried out.",
    "validate": "Whether a report can be believed.",
}
BASES = {"plan": base, "validate": base}
