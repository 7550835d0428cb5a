"""What quantizing costs on all of CIFAR-10's test set: the trained networks, exported as a user does, on pictures that no export has seen.

    python benchmarks/quantized_accuracy.py [--model chase-nano] [--target tflite] [--precision w8a8] [--output results.json]
    python benchmarks/quantized_accuracy.py --own examples/efficientnet_lite0.py:build --data groceries --test labelled/ [--output results.json]

Every cell is an export with ``--data cifar10 --accuracy-budget 0.5`` (pictures of the hold-out set), then the artifact beside eager on the test
set: accuracy of both, same class, pictures won and lost, of every exit. Core ML packages are interpreted, and get the first 1,000 pictures.
A network of one's own is calibrated on ``--data`` and tested on the labelled folder ``--test``, without a budget.
Exits with 1 where a limit of ``LIMITS`` is missed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from attrs import frozen
from timing import context

import edgekit
from edgekit.calibration import as_samples
from edgekit.data.open import open_data
from edgekit.data.stream import SampleStream
from edgekit.errors import EdgekitError
from edgekit.interface import CONFIDENCE, LOGITS
from edgekit.methods import MethodSource, has_exits, method_sources
from edgekit.models.source import SourceModel, load_source
from edgekit.runtime.loaded import LoadedArtifact
from edgekit.verification.cases import Case, eager_cases
from edgekit.verification.judged import Judgement, judge, run_as_apps_do
from edgekit.verification.samples import Sample
from edgekit.verification.tolerances import quantized_tolerance

WEIGHTS = Path(__file__).parent / "training" / "weights"
MODELS = ("emov2-nano", "imcnet-nano", "chase-nano")
CELLS = (("tflite", "w8a8"), ("executorch", "w8a8"), ("onnx", "w8a8"), ("coreml", "palette8"), ("coreml", "w8a32"), ("coreml", "palette4"))
LIMITS = {"w8a8": 0.5, "palette8": 0.5, "w8a32": 0.5, "palette4": 2.0}
"""Points of top-1 accuracy that a network may lose, at its last exit."""
MIN_AGREEMENT = 0.98
"""Of w8a8, at the last exit."""
MIN_AGREEMENT_OF_OWN = 0.96
"""The same of a network that is calibrated on pictures of another kind; 400 pictures say nothing of half a point of accuracy."""
TEST_PICTURES = 10_000
INTERPRETED_PICTURES = 1_000
_AT_ONCE = 500


@frozen(kw_only=True)
class Subject:
    """What is quantized.

    :param data: pictures to calibrate on. :param test: labelled ones of no export, a data set's name or a folder.
    """

    model: str
    weights: Path | None
    data: str
    test: str
    own: bool

    def limits(self, precision: str) -> tuple[float | None, float | None]:
        """Return the points of accuracy that may be lost and the lowest agreement."""
        if self.own:
            return None, MIN_AGREEMENT_OF_OWN
        return LIMITS[precision], MIN_AGREEMENT if precision == "w8a8" else None


def main() -> int:
    """Export and evaluate each cell, print a line each, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--own", help="path/to/file.py:factory, instead of the trained networks")
    parser.add_argument("--data", default="groceries", help="with --own: pictures to calibrate on")
    parser.add_argument("--test", help="with --own: a folder of labelled pictures")
    parser.add_argument("--target", action="append", choices=sorted({target for target, _ in CELLS}))
    parser.add_argument("--precision", action="append", choices=sorted(LIMITS))
    parser.add_argument("--pictures", type=int, default=TEST_PICTURES, help="of the test set")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if bool(options.own) != bool(options.test):
        parser.error("--own and --test belong together")
    torch.set_num_threads(1)
    rows, missed = [], 0
    for subject in subjects(options):
        cells = [cell for cell in CELLS if cell[0] in (options.target or cell[0]) and cell[1] in (options.precision or cell[1])]
        for row in measure(subject, cells, options.pictures):
            rows.append(row)
            missed += bool(row["missed"])
            print(json.dumps({key: value for key, value in row.items() if key != "answers"}), flush=True)
            if options.output:
                document = {"benchmark": "quantized accuracy", "context": context(), "results": rows}
                options.output.write_text(json.dumps(document, indent=1) + "\n")
    print("every limit is kept" if not missed else f"{missed} of {len(rows)} miss a limit")
    return 1 if missed else 0


def subjects(options: argparse.Namespace) -> list[Subject]:
    """Return the networks that were asked for."""
    if options.own:
        return [Subject(model=options.own, weights=None, data=options.data, test=options.test, own=True)]
    return [
        Subject(model=name, weights=WEIGHTS / f"{name}.safetensors", data="cifar10", test="cifar10:test", own=False)
        for name in options.model or MODELS
    ]


def measure(subject: Subject, cells: Sequence[tuple[str, str]], pictures: int) -> Iterator[dict[str, Any]]:
    """Yield one row a cell; eager runs once on all pictures."""
    source = load_source(subject.model, weights=subject.weights)
    sources = method_sources(source.module, "methods" if has_exits(source.module) else None, one_graph=False)
    samples, labels, sha256 = test_pictures(source, subject.test, pictures)
    cases = eager_answers(source, sources, samples)
    for target, precision in cells:
        points, agreement = subject.limits(precision)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            row: dict[str, Any] = {"model": source.name, "target": target, "precision": precision, "limit_points": points, "min_agreement": agreement}
            try:
                result = edgekit.export(
                    subject.model,
                    targets=[target],
                    precision=precision,
                    weights=subject.weights,
                    data=subject.data,
                    accuracy_budget=points,
                    cache=False,  # how long it takes is told
                    output_dir=folder,
                )
            except EdgekitError as error:
                yield row | {"error": str(error), "missed": ["export"]}
                continue
            made = result.artifacts[0]
            row |= {"size_bytes": made.size_bytes, "export_s": round(time.perf_counter() - began, 1), "executed_by": made.parity.executed_by}
            count = min(len(samples), INTERPRETED_PICTURES) if target == "coreml" else len(samples)
            found = evaluate(edgekit.load_artifact(made.path), source, cases, samples[:count], labels[:count], precision)
        yield row | {"pictures": count, "test_sha256": sha256} | figures(found, points, agreement)


def test_pictures(source: SourceModel, test: str, count: int) -> tuple[tuple[Sample, ...], Any, str]:
    """Return the first pictures of the test set, in edgekit's order, their labels and their hash."""
    pictures = open_data(test)
    taken = SampleStream(pictures=pictures, preprocessing=source.preprocessing).take(min(count, len(pictures)))
    return as_samples(taken), taken.labels, taken.sha256


def eager_answers(source: SourceModel, sources: Sequence[MethodSource], samples: Sequence[Sample]) -> dict[str, Case]:
    """Return eager's answers on every sample, without what the methods hand on: that would be gigabytes."""
    with torch.no_grad():
        parts = [
            {name: answers_alone(case) for name, case in eager_cases(source, sources, samples[start : start + _AT_ONCE]).items()}
            for start in range(0, len(samples), _AT_ONCE)
        ]
    return {
        name: attrs.evolve(case, outputs={output: [value for part in parts for value in part[name].outputs[output]] for output in case.outputs})
        for name, case in parts[0].items()
    }


def answers_alone(case: Case) -> Case:
    """Return a case without inputs and features."""
    return attrs.evolve(case, inputs=(), outputs={name: values for name, values in case.outputs.items() if name in (LOGITS, CONFIDENCE)})


def evaluate(
    artifact: LoadedArtifact,
    source: SourceModel,
    cases: Mapping[str, Case],
    samples: Sequence[Sample],
    labels: Any,
    precision: str,
) -> Judgement:
    """Run an artifact as an app does on every sample and compare with eager's answers."""
    collected: dict[str, dict[str, list[Any]]] = {name: {output: [] for output in case.outputs} for name, case in cases.items()}
    for start in range(0, len(samples), _AT_ONCE):
        some = samples[start : start + _AT_ONCE]
        given = {
            name: attrs.evolve(case, inputs=tuple({"image": sample.tensor} for sample in some)) if case.after is None else case
            for name, case in cases.items()
        }
        for name, outputs in run_as_apps_do(artifact.executable, artifact.methods, given, some).items():
            for output, answers in collected[name].items():
                answers.extend(outputs[output])
    used = {
        name: attrs.evolve(case, outputs={output: values[: len(samples)] for output, values in case.outputs.items()}) for name, case in cases.items()
    }
    return judge(collected, used, samples, labels, quantized_tolerance(precision, accuracy_budget=None, sqnr=None, trained=source.trained))


def figures(found: Judgement, points: float | None, agreement: float | None) -> dict[str, Any]:
    """Return what a row says of an artifact's answers, and which limits it misses; the last answer is the network's."""
    last = found.answers[-1]
    assert last.wins is not None and last.losses is not None and last.agreement is not None  # noqa: S101, PT018  pictures have labels
    drop = 100 * (last.losses - last.wins) / found.samples
    missed = ["drop"] if points is not None and drop > points else []
    missed += ["agreement"] if agreement is not None and last.agreement < agreement else []
    return {
        "accuracy": last.accuracy,
        "eager_accuracy": last.eager_accuracy,
        "drop_points": round(drop, 3),
        "agreement": last.agreement,
        "wins": last.wins,
        "losses": last.losses,
        "sqnr_db": round(last.sqnr_db, 2),
        "exits": found.exits,
        "answers": [attrs.asdict(row) for row in found.answers],
        "missed": missed,
    }


if __name__ == "__main__":
    sys.exit(main())
