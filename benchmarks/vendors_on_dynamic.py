"""What the vendors' converters make of networks whose forward depends on data, beside what edgekit makes of them.

    python benchmarks/vendors_on_dynamic.py [--output results.json]

Each converter is given the eager network as its own documentation shows, in a process of its own (some abort). How far that goes is
written down: converted, loaded, ran, and with which error to eager; a failure is caught and kept with its text. Core ML is run by edgekit's
interpreter of its programs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import percentile_mask as percentile_mask_module
import torch
from naive import EXPORTERS
from timing import context, relative_error
from torch import Tensor, nn

import edgekit
from edgekit.errors import EdgekitError
from edgekit.models.naming import default_resolution
from edgekit.ops.early_exit import stages_of
from edgekit.ops.exit_branches import ExitBranches
from edgekit.ops.exit_policy import ThresholdPolicy
from edgekit.quiet import quiet
from edgekit.targets.registry import get_target

SUFFIX = {"coreml": ".mlpackage", "coreai": ".aimodel", "tflite": ".tflite", "executorch": ".pte", "onnx": ".onnx"}
LONGEST_S = 600


def coreml(model: nn.Module, image: Tensor, path: Path) -> None:
    """Core ML Tools' ``convert`` of an exported program, in single precision so that it can be compared."""
    import coremltools as ct

    program = torch.export.export(model, (image,)).run_decompositions({})
    target = ct.target.iOS18
    ct.convert(program, minimum_deployment_target=target, compute_precision=ct.precision.FLOAT32, skip_model_load=True).save(str(path))


def coreai(model: nn.Module, image: Tensor, path: Path) -> None:
    """Core AI's ``TorchConverter``."""
    from coreai_torch import TorchConverter, get_decomp_table

    program = torch.export.export(model, (image,)).run_decompositions(get_decomp_table())
    TorchConverter().add_exported_program(program, entrypoint_name="main").to_coreai().save_asset(path)


CONVERTERS = {**EXPORTERS, "coreml": coreml, "coreai": coreai}


def percentile_mask() -> tuple[nn.Module, str]:
    """A quantile, and tokens blanked by a comparison with it; all shapes are static."""
    return percentile_mask_module.build(), f"{percentile_mask_module.__file__}:build"


def selected_regions() -> tuple[nn.Module, str]:
    """IMC-Net in its natural form: a quantile, and regions indexed by a mask."""
    return edgekit.build_model("imcnet-ti16"), "imcnet-ti16"


def early_exits() -> tuple[nn.Module, str]:
    """CHASE with its exits as nested ``torch.cond``, the only spelling that torch.export takes."""
    chase = edgekit.build_model("chase-tiny")
    stages = stages_of(chase)
    return ExitBranches(stages, ThresholdPolicy(thresholds=(0.5,) * (len(stages) - 1))), "chase-tiny"


def windows() -> tuple[nn.Module, str]:
    """EMOv2 in its natural form: window partitions of rank 6."""
    return edgekit.build_model("emov2-1m"), "emov2-1m"


NETWORKS: dict[str, Callable[[], tuple[nn.Module, str]]] = {
    "percentile mask": percentile_mask,
    "selected regions": selected_regions,
    "early exits": early_exits,
    "window partitions": windows,
}


def main() -> int:
    """Try every converter on every network, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("WHO", "NETWORK", "TARGET"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        who, network, target = options.one
        print(json.dumps({"vendor": vendor, "edgekit": ours}[who](network, target)))
        return 0
    rows = []
    for network in NETWORKS:
        for target in sorted(CONVERTERS):
            found = {who: apart(who, network, target) for who in ("vendor", "edgekit")}
            rows.append({"network": network, "target": target, **found})
            print(f"| {network} | {target} | {found['vendor']} | {found['edgekit']} |", flush=True)
    if options.output:
        document = {"benchmark": "vendors_on_dynamic", "context": context(), "results": rows}
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    failed = [row for row in rows if not row["edgekit"].startswith("runs")]
    return 1 if failed else 0


def apart(who: str, network: str, target: str) -> str:
    """Try one in a process of its own."""
    command = [sys.executable, __file__, "--one", who, network, target]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        return f"does not end within {LONGEST_S} s"
    if done.returncode:
        return f"the process ends with {done.returncode}"
    return str(json.loads(done.stdout.splitlines()[-1]))


def vendor(network: str, target: str) -> str:
    """Convert, load and run as the vendor shows; say how far that went."""
    model, name = NETWORKS[network]()
    side = default_resolution(name)
    image = torch.randn(1, 3, *(side,) * 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        reference = first(model(image))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"eager{SUFFIX[target]}"
        stage, result = "converting", None
        try:
            with torch.no_grad(), quiet():
                CONVERTERS[target](model, image, path)
                stage = "loading"
                run = opened(target, path, image.numpy())
                stage = "running"
                result = run()
        except Exception as error:  # noqa: BLE001  the failure is the result
            return f"fails when {stage}: {described(error)}"
    return f"runs, relative error {relative_error(result, reference):.1e}"


def opened(target: str, path: Path, image: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that runs a file on the image and returns its first output."""
    executable = get_target(target).open(path, threads=1)
    (method,) = executable.methods
    (spec,) = method.inputs
    return lambda: next(iter(executable.run(method.name, {spec.name: image}).values()))


def first(outputs: Any) -> np.ndarray:
    """Return the logits of what a network gives."""
    return (outputs if isinstance(outputs, Tensor) else outputs[0]).numpy()


def described(error: BaseException) -> str:
    """Return the last cause of an error in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(part for part in str(error).split() if not part.startswith("\x1b"))
    return f"{type(error).__name__}: {text[:160]}"


def ours(network: str, target: str) -> str:
    """Export with edgekit, which runs what it wrote."""
    _, name = NETWORKS[network]()
    with tempfile.TemporaryDirectory() as folder:
        try:
            artifact = edgekit.export(name, targets=[target], precision="fp32", output_dir=folder).artifacts[0]
        except EdgekitError as error:
            return f"fails: {error.summary}"
    parity = artifact.parity
    if parity.verdict != "pass":
        return f"{parity.verdict}: {parity.reason}"
    return f"runs, SQNR {parity.sqnr_db:.0f} dB over {parity.samples} inputs, {len(artifact.methods)} methods"


if __name__ == "__main__":
    sys.exit(main())
