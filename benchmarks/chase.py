"""CHASE's exits as methods against one graph of all exits and against the vendors' plain export of the whole, on each runtime.

    taskset -c 0 python benchmarks/chase.py [--model chase-imagenet] [--target tflite] [--output results.json]

In one interleaved run a target: every method on what the one before it hands on, the graph of all exits, and the vendor's plain export of
the eager network with all its exits. Then pictures are run until a policy lets them go, and the mean time is held against what the policy
predicts from the methods' own times. Exits with 1 where a limit of ``LIMITS`` is missed.

    python benchmarks/chase.py --exports [--output results.json]

Instead: the wall time and the peak memory of ``edgekit export`` with all methods, verification included, each in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from against_naive import SUFFIX
from naive import EXPORTERS
from timing import context, interleaved_ms, require_one_core, row

import edgekit
from edgekit.methods import AllExits, handed_on
from edgekit.models.registry import model_entry
from edgekit.ops.early_exit import all_logits, stages_of
from edgekit.policy.policy import Policy
from edgekit.quiet import quiet

LIMITS = {"methods_to_all_bytes": 1.03, "methods_to_all_ms": 1.08, "first_exit_to_all_ms": 0.16, "policy_error": 0.05, "export_s": 90, "export_gb": 6}
TARGETS = ("tflite", "executorch", "onnx", "coreml", "coreai")
RAW = ("rows", "policy_chain_ms", "policy_pictures_ms")
PICTURES = 24
ROUNDS = 5


def main() -> int:
    """Measure, print one line a target, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="chase-imagenet")
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--exports", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.exports:
        results = [export_costs(options.model, target) for target in options.target or TARGETS]
    else:
        require_one_core()
        torch.set_num_threads(1)
        results = [measure(options.model, target, options.samples) for target in options.target or sorted(EXPORTERS)]
    for result in results:
        print(json.dumps({key: value for key, value in result.items() if key not in RAW}))
    document = {"benchmark": "chase exports" if options.exports else "chase", "model": options.model, "context": context(), "results": results}
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    missed = [
        f"{result['target']}: {name} is {result[name]}, the limit {limit}"
        for result in results
        for name, limit in LIMITS.items()
        if result.get(name, 0) > limit
    ]
    print("\n".join(missed) if missed else "every limit is kept")
    return 1 if missed else 0


# --- what an export takes


def export_costs(model: str, target: str) -> dict[str, Any]:
    """Export in a process of its own, from nothing; seconds of wall time, and its peak memory in bytes."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "edgekit", "export", model, "--target", target, "-o", place, "--json", "--quiet", "--no-cache"]
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            out = process.stdout.read() if process.stdout else b""
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"the export to {target} failed")
    artifact = json.loads(out)["artifacts"][0]
    parity = {key: artifact["parity"][key] for key in ("verdict", "executed_by", "samples", "sqnr_db", "top1_agreement")}
    return {
        "target": target,
        "precision": artifact["precision"],
        "export_s": round(seconds, 1),
        "export_gb": round(usage.ru_maxrss * 1024 / 1e9, 2),
        "methods": len(artifact["methods"]),
        "size_bytes": artifact["size_bytes"],
        "parity": parity,
    }


# --- what running it takes


def measure(model: str, target: str, samples: int) -> dict[str, Any]:
    """Export the methods, all exits in one graph and the vendor's plain form; time them together; then hold a policy against its prediction."""
    image = pictures(model, 1)
    eager = AllExits(stages_of(edgekit.build_model(model)), "max_softmax").eval()
    with torch.no_grad():
        expected = [logits.numpy() for logits in all_logits(eager.stages, torch.from_numpy(image))]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        paths = {form: export(model, target, form, place) for form in ("methods", "all")}
        artifacts = {form: edgekit.load_artifact(path) for form, path in paths.items()}
        runs, names = _exits(artifacts["methods"], image)
        runs["all exits"] = lambda: artifacts["all"].run("forward", {"image": image})
        naive_error = _add_naive(runs, target, eager, image, place)
        times = interleaved_ms(runs, samples)
        errors = [_error(runs[name]()["logits"], value) for name, value in zip(names, expected, strict=True)]
        rows = [row(name, times[name], error) for name, error in zip(names, errors, strict=True)]
        rows += [row("all exits", times["all exits"], max(_error(runs["all exits"]()[f"logits_{k}"], v) for k, v in enumerate(expected, start=1)))]
        least = {name: min(values) for name, values in times.items()}
        total = sum(least[name] for name in names)
        return {
            "target": target,
            "exits_ms": [round(least[name], 3) for name in names],
            "methods_ms": round(total, 3),
            "all_ms": round(least["all exits"], 3),
            "naive_all_ms": round(least["naive"], 3) if "naive" in least else None,
            "naive_error": naive_error,
            "methods_to_all_ms": round(total / least["all exits"], 3),
            "first_exit_to_all_ms": round(least[names[0]] / least["all exits"], 3),
            "all_to_naive_ms": round(least["all exits"] / least["naive"], 3) if "naive" in least else None,
            "methods_to_all_bytes": round(paths["methods"].stat().st_size / paths["all"].stat().st_size, 4),
            "max_rel_error": max(result["max_rel_error"] for result in rows),
            **policy_against_prediction(model, eager, artifacts["methods"]),
            "rows": rows,
        }


def export(model: str, target: str, form: str, place: Path) -> Path:
    """Export one form in single precision."""
    return edgekit.export(model, targets=[target], precision="fp32", early_exit=form, output_dir=place).artifacts[0].path


def pictures(model: str, count: int) -> np.ndarray:
    """Return seeded noise of different contrast, which an untrained network is differently sure about; ``(count, 3, R, R)``."""
    side = model_entry(model).resolution
    draw = np.random.default_rng(0)
    contrast = draw.uniform(0.3, 2.0, (count, 1, 1, 1))
    return (contrast * draw.standard_normal((count, 3, side, side))).astype(np.float32)


def _exits(artifact: Any, image: np.ndarray) -> tuple[dict[str, Callable[[], Any]], list[str]]:
    """Return a call of each exit on what the one before it hands on."""
    runs: dict[str, Callable[[], Any]] = {}
    given: dict[str, np.ndarray] = {"image": image}
    names = [method.name for method in artifact.methods if method.name.startswith("exit_")]
    for name in names:
        runs[name] = lambda name=name, given=given: artifact.run(name, given)
        given = handed_on(runs[name]())
    return runs, names


def _add_naive(runs: dict[str, Callable[[], Any]], target: str, eager: torch.nn.Module, image: np.ndarray, place: Path) -> str | None:
    """Add the vendor's plain export of all exits, if it comes to anything."""
    from against_naive import opened

    path = place / f"naive{SUFFIX[target]}"
    try:
        with torch.no_grad(), quiet():
            EXPORTERS[target](eager, torch.from_numpy(image), path)
        run = opened(target, path, image)
        run()
    except Exception as error:  # noqa: BLE001  the vendor's failure is a result too
        return f"{type(error).__name__}: {str(error)[:200]}"
    runs["naive"] = run
    return None


def _error(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def policy_against_prediction(model: str, eager: AllExits, artifact: Any) -> dict[str, Any]:
    """Run pictures under a policy that lets a share of them go at every exit; compare the mean time with the methods' own times.

    Both are medians of the same run: the methods are timed in a row on one picture, in turn with the pictures under the policy, ``ROUNDS``
    times over. One time a picture will not do: a mean of single times carries every interruption, a median of the methods none.
    """
    images = pictures(model, PICTURES)
    with torch.inference_mode():
        confidences = [np.concatenate([eager(torch.from_numpy(image[None]))[f"confidence_{k}"].numpy() for image in images]) for k in _numbers(eager)]
    policy = shared_out(model, confidences, classes=artifact.methods[0].outputs[0].shape[-1])
    runs, names = _exits(artifact, images[:1])
    exits = [int(artifact.run_early_exit(image[None], policy).exit[0]) for image in images]
    chain: list[list[float]] = []
    measured: list[list[float]] = []
    for _ in range(ROUNDS):
        measured.append([])
        for image in images:
            chain.append([_ms(runs[name]) for name in names])
            measured[-1].append(_ms(lambda image=image: artifact.run_early_exit(image[None], policy)))
    per_exit = np.cumsum(np.median(np.array(chain), axis=0))
    predicted = float(np.mean([per_exit[left - 1] for left in exits]))
    found = float(np.mean(np.median(np.array(measured), axis=0)))
    return {
        "policy_chain_ms": chain,
        "policy_pictures_ms": measured,
        "policy_exits": [exits.count(k) for k in range(1, len(names) + 1)],
        "policy_predicted_ms": round(predicted, 3),
        "policy_measured_ms": round(found, 3),
        "policy_error": round(abs(found - predicted) / predicted, 4),
    }


def _numbers(eager: AllExits) -> range:
    return range(1, len(eager.stages) + 1)


def _ms(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1e3


def shared_out(model: str, confidences: list[np.ndarray], *, classes: int) -> Policy:
    """Return a policy under which about equally many pictures leave at each exit; ``confidences``: of each exit, ``(N,)``."""
    left = np.ones(len(confidences[0]), bool)
    quota = len(left) // len(confidences)
    thresholds = []
    for own in confidences[:-1]:
        ordered = np.sort(own[left])[::-1]
        between = (float(ordered[quota - 1]) + float(ordered[quota])) / 2
        thresholds.append(round(between * 1e6))
        left &= own < between
    return Policy(kind="max_softmax", model=model, exits=len(confidences), classes=classes, thresholds=tuple(thresholds))


if __name__ == "__main__":
    sys.exit(main())
